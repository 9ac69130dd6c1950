//! Records a gap: something that is missing or wrong.
//!
//! Filing does not converge: each call is meant to add one. What is recorded already, as an open gap of the same title,
//! is refused instead, and the answer names it.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::{Gap, Kind, Severity, Status};
use records_common::gaps::{FILE, GapFile};
use records_common::scope::Scope;
use records_common::{time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is missing or wrong.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its id, like GAP-OP-665, or `auto` for the next one.
    #[serde(default = "auto")]
    #[schemars(length(max = 20), regex(pattern = r"^(auto|GAP-OP-[0-9]{3,6})$"))]
    id: String,
    /// What kind of deficiency it is.
    #[serde(rename = "type")]
    kind: Kind,
    /// How much it matters.
    severity: Severity,
    /// One line that names it; without one, the beginning of the description does.
    #[schemars(length(min = 1, max = 110))]
    title: Option<String>,
    /// What is missing or wrong.
    #[schemars(length(min = 1, max = 4000))]
    description: String,
    /// Who or what found it.
    #[schemars(length(min = 1, max = 200))]
    discovered_by: String,
    /// The document or file that it is about.
    #[schemars(length(min = 1, max = 400))]
    doc: Option<String>,
    /// The loop that it belongs to.
    #[schemars(length(min = 1, max = 120))]
    parent_loop: Option<String>,
    /// The same as --parent-loop.
    #[schemars(length(min = 1, max = 120))]
    loop_id: Option<String>,
    /// The same as --parent-loop.
    #[serde(rename = "loop")]
    #[schemars(length(min = 1, max = 120))]
    short_loop: Option<String>,
}

fn auto() -> String {
    "auto".to_owned()
}

/// What was recorded.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One line that says so.
    message: String,
    id: String,
    title: String,
    severity: Severity,
    parent_loop: String,
    /// The file that has it, relative to the workspace.
    file: String,
}

#[capability(
    name = "gaps.file",
    summary = "Records a gap: something that is missing or wrong.",
    safety = "mutating",
    needs(directory("gaps", stage), directory("loops", read))
)]
fn file(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let parent = parent_loop(&input)?;
    Scope::to_work_on(ctx, &parent)?;
    check_texts(&input)?;
    let title = input.title.unwrap_or_else(|| word::title_of(&input.description));
    let mut gaps = GapFile::of(ctx)?;
    let id = free_id(&gaps, &input.id, &title)?;
    let now = time::now(ctx)?;
    let gap = Gap {
        id: id.clone(),
        title: Some(title.clone()),
        kind: input.kind,
        severity: input.severity,
        status: Status::Open,
        owner: None,
        discovered_by: input.discovered_by,
        discovered_at: Some(time::second(now)),
        doc: input.doc,
        description: input.description,
        parent_loop: Some(parent.clone()),
        blocker_class: None,
        blocker_evidence: vec![],
        regression_lock_id: None,
        fixed_in: vec![],
        closed_at: None,
        notes: None,
    };
    gaps.add(gap, &time::date(now))?;
    gaps.write(ctx)?;
    Ok(Output {
        message: format!("FILED: {id} ({parent})"),
        id,
        title,
        severity: input.severity,
        parent_loop: parent,
        file: FILE.to_owned(),
    })
}

fn check_texts(input: &Input) -> Result<(), Failure> {
    let texts = [("title", &input.title), ("doc", &input.doc)];
    for (flag, text) in texts.into_iter().filter_map(|(flag, text)| Some((flag, text.as_deref()?))) {
        word::check_text(flag, text)?;
    }
    word::check_text("description", &input.description)?;
    word::check_text("discovered-by", &input.discovered_by)
}

/// The id that the gap gets, once nothing open says the same and nothing else has the id.
fn free_id(gaps: &GapFile, wanted: &str, title: &str) -> Result<String, Failure> {
    if let Some(twin) = gaps.gaps().iter().find(|gap| gap.is_open() && same(&gap.title(), title)) {
        return Err(Failure::conflict(format!(
            "{} is open with the same title ({FILE}:{}); say in --title what is different, or leave it at that",
            twin.id,
            gaps.line_of(&twin.id)
        )));
    }
    let id = if wanted == "auto" { gaps.next_id() } else { wanted.to_owned() };
    if !word::is_gap_id(&id) {
        return Err(Failure::conflict(
            "no number is left: the highest id has six digits; close this file and begin another",
        ));
    }
    if gaps.gaps().iter().any(|gap| gap.id == id) {
        return Err(Failure::conflict(format!(
            "{id} is taken ({FILE}:{}); use --id auto for the next number",
            gaps.line_of(&id)
        )));
    }
    Ok(id)
}

/// The loop, which may be given under any of its names, but not two different ones.
fn parent_loop(input: &Input) -> Result<String, Failure> {
    let mut given = [&input.parent_loop, &input.loop_id, &input.short_loop].into_iter().flatten();
    let Some(first) = given.next() else {
        return Err(Failure::invalid(
            "--parent-loop is missing: a gap belongs to a loop; `loops.list` shows them",
        ));
    };
    if let Some(other) = given.find(|other| *other != first) {
        return Err(Failure::invalid(format!(
            "two loops are given, {first} and {other}; a gap belongs to one"
        )));
    }
    word::check_loop_id(first)?;
    Ok(first.clone())
}

/// Whether two titles say the same, however they are written.
fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    plain(one) == plain(other)
}
