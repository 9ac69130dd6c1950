//! Whether a loop can be closed: what stands in the way, and what shows each line of its acceptance.
//!
//! In this order: each linked gap is closed by runs that are evidence, or belongs to another loop, or has a blocker with
//! evidence; then each line of the acceptance is shown. A run shows a line if somebody names it for that line, or if the
//! scope's `proof` names its capability there and a linked gap or somebody names the run. All that is missing is said at once.

use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::Serialize;

use crate::acceptance::Line;
use crate::evidence::{Evidence, Runs};
use crate::gap::Gap;
use crate::gaps::{FILE, GapFile};
use crate::scope::{LINKED_GAPS, Scope, Shown};
use crate::word;

/// How many runs are looked up for one loop.
pub const MOST: usize = 150;
/// How much of a line of the acceptance is said again, in characters.
const SAID: usize = 60;

/// What became of a linked gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Linked {
    /// Its id.
    pub gap: String,
    /// `fixed`, `closed`, `reparented to LOOP-ID` or `blocked (class)`.
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
    pub blocked: Vec<Obstacle>,
}

/// One thing that stands in the way of closing a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub what: String,
    /// Where it is.
    pub at: Place,
}

/// Where something stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a gap of this id.
    Gap(String),
    /// At a line of the scope file, from 1.
    Line(usize),
    /// At a run that is named and is no evidence.
    Run,
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
    runs: &mut Runs,
) -> Result<Account, Failure> {
    let mut known = Known::default();
    let mut account = Account::default();
    for id in linked(scope, gaps) {
        match gaps.find(&id) {
            Ok(gap) => account.gap(ctx, scope, gap, runs, &mut known)?,
            Err(why) => account.block(why.why(), Place::Gap(id)),
        }
    }
    known.settled = account.blocked.is_empty() && !account.gaps.is_empty();
    if scope.body.acceptance.is_empty() {
        let what = "it has no acceptance: write what must hold as a list under `## Acceptance`".to_owned();
        account.block(what, Place::Line(1));
    }
    for (place, line) in scope.body.acceptance.iter().enumerate() {
        let proof = scope.front.proof.get(place).map_or(&[][..], Vec::as_slice);
        let line = Wanted { number: place + 1, line, proof };
        let before =
            scope.front.evidence.iter().filter(|shown| usize::try_from(shown.line) == Ok(line.number));
        let before = before.flat_map(|shown| shown.runs.iter()).map(|run| (run, false));
        let given = named.iter().filter(|(number, _)| *number == line.number).map(|(_, run)| (run, true));
        let mut found = Vec::new();
        for (run, is_given) in before.chain(given) {
            // A line of the gaps may keep each run of theirs.
            let admits = if line.is_of_gaps() { scope.front.proof.concat() } else { proof.to_vec() };
            match runs.get(ctx, run, &admits)? {
                Ok(evidence) if is_given && !line.is_served_by(&evidence) => {
                    let what = format!(
                        "--evidence {}={run}: a run of {} does not serve {line}; name one of {}",
                        line.number,
                        evidence.capability,
                        proof.join(" or ")
                    );
                    account.block(what, Place::Line(line.line.at));
                }
                Ok(evidence) if found.contains(&evidence) => {}
                Ok(evidence) => found.push(evidence),
                Err(why) => account.block(format!("line {}: {why}", line.number), Place::Run),
            }
        }
        account.line(&known, &line, &found);
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

/// A line of the acceptance, and the words of its proof.
struct Wanted<'a> {
    number: usize,
    line: &'a Line,
    proof: &'a [String],
}

impl std::fmt::Display for Wanted<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "line {} ({:?})", self.number, word::cut(&self.line.text, SAID))
    }
}

impl Wanted<'_> {
    fn is_of_gaps(&self) -> bool {
        self.proof.iter().any(|wanted| wanted == LINKED_GAPS)
    }

    fn is_served_by(&self, evidence: &Evidence) -> bool {
        self.proof.is_empty() || self.is_of_gaps() || self.proof.iter().any(|wanted| evidence.shows(wanted))
    }
}

