//! `ops doctor`: what this host can resist.

use std::path::Path;

use ops_runner::doctor::{State, unopened};
use ops_runner::runner::Runner;
use ops_runner::workspace::Workspace;
use serde_json::json;

use super::{Outcome, print, print_json};

/// Exit 1 where something is bad: nothing runs, or not all of it.
pub(crate) fn run(named: Option<&Path>, json: bool) -> Outcome {
    let here = std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?;
    let root = Workspace::locate(named, &here).map_err(|error| error.to_string())?;
    // A workspace that cannot be opened is what somebody who asks here wants to hear about.
    let checks = match Workspace::open(&root).and_then(Runner::open) {
        Ok(runner) => runner.doctor(),
        Err(error) => unopened(error.to_string()),
    };
    let code = u8::from(checks.iter().any(|check| check.state == State::Bad));
    if json {
        print_json(&json!({"checks": checks}))?;
        return Ok(code);
    }
    for check in &checks {
        let text = check.text.replace('\n', "\n                    ");
        print(format!("{:5} {:13} {text}", check.state.as_str(), check.what))?;
    }
    Ok(code)
}
