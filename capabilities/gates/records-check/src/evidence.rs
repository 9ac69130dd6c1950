//! The runs that gaps and loops name: each is looked up once, and must be done and verify; and a dry run is asked for by the
//! proof of a loop.

use std::collections::BTreeMap;

use gates_common::{Finding, Look, line_of};
use ops_guest::{Ctx, Failure};
use records_common::evidence::Runs;
use records_common::gaps::{self, GapFile};
use records_common::scope::{self, Scope};

/// The most runs that are looked up.
pub(crate) const RUNS: usize = 1000;

/// Where a run is named first.
struct Named {
    file: String,
    line: u64,
    by: String,
    /// The words of a proof that bear on it, over all that name it.
    proof: Vec<String>,
}

pub(crate) fn check(
    ctx: &Ctx,
    gaps: &GapFile,
    loops: &BTreeMap<String, Scope>,
    known: &mut Runs,
    look: &mut Look,
) -> Result<(), Failure> {
    let mut runs: BTreeMap<&str, Named> = BTreeMap::new();
    for gap in gaps.gaps() {
        let parent = gap.parent_loop.as_ref().and_then(|parent| loops.get(parent));
        let proof = parent.map(|scope| scope.front.proof.concat()).unwrap_or_default();
        let fixed_in = gap.fixed_in.iter().map(|run| (run, proof.as_slice()));
        for (run, proof) in fixed_in.chain(gap.blocker_evidence.iter().map(|run| (run, &[][..]))) {
            let line = line_of(gaps.text(), run);
            let named = || Named { file: gaps::FILE.to_owned(), line, by: gap.id.clone(), proof: vec![] };
            runs.entry(run.as_str()).or_insert_with(named).proof.extend_from_slice(proof);
        }
    }
    for (id, scope) in loops {
        let proof = scope.front.proof.concat();
        for run in scope.front.evidence.iter().flat_map(|shown| &shown.runs) {
            let line = line_of(scope.text(), run);
            let named = || Named { file: scope::file_of(id), line, by: id.clone(), proof: vec![] };
            runs.entry(run.as_str()).or_insert_with(named).proof.extend_from_slice(&proof);
        }
    }
    for (run, named) in runs.iter().take(RUNS) {
        if let Err(why) = known.get(ctx, run, &named.proof)? {
            let what = format!("{} names evidence that is none: {why}", named.by);
            let fix = "name a run that is done and verifies: `ops receipts list`";
            look.found(Finding::new(&named.file, named.line, what, fix));
        }
    }
    if runs.len() > RUNS {
        let what = format!("{} runs are named, and {RUNS} are looked up at most", runs.len());
        look.found(Finding::new(
            gaps::FILE,
            0,
            what,
            "move gaps that were closed long ago into another file",
        ));
    }
    look.saw(format!("{} runs that are named as evidence", runs.len()));
    Ok(())
}
