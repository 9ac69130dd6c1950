//! `D75`: gaps and loops are whole, agree with one another, and name evidence that is one.
//!
//! In this order: the file of gaps and each scope file can be read; each gap's loop and each loop's gaps are there; a
//! closed loop could be closed as it is, by what `loops.close` asks for; and each run that is named as evidence, once, is a run
//! that is done and whose receipt verifies. Where there is neither gap nor loop, nothing is proved.

mod evidence;
mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;

use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure, capability};
use records_common::evidence::Runs;
use records_common::gaps::{self, GapFile};
use records_common::scope::{self, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The gate.
    #[schemars(extend("x-ops-positional" = 0))]
    gate: Gate,
}

/// The gate of this capability.
#[derive(Deserialize, JsonSchema)]
enum Gate {
    /// Gaps and loops.
    D75,
}

#[capability(
    name = "gates.records.check",
    summary = "Checks that gaps and loops are whole, and that their evidence verifies.",
    safety = "read-only",
    needs(
        directory("gaps", read),
        directory("loops", read),
        service("ops", rule(GET "/receipts/{run}", read))
    )
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    let Gate::D75 = input.gate;
    let mut look = Look::of("D75");
    let ids = scope::ids(ctx)?;
    if ids.is_empty() && is_without_gaps(ctx) {
        return Ok(look.skipped("there are no gaps and no loops"));
    }
    let gaps = look.take(read_gaps(ctx)?);
    let loops = read_loops(ctx, &ids, &mut look)?;
    if let Some(gaps) = gaps {
        let unreadable: BTreeSet<String> = ids.into_iter().filter(|id| !loops.contains_key(id)).collect();
        links::check(&gaps, &loops, &unreadable, &mut look);
        let mut runs = Runs::at_most(evidence::RUNS);
        evidence::check(ctx, &gaps, &loops, &mut runs, &mut look)?;
        links::closed(ctx, &gaps, &loops, &mut runs, &mut look)?;
    }
    Ok(look.report())
}

/// Whether there is no file of gaps, or one that lists none.
fn is_without_gaps(ctx: &Ctx) -> bool {
    let folder = ctx.directory("gaps");
    match fs::read_to_string(folder.join(gaps::NAME)) {
        Ok(text) => GapFile::parse(text).is_ok_and(|file| file.gaps().is_empty()),
        Err(error) => error.kind() == ErrorKind::NotFound && folder.is_dir(),
    }
}

fn read_gaps(ctx: &Ctx) -> Result<Result<GapFile, Finding>, Failure> {
    match fs::read_to_string(ctx.directory("gaps").join(gaps::NAME)) {
        Ok(text) => Ok(GapFile::parse(text).map_err(told)),
        Err(error) => {
            let fix = "file a gap, which makes the file: `ops cap run gaps.file`";
            Ok(Err(Finding::new(gaps::FILE, 0, format!("the file cannot be read: {error}"), fix)))
        }
    }
}

/// The loops whose files can be read, by their ids.
fn read_loops(ctx: &Ctx, ids: &[String], look: &mut Look) -> Result<BTreeMap<String, Scope>, Failure> {
    let mut loops = BTreeMap::new();
    for id in ids {
        let path = ctx.directory("loops").join(format!("{id}.scope.md"));
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::failed(format!("{}: {error}", scope::file_of(id))))?;
        if let Some(scope) = look.take(Scope::parse(id, text).map_err(told)) {
            loops.insert(id.clone(), scope);
        }
    }
    Ok(loops)
}

/// A finding of the records, as one of a gate.
fn told(found: records_common::Finding) -> Finding {
    let records_common::Finding { file, line, what, fix } = found;
    Finding::new(file, line, what, fix)
}
