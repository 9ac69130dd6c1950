//! One file for each group of commands. Each returns the exit code, or a text about wrong usage (exit 2).

mod audit;
mod cap;
mod diff;
mod doctor;
mod explain;
mod inspect;
mod ledger;
mod loops;
mod mcp;
mod plan;
mod prune;
mod receipts;
mod replay;
mod review;
mod runs;
mod schedule;
mod setup;
mod status;
mod suggest;
mod sync;

use std::path::Path;

use ops_policy::visible;
use ops_runner::runner::Runner;
use ops_runner::workspace::{Workspace, WorkspaceError};

use crate::args::{Cli, Command};
use crate::say;

/// What a command returns: its exit code, or what was wrong with the words.
pub(crate) type Outcome = Result<u8, String>;

pub(crate) fn run(cli: Cli) -> Outcome {
    let workspace = cli.workspace.as_deref();
    match cli.command {
        Command::Init(init) => setup::init(&init),
        Command::Trust(trust) => setup::trust(&open_workspace(workspace)?, &trust),
        Command::Doctor(json) => doctor::run(workspace, json.json),
        Command::Bind(bind) => setup::bind(&open(workspace)?, &bind),
        Command::Pin(pin) => setup::pin(&open(workspace)?, &pin),
        Command::Status(args) => status::run(&open(workspace)?, &args),
        Command::Sync(args) => sync::run(&open(workspace)?, &args),
        Command::Cap(command) => cap::run(workspace, command),
        Command::Loops(command) => loops::run(&open(workspace)?, command),
        Command::Schedule(command) => schedule::run(workspace, command),
        Command::Explain(asked) => explain::run(&open(workspace)?, asked),
        Command::Diff(args) => diff::run(workspace, &args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Audit(args) => audit::run(&open(workspace)?, args),
        Command::Suggest(asked) => suggest::run(&open(workspace)?, asked),
        Command::Review(command) => review::run(workspace, command),
        Command::Plan(command) => plan::run(workspace, command),
        Command::Runs(command) => runs::run(workspace, command),
        Command::Receipts(command) => receipts::run(workspace, command),
        Command::Ledger(command) => ledger::run(workspace, command),
        Command::Mcp(command) => mcp::run(workspace, command),
    }
}

pub(crate) fn open_workspace(named: Option<&Path>) -> Result<Workspace, String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?;
    let root = Workspace::locate(named, &here).map_err(|error| error.to_string())?;
    Workspace::open(&root).map_err(|error| error.to_string())
}

/// Opens the workspace for work: it must be trusted on this host.
pub(crate) fn open(named: Option<&Path>) -> Result<Runner, String> {
    opened(Runner::open(open_workspace(named)?))
}

/// The same for a command that runs a capability at once.
pub(crate) fn open_for_a_run(named: Option<&Path>) -> Result<Runner, String> {
    opened(Runner::open_for_a_run(open_workspace(named)?))
}

fn opened(runner: Result<Runner, WorkspaceError>) -> Result<Runner, String> {
    let runner = runner.map_err(|error| error.to_string())?;
    for told in runner.recovered() {
        say::note(told);
    }
    Ok(runner)
}

/// Prints a JSON document.
pub(crate) fn print_json(value: &serde_json::Value) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    print(visible::json(&text))
}

/// Prints to standard output. A reader that has gone away is no error.
pub(crate) fn print(text: impl std::fmt::Display) -> Outcome {
    let _ = say::print(text);
    Ok(0)
}
