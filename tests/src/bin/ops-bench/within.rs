//! What is measured within a process that is a host itself. It is this program again, started by itself in a scratch
//! workspace, because where a host keeps its state is said by its environment.

use std::sync::Arc;

use ops_runner::agents::Answer;
use ops_runner::run::{Actor, Arguments, Cause, Order, Standing, What};
use ops_runner::runner::Runner;
use ops_runner::syncing::Syncing;
use ops_runner::workspace::Workspace;
use ops_runner::writing_out::WritingOut;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::figure::Figure;
use crate::site::Site;

/// Has this program begin a part in the workspace, and returns the figures that it printed last.
pub(crate) fn figures(site: &Site, words: &[&str]) -> Vec<Figure> {
    let mut command = site.command(std::env::current_exe().unwrap());
    let ran = command.args(words).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words:?} ended with {}:\n{said}\n{why}", ran.status);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{words:?}: {error}: {last}"))
}

/// Prints the figures of a part, for the one who began it.
pub(crate) fn print(figures: &[Figure]) {
    println!("{}", serde_json::to_string(figures).unwrap());
}

/// A host in this process, as a front end that stays is one.
pub(crate) struct Host {
    pub(crate) runner: Runner,
    pub(crate) runtime: Runtime,
    /// What a host that stays does beside its runs.
    _beside: (Syncing, WritingOut),
    /// Nobody cancels anything.
    cancel: (watch::Sender<bool>, watch::Receiver<bool>),
}

impl Host {
    /// The host of the workspace that this process was started in.
    pub(crate) fn here() -> Self {
        let root = Workspace::locate(None, &std::env::current_dir().unwrap()).unwrap();
        let runner = Runner::open(Workspace::open(&root).unwrap()).unwrap();
        runner.keep_workers();
        let fault = |why: String| panic!("{why}");
        let beside = (runner.sync_soon(fault).unwrap(), runner.write_out_soon(fault).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runner, runtime, _beside: beside, cancel: watch::channel(false) }
    }

    /// One run for an agent, from the name to the receipt.
    pub(crate) fn call(&self, capability: &str, arguments: &Value) -> Answer {
        let values = arguments.clone();
        let what = What::Call {
            capability: capability.to_owned(),
            arguments: Box::new(move |_| Ok(Arguments { values: values.clone(), dry_run: false })),
        };
        self.runtime.block_on(self.runner.serve(self.order(what)))
    }

    fn order<'a>(&self, what: What<'a>) -> Order<'a> {
        let actor = Actor {
            kind: "human",
            id: "bench".to_owned(),
            via: "cli",
            client: "ops-bench".to_owned(),
            standing: Standing::Person,
        };
        let cancel = self.cancel.1.clone();
        Order { what, actor, cause: Cause::Asked, reports: Arc::new(|_| {}), trace: Arc::new(|_| {}), cancel }
    }
}
