//! Gives an open gap what lets its loop be closed while it stays open: another loop, or a blocker with evidence.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::{BlockerClass, Severity};
use records_common::gaps::{FILE, GapFile};
use records_common::scope::Scope;
use records_common::{evidence, time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which gap, and what changes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The gap's id, like GAP-OP-1293.
    #[schemars(regex(pattern = r"^GAP-OP-[0-9]{3,6}$"), extend("x-ops-positional" = 0))]
    id: String,
    /// The loop that it belongs to from now on; --notes says why.
    #[schemars(length(min = 1, max = 120))]
    parent_loop: Option<String>,
    /// What stands in the way of fixing it; --blocker-evidence shows it.
    blocker_class: Option<BlockerClass>,
    /// The keys of runs that show the blocker, separated by commas or blanks.
    #[schemars(length(min = 1, max = 8000))]
    blocker_evidence: Option<String>,
    /// How much it matters, from now on.
    severity: Option<Severity>,
    /// What else there is to know; it is put behind what is noted already.
    #[schemars(length(min = 1, max = 2000))]
    notes: Option<String>,
}

/// The gap as it is now.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One line that says what changed.
    message: String,
    id: String,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_loop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocker_class: Option<BlockerClass>,
    /// The runs that show the blocker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocker_evidence: Vec<String>,
}

#[capability(
    name = "gaps.update",
    summary = "Gives an open gap another loop, or a blocker with evidence.",
    safety = "mutating",
    needs(
        directory("gaps", stage),
        directory("loops", read),
        service("ops", rule(GET "/receipts/{run}", read)),
    )
)]
fn update(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut gaps = GapFile::of(ctx)?;
    let old = gaps.find(&input.id)?;
    if !old.is_open() {
        return Err(Failure::conflict(format!(
            "{} is not open ({FILE}:{}), and what is closed stays as it is; file a new gap",
            input.id,
            gaps.line_of(&input.id)
        )));
    }
    let mut gap = old.clone();
    if let Some(parent) = &input.parent_loop {
        Scope::to_work_on(ctx, parent)?;
        if gap.parent_loop.as_ref() != Some(parent) && input.notes.is_none() {
            return Err(Failure::invalid("a gap that goes to another loop needs --notes that say why"));
        }
        gap.parent_loop = Some(parent.clone());
    }
    match (input.blocker_class, &input.blocker_evidence) {
        (Some(class), Some(keys)) => {
            let evidence = evidence::named(ctx, "blocker-evidence", keys, &[])?;
            if evidence.is_empty() {
                return Err(Failure::invalid(
                    "--blocker-evidence names no run; name one that shows the blocker",
                ));
            }
            gap.blocker_class = Some(class);
            gap.blocker_evidence = evidence.into_iter().map(|evidence| evidence.run).collect();
        }
        (None, None) => {}
        _ => {
            return Err(Failure::invalid(
                "a blocker is a class and the runs that show it: give --blocker-class and --blocker-evidence",
            ));
        }
    }
    gap.severity = input.severity.unwrap_or(gap.severity);
    if let Some(notes) = &input.notes {
        word::check_text("notes", notes)?;
        // What is noted already is not noted twice, so that a second run finds nothing to do.
        gap.notes = match gap.notes {
            Some(before) if before.contains(notes.as_str()) => Some(before),
            Some(before) => Some(format!("{}; {notes}", before.trim_end())),
            None => Some(notes.clone()),
        };
    }
    let message = if gap == *old {
        format!("SKIPPED: {} is so already", gap.id)
    } else {
        gaps.replace(gap.clone(), &time::date(time::now(ctx)?))?;
        gaps.write(ctx)?;
        format!("UPDATED: {}", gap.id)
    };
    Ok(Output {
        message,
        id: gap.id,
        severity: gap.severity,
        parent_loop: gap.parent_loop,
        blocker_class: gap.blocker_class,
        blocker_evidence: gap.blocker_evidence,
    })
}
