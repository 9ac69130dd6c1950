//! How often an action was tried, and when last.
//!
//! An attempt is a run of the action's capability that the host started on the word of a dispatch. Which action that
//! dispatch chose is in its output; where that was erased, the attempt counts: better one too few than one too many.

use infra_common::recovery::{Action, Pace};
use jiff::{SignedDuration, Timestamp};
use ops_guest::{Ctx, Failure, records};
use serde_json::Value;

/// How many runs of the action's capability are looked at, and how many dispatches are asked for their choice.
const RUNS: u32 = 200;
const DISPATCHES: usize = 40;

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

/// What was tried.
pub(crate) struct Attempts {
    /// How often, within the window.
    pub(crate) count: u64,
    /// When last.
    last: Option<Timestamp>,
}

impl Attempts {
    /// Counts the attempts since then.
    pub(crate) fn count(ctx: &Ctx, action: &Action, since: Timestamp) -> Result<Self, Failure> {
        let mut attempts = Self { count: 0, last: None };
        let mut asked = 0;
        for run in records::runs(ctx, Some(&action.start.capability), RUNS)? {
            let Some(dispatch) = run.started_by else { continue };
            let at: Timestamp = run.at.parse().map_err(|error| {
                Failure::failed(format!("the run {} has a time that cannot be read: {error}", run.run))
            })?;
            if at < since {
                continue;
            }
            asked += 1;
            // So many attempts of all actions together are out of hand, and are not told apart any more.
            if asked > DISPATCHES || chose(ctx, &dispatch, &action.id)? {
                attempts.count += 1;
                attempts.last = attempts.last.max(Some(at));
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

/// Whether a dispatch chose this action.
fn chose(ctx: &Ctx, dispatch: &str, action: &str) -> Result<bool, Failure> {
    let output = records::output(ctx, dispatch)?;
    Ok(output.is_none_or(|output| output.get("action").and_then(Value::as_str) == Some(action)))
}
