//! What gaps and loops say of one another.

use std::collections::BTreeMap;

use gates_common::{Finding, Look, line_of};
use records_common::gap::Gap;
use records_common::gaps::{self, GapFile};
use records_common::scope::{self, Scope, Status};

pub(crate) fn check(gaps: &GapFile, loops: &BTreeMap<String, Scope>, look: &mut Look) {
    for gap in gaps.gaps() {
        let parent = gap.parent_loop.as_ref();
        if let Some(parent) = parent.filter(|parent| !loops.contains_key(*parent)) {
            let what = format!("{} belongs to {parent}, and there is no such loop that can be read", gap.id);
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

/// The gaps that a loop links are there; a closed one has shown its acceptance, and leaves none of its gaps open.
fn of_loop(id: &str, scope: &Scope, gaps: &GapFile, look: &mut Look) {
    let file = scope::file_of(id);
    for linked in &scope.body.gaps {
        if !gaps.gaps().iter().any(|gap| gap.id == *linked) {
            let what = format!("the loop links {linked}, and there is no such gap");
            let line = line_of(scope.text(), linked);
            look.found(Finding::new(&file, line, what, "file the gap, or take the link out"));
        }
    }
    if scope.front.status != Status::Closed {
        return;
    }
    for (place, line) in scope.body.acceptance.iter().enumerate() {
        let number = place + 1;
        let is_shown = scope
            .front
            .evidence
            .iter()
            .any(|shown| usize::try_from(shown.line) == Ok(number) && !shown.runs.is_empty());
        if !is_shown {
            let at = u64::try_from(line.at).unwrap_or(0);
            let what = format!("the loop is closed, and no run shows line {number} of its acceptance");
            look.found(Finding::new(&file, at, what, "open it again, and close it with `ops loops close`"));
        }
    }
    let ours = |gap: &&Gap| gap.parent_loop.as_deref() == Some(id) && gap.is_open() && !gap.is_blocked();
    for gap in gaps.gaps().iter().filter(ours) {
        let what = format!("{} is open, and its loop {id} is closed", gap.id);
        look.found(of_gap(gaps, gap, what, "close the gap, give it to another loop, or name what blocks it"));
    }
}
