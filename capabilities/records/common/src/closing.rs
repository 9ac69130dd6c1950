//! Whether a loop can be closed: what stands in the way, and what shows each line of its acceptance.
//!
//! In this order: each linked gap is closed by runs that are evidence, or belongs to another loop, or has a blocker with
//! evidence; then each line of the acceptance is shown. A run shows a line if somebody names it for that line, or if the
//! scope's `proof` names its capability there and a linked gap or somebody names the run. All that is missing is said at once.

use std::collections::BTreeMap;

use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::Serialize;

use crate::acceptance::Line;
use crate::evidence::{self, Evidence};
use crate::gap::Gap;
use crate::gaps::GapFile;
use crate::scope::{LINKED_GAPS, Scope, Shown};

/// How many runs are looked up for one loop.
const MOST: usize = 150;

/// What became of a linked gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Linked {
    /// Its id.
    pub gap: String,
    /// `fixed`, `closed`, `reparented to LOOP-…` or `blocked (class)`.
    pub state: String,
    /// The runs that show it, separated by commas.
    pub runs: String,
}

/// A line of the acceptance, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Accepted {
    /// Its number.
    pub line: u32,
    /// Its text.
    pub text: String,
    /// The runs that show it, separated by commas.
    pub runs: String,
}

/// What is known of a loop that somebody wants closed.
#[derive(Debug, Default)]
pub struct Account {
    /// Its gaps.
    pub gaps: Vec<Linked>,
    /// Its acceptance, as far as it is shown.
    pub lines: Vec<Accepted>,
    /// The same, as it is written into the file.
    pub shown: Vec<Shown>,
    /// What stands in the way.
    pub blocked: Vec<String>,
}

/// Looks at a loop's gaps, and at the runs that are named by them, by the scope and by `named`.
///
/// # Errors
/// Where the service `ops` cannot be asked.
pub fn account(
    ctx: &Ctx,
    scope: &Scope,
    gaps: &GapFile,
    named: &[(usize, String)],
) -> Result<Account, Failure> {
    let mut known = Known::default();
    let mut account = Account::default();
    for id in linked(scope, gaps) {
        match gaps.find(&id) {
            Ok(gap) => account.gap(ctx, &scope.front.loop_id, gap, &mut known)?,
            Err(why) => account.blocked.push(why.why()),
        }
    }
    known.settled = account.blocked.is_empty() && !account.gaps.is_empty();
    if scope.body.acceptance.is_empty() {
        account
            .blocked
            .push("it has no acceptance: write what must hold as a list under `## Acceptance`".to_owned());
    }
    for (place, line) in scope.body.acceptance.iter().enumerate() {
        let number = place + 1;
        let before = scope.front.evidence.iter().filter(|shown| usize::try_from(shown.line) == Ok(number));
        let before = before.flat_map(|shown| shown.runs.iter());
        let given = named.iter().filter(|(line, _)| *line == number).map(|(_, run)| run);
        let mut keys: Vec<String> = Vec::new();
        for run in before.chain(given) {
            match known.look_up(ctx, run)? {
                Ok(evidence) => push(&mut keys, &evidence.run),
                Err(why) => account.blocked.push(format!("line {number}: {why}")),
            }
        }
        let proof = scope.front.proof.get(place).map_or(&[][..], Vec::as_slice);
        account.line(&known, line, number, proof, keys);
    }
    Ok(account)
}

/// The gaps of a loop: those that belong to it, and those that its text links.
pub fn linked(scope: &Scope, gaps: &GapFile) -> Vec<String> {
    let ours = gaps.gaps().iter().filter(|gap| gap.parent_loop.as_ref() == Some(&scope.front.loop_id));
    let mut ids = scope.body.gaps.clone();
    for gap in ours {
        push(&mut ids, &gap.id);
    }
    ids
}

impl Account {
    /// One linked gap.
    fn gap(&mut self, ctx: &Ctx, loop_id: &str, gap: &Gap, known: &mut Known) -> Result<(), Failure> {
        let (state, keys) = match (&gap.parent_loop, &gap.blocker_class) {
            (Some(parent), _) if parent != loop_id => (format!("reparented to {parent}"), &[][..]),
            _ if !gap.is_open() => (word(&gap.status), gap.fixed_in.as_slice()),
            (_, Some(class)) => (format!("blocked ({})", word(class)), gap.blocker_evidence.as_slice()),
            _ => {
                self.blocked.push(format!("{} is open", gap.id));
                return Ok(());
            }
        };
        for run in keys {
            match known.look_up(ctx, run)? {
                Ok(evidence) => push(&mut known.of_gaps, &evidence.run),
                Err(why) => self.blocked.push(format!("{}: {why}", gap.id)),
            }
        }
        self.gaps.push(Linked { gap: gap.id.clone(), state, runs: keys.join(", ") });
        Ok(())
    }

    /// One line of the acceptance, for which these runs are named.
    fn line(&mut self, known: &Known, line: &Line, number: usize, proof: &[String], mut keys: Vec<String>) {
        let what = format!("line {number} ({:?})", line.text.chars().take(60).collect::<String>());
        let mut missing = Vec::new();
        if proof.is_empty() && keys.is_empty() {
            missing.push(format!("{what} has no evidence"));
        }
        for wanted in proof {
            match known.shows(wanted, &keys) {
                Some(runs) => runs.iter().for_each(|run| push(&mut keys, run)),
                None if wanted == LINKED_GAPS => missing.push(format!("{what} waits for the linked gaps")),
                None => missing.push(format!("{what} has no evidence of {wanted}")),
            }
        }
        if missing.is_empty() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            self.lines.push(Accepted { line: number, text: line.text.clone(), runs: keys.join(", ") });
            self.shown.push(Shown { line: number, runs: keys });
        }
        self.blocked.append(&mut missing);
    }
}

/// What is known when the lines are looked at.
#[derive(Default)]
struct Known {
    /// The runs that were looked up, each once.
    runs: BTreeMap<String, Result<Evidence, String>>,
    /// The runs that the linked gaps name.
    of_gaps: Vec<String>,
    /// Whether there are linked gaps, and none of them is in the way.
    settled: bool,
}

impl Known {
    fn look_up(&mut self, ctx: &Ctx, run: &str) -> Result<Result<Evidence, String>, Failure> {
        if let Some(known) = self.runs.get(run) {
            return Ok(known.clone());
        }
        if self.runs.len() >= MOST {
            return Err(Failure::failed(format!("more than {MOST} runs are named as evidence of one loop")));
        }
        let found = evidence::look_up(ctx, run)?;
        self.runs.insert(run.to_owned(), found.clone());
        Ok(found)
    }

    /// The runs that show one word of a proof: of those that are named for the line, else the last that a gap names.
    fn shows(&self, wanted: &str, keys: &[String]) -> Option<Vec<String>> {
        if wanted == LINKED_GAPS {
            return self.settled.then(|| self.of_gaps.clone());
        }
        let is_wanted = |run: &&String| matches!(self.runs.get(*run), Some(Ok(evidence)) if evidence.capability == wanted);
        let found = keys.iter().find(is_wanted).or_else(|| self.of_gaps.iter().rev().find(is_wanted));
        found.map(|run| vec![run.clone()])
    }
}

/// The word that stands for a value in a file.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn push(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}