impl Account {
    fn block(&mut self, what: String, at: Place) {
        self.blocked.push(Obstacle { what, at });
    }

    /// One linked gap.
    fn gap(
        &mut self,
        ctx: &Ctx,
        scope: &Scope,
        gap: &Gap,
        runs: &mut Runs,
        known: &mut Known,
    ) -> Result<(), Failure> {
        let mut proof = Vec::new();
        let (state, keys) = match (&gap.parent_loop, &gap.blocker_class) {
            (Some(parent), _) if *parent != scope.front.loop_id => {
                self.gaps.push(Linked {
                    gap: gap.id.clone(),
                    state: format!("reparented to {parent}"),
                    runs: String::new(),
                });
                return Ok(());
            }
            (_, class) if !gap.is_open() && (class.is_none() || !gap.fixed_in.is_empty()) => {
                proof = scope.front.proof.concat();
                (text(&gap.status), gap.fixed_in.as_slice())
            }
            (_, Some(class)) => (format!("blocked ({})", text(class)), gap.blocker_evidence.as_slice()),
            _ => {
                self.block(format!("{} is open", gap.id), Place::Gap(gap.id.clone()));
                return Ok(());
            }
        };
        let mut is_shown = false;
        for run in keys {
            match runs.get(ctx, run, &proof)? {
                Ok(evidence) => {
                    is_shown |= !evidence.is_dry;
                    known.of_gaps.push(evidence);
                }
                Err(why) => self.block(format!("{}: {why}", gap.id), Place::Run),
            }
        }
        if !is_shown {
            known.unshown.push(gap.id.clone());
        }
        self.gaps.push(Linked { gap: gap.id.clone(), state, runs: keys.join(", ") });
        Ok(())
    }

    /// One line of the acceptance, for which these runs are named. All that it misses is said in one line.
    fn line(&mut self, known: &Known, line: &Wanted, named: &[Evidence]) {
        let mut keys: Vec<String> = named.iter().map(|evidence| evidence.run.clone()).collect();
        let (mut missing, mut waits) = (Vec::new(), None);
        for wanted in line.proof {
            if wanted == LINKED_GAPS {
                known.of_gaps.iter().for_each(|evidence| push(&mut keys, &evidence.run));
                waits = known.why_gaps_wait();
                continue;
            }
            match named.iter().chain(known.of_gaps.iter().rev()).find(|evidence| evidence.shows(wanted)) {
                Some(evidence) => push(&mut keys, &evidence.run),
                None => missing.push(wanted.as_str()),
            }
        }
        let of = missing.join(", ");
        let why = match (missing.is_empty(), waits) {
            (true, None) if keys.is_empty() => "has no evidence".to_owned(),
            (true, None) => {
                let number = u32::try_from(line.number).unwrap_or(u32::MAX);
                self.lines.push(Accepted {
                    line: number,
                    text: line.line.text.clone(),
                    runs: keys.join(", "),
                });
                self.shown.push(Shown { line: number, runs: keys });
                return;
            }
            (true, Some(waits)) => waits,
            (false, None) => format!("has no evidence of {of}"),
            (false, Some(waits)) => format!("has no evidence of {of}, and {waits}"),
        };
        self.block(format!("{line} {why}"), Place::Line(line.line.at));
    }
}

/// What is known when the lines are looked at.
#[derive(Default)]
struct Known {
    /// The runs that the linked gaps name.
    of_gaps: Vec<Evidence>,
    /// The gaps that are closed, and of which no run shows it.
    unshown: Vec<String>,
    /// Whether there are linked gaps, and none of them is in the way.
    settled: bool,
}

impl Known {
    /// Why the linked gaps show nothing yet.
    fn why_gaps_wait(&self) -> Option<String> {
        match (self.settled, self.unshown.join(", ")) {
            (false, _) => Some("waits for the linked gaps".to_owned()),
            (true, gaps) if gaps.is_empty() => None,
            (true, gaps) => Some(format!(
                "waits for the linked gaps: no run shows why {gaps} was closed; name runs in its fixed_in ({FILE})"
            )),
        }
    }
}

/// The word that stands for a value in a file.
fn text(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn push(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}
