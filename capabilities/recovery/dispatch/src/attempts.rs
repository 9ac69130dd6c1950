//! How often an action was tried, and when last.
//!
//! An attempt is an earlier dispatch that was no dry run and whose output names the same start. It counts where a run
//! was started on its word, whatever became of that but a denial: then nothing was tried. The receipt of a dispatch, which
//! only reads, does not tell a dry run from another one, so that one without such a run does not count.
//!
//! Where the output is gone, because it was erased, the dispatch counts if a run of the same capability was started on
//! its word: better one too few than one too many.

use infra_common::recovery::{Action, Pace};
use jiff::{SignedDuration, Timestamp};
use ops_guest::records::{self, Run};
use ops_guest::{Ctx, Failure};
use serde_json::{Value, json};

/// The capability whose runs are the attempts: this one.
const DISPATCH: &str = "recovery.dispatch";
/// How many runs are asked for, which is all that the host tells. Dry runs are among them.
const RUNS: u32 = 1000;
/// How many dispatches are asked what they chose. Older ones are taken as if that was erased.
const ASKED: usize = 250;
/// The status of a run that was refused.
const DENIED: &str = "denied";

/// Whether an action is due. Of several, the greatest is done: what helps comes before what calls somebody, and that
/// before waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// It was tried a while ago, and is given until then to help.
    Resting(Timestamp),
    /// It was tried often enough.
    Spent,
    /// It is to be started.
    Now,
}

/// The dispatches before this one.
pub(crate) struct Earlier(Vec<Dispatch>);

struct Dispatch {
    run: String,
    at: Timestamp,
    /// What it started; nothing where it chose to start nothing, or where that is no longer known.
    start: Option<Value>,
    /// Whether what it chose is not known.
    erased: bool,
}

impl Earlier {
    /// Those since then that were no dry runs.
    pub(crate) fn since(ctx: &Ctx, since: Timestamp) -> Result<Self, Failure> {
        let mut earlier = vec![];
        for run in records::runs(ctx, Some(DISPATCH), RUNS)? {
            let at = time(&run)?;
            if run.dry_run || at < since {
                continue;
            }
            let output = if earlier.len() < ASKED { records::output(ctx, &run.run)? } else { None };
            let erased = output.is_none();
            let start = output.and_then(|output| output.get("start").cloned());
            earlier.push(Dispatch { run: run.run, at, start, erased });
        }
        Ok(Self(earlier))
    }
}

/// What was tried.
pub(crate) struct Attempts {
    /// How often, within the window.
    pub(crate) count: u64,
    /// When last.
    last: Option<Timestamp>,
}

impl Attempts {
    /// Counts the attempts since then.
    pub(crate) fn count(
        ctx: &Ctx,
        earlier: &Earlier,
        action: &Action,
        since: Timestamp,
    ) -> Result<Self, Failure> {
        let start = json!({"capability": action.start.capability, "arguments": action.start.arguments});
        let mut attempts = Self { count: 0, last: None };
        if earlier.0.is_empty() {
            return Ok(attempts);
        }
        let runs = records::runs(ctx, Some(&action.start.capability), RUNS)?;
        for dispatch in earlier.0.iter().filter(|dispatch| dispatch.at >= since) {
            let started: Vec<_> =
                runs.iter().filter(|run| run.started_by.as_ref() == Some(&dispatch.run)).collect();
            let denied = started.iter().all(|run| run.status == DENIED);
            let counts = match (&dispatch.start, dispatch.erased) {
                (Some(named), _) => *named == start && !denied,
                (None, erased) => erased && !denied,
            };
            if counts {
                attempts.count += 1;
                attempts.last = attempts.last.max(Some(dispatch.at));
            }
            // What waited for its approval is given its time from when it was carried out.
            for run in started.iter().filter(|run| counts && run.status != DENIED) {
                attempts.last = attempts.last.max(Some(time(run)?));
            }
        }
        Ok(attempts)
    }

    /// Whether the action is due. The last attempt is given its time before somebody is called, too.
    pub(crate) fn due(&self, pace: Pace, now: Timestamp) -> Due {
        let rested = self.last.map(|last| last + seconds(pace.cooldown_seconds));
        match rested {
            Some(rested) if rested > now => Due::Resting(rested),
            _ if self.count >= u64::from(pace.max_attempts) => Due::Spent,
            _ => Due::Now,
        }
    }
}

pub(crate) fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(count))
}

fn time(run: &Run) -> Result<Timestamp, Failure> {
    run.at.parse().map_err(|error| {
        Failure::failed(format!("the run {} has a time that cannot be read: {error}", run.run))
    })
}
