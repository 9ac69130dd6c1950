//! Every run of the suite is run again: when a scratch workspace goes, `ops receipts replay --all` must agree with each
//! run that was made in it. A test that breaks its workspace on purpose says so with [`crate::scratch::Scratch::breaks`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::scratch::Scratch;

/// Reasons for which a run may not be replayed here. No run of a workspace that nobody broke is `damaged`, and none was
/// made by another host.
const EXPECTED: [&str; 5] = ["no-guest", "erased", "not-kept", "not-recorded", "component"];

/// What came of all workspaces so far.
struct Sum {
    workspaces: usize,
    same: usize,
    not: BTreeMap<String, usize>,
    took: Duration,
}

static SUM: Mutex<Sum> =
    Mutex::new(Sum { workspaces: 0, same: 0, not: BTreeMap::new(), took: Duration::ZERO });

/// Runs everything again that was run in a workspace.
///
/// # Panics
///
/// If a run does not do the same again, or cannot be replayed for a reason that is not expected.
pub(crate) fn check(scratch: &Scratch) {
    let began = Instant::now();
    let all = scratch.ops(&["receipts", "replay", "--all", "--json"]);
    assert!(all.code == 0 || all.code == 1, "replay: exit {}\n{}", all.code, all.stderr);
    let all = all.json();
    let mut sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
    sum.workspaces += 1;
    sum.took += began.elapsed();
    for run in all["runs"].as_array().unwrap() {
        match run["same"].as_bool() {
            Some(true) => sum.same += 1,
            Some(false) => panic!("a run does not do the same again: {run:#}"),
            None => {
                let code = run["not_replayed"]["code"].as_str().unwrap().to_owned();
                assert!(EXPECTED.contains(&code.as_str()), "a run cannot be replayed: {run:#}");
                *sum.not.entry(code).or_default() += 1;
            }
        }
    }
}

/// How many runs were run again, in one line; and whether there were any.
pub fn summary() -> (String, bool) {
    let sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
    let not: Vec<_> = sum.not.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let line = format!(
        "replayed {} runs of {} workspaces in {:.1} s, all the same; not replayed: {}",
        sum.same,
        sum.workspaces,
        sum.took.as_secs_f64(),
        if not.is_empty() { "none".to_owned() } else { not.join(", ") }
    );
    (line, sum.same > 0)
}
