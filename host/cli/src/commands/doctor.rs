//! `ops doctor`: what this host can resist.

use ops_runner::doctor::State;
use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, print, print_json};

/// Exit 1 where something is bad: nothing runs, or not all of it.
pub(crate) fn run(runner: &Runner, json: bool) -> Outcome {
    let checks = runner.doctor();
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
