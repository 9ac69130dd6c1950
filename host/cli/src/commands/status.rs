//! `ops status`: what waits for a person.

use ops_runner::runner::Runner;

use super::{Outcome, print, print_json};
use crate::{output, say};

/// Exit 1 where something has to be mended.
pub(crate) fn status(runner: &Runner, json: bool) -> Outcome {
    let status = runner.status().map_err(|ending| ending.message)?;
    let code = u8::from(!status.anomalies.is_empty());
    if json {
        print_json(&serde_json::to_value(&status).map_err(|error| error.to_string())?)?;
        return Ok(code);
    }
    print(format!("workspace     {}", status.workspace))?;
    print(format!("state         {}", status.state))?;
    print(format!("lock          {}", status.lock))?;
    print(format!("capabilities  {}", status.capabilities))?;
    print(format!("plans         {}", if status.plans.is_empty() { "none waits" } else { "" }))?;
    if !status.plans.is_empty() {
        print(output::render(super::plan::table(&status.plans)))?;
    }
    for anomaly in &status.anomalies {
        say::error(anomaly);
    }
    Ok(code)
}
