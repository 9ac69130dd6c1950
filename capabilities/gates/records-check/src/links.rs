//! What gaps and loops say of one another.

use std::collections::{BTreeMap, BTreeSet};

use gates_common::{Finding, Look, line_of};
use ops_guest::{Ctx, Failure};
use records_common::closing::{Place, account};
use records_common::evidence::Runs;
use records_common::gap::Gap;
use records_common::gaps::{self, GapFile};
use records_common::scope::{self, Scope, Status};

/// What to do about a loop that is closed and should not be.
const REOPEN: &str = "open it again, and close it with `ops loops close`";

/// Gaps and the loops that they belong to. A loop whose file cannot be read was told already.
pub(crate) fn check(
    gaps: &GapFile,
    loops: &BTreeMap<String, Scope>,
    unreadable: &BTreeSet<String>,
    look: &mut Look,
) {
    for gap in gaps.gaps() {
        let parent = gap.parent_loop.as_ref();
        let is_there = |parent: &String| loops.contains_key(parent) || unreadable.contains(parent);
        if let Some(parent) = parent.filter(|parent| !is_there(parent)) {
            let what = format!("{} belongs to {parent}, and there is no such loop", gap.id);
            look.found(of_gap(gaps, gap, what, "create the loop, or give the gap to another one"));
        }
    }
    let open = gaps.gaps().iter().filter(|gap| gap.is_open()).count();
    look.saw(format!("{} gaps, {open} of them open", gaps.gaps().len()));
    for (id, scope) in loops {
        of_loop(id, scope, gaps, look);
    }
    look.saw(format!("{} loops", loops.len()));
}

/// A finding at the line of a gap.
pub(crate) fn of_gap(gaps: &GapFile, gap: &Gap, what: String, fix: &str) -> Finding {
    let line = u64::try_from(gaps.line_of(&gap.id)).unwrap_or(0);
    Finding::new(gaps::FILE, line, what, fix)
}

/// The gaps that a loop links are there.
fn of_loop(id: &str, scope: &Scope, gaps: &GapFile, look: &mut Look) {
    let file = scope::file_of(id);
    for linked in &scope.body.gaps {
        if !gaps.gaps().iter().any(|gap| gap.id == *linked) {
            let what = format!("the loop links {linked}, and there is no such gap");
            let line = line_of(scope.text(), linked);
            look.found(Finding::new(&file, line, what, "file the gap, or take the link out"));
        }
    }
}

/// A closed loop could be closed as it is, by what `loops.close` asks for. Runs that are no evidence are told elsewhere.
pub(crate) fn closed(
    ctx: &Ctx,
    gaps: &GapFile,
    loops: &BTreeMap<String, Scope>,
    runs: &mut Runs,
    look: &mut Look,
) -> Result<(), Failure> {
    for (id, scope) in loops.iter().filter(|(_, scope)| scope.front.status == Status::Closed) {
        let blocked = account(ctx, scope, gaps, &[], runs)?.blocked;
        let shown =
            |number| scope.front.evidence.iter().any(|shown| shown.line == number && !shown.runs.is_empty());
        for (number, line) in (1..).zip(&scope.body.acceptance) {
            if !shown(number) && !blocked.iter().any(|obstacle| obstacle.at == Place::Line(line.at)) {
                let at = u64::try_from(line.at).unwrap_or(0);
                let what = format!("the loop is closed, and no run shows line {number} of its acceptance");
                look.found(Finding::new(&scope::file_of(id), at, what, REOPEN));
            }
        }
        for obstacle in blocked {
            match obstacle.at {
                Place::Run => {}
                Place::Gap(gap) => {
                    if let Some(gap) = gaps.gaps().iter().find(|known| known.id == gap) {
                        let what = format!("{}, and its loop {id} is closed", obstacle.what);
                        let fix = "close the gap, give it to another loop, or name what blocks it";
                        look.found(of_gap(gaps, gap, what, fix));
                    }
                }
                Place::Line(at) => {
                    let what = format!("the loop is closed, and {}", obstacle.what);
                    look.found(Finding::new(
                        &scope::file_of(id),
                        u64::try_from(at).unwrap_or(0),
                        what,
                        REOPEN,
                    ));
                }
            }
        }
    }
    Ok(())
}
