//! `ops cap`: list, show and run capabilities.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ops_runner::ending::Status;
use ops_runner::receipt::Report;
use ops_runner::run::{Actor, Arguments, Cause, Order, Standing, What};
use ops_runner::runner::Runner;
use ops_runner::show::plan_text;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Outcome, open, open_for_a_run, print, print_json};
use crate::args::Cap;
use crate::progress::{Progress, Trace};
use crate::terminal::Terminal;
use crate::{flags, output, say};

pub(crate) fn run(workspace: Option<&Path>, command: Cap) -> Outcome {
    match command {
        Cap::List(json) => list(&open(workspace)?, json.json),
        Cap::Show { name, json } => show(&open(workspace)?, &name, json.json),
        Cap::Resume { run, trace_checks, json } => {
            let runner = open(workspace)?;
            let trace = Trace::default();
            trace.set(trace_checks);
            let report = drive(&runner, listen(), What::Resume { run }, &trace)?;
            finish(&runner, &report, json.json)
        }
        Cap::Run { words } => match words.split_first() {
            None => Err("name a capability; `ops cap list` lists them".into()),
            Some((first, _)) if first == "--help" || first == "-h" => print(
                "Usage: ops cap run NAME [FLAGS]\n\nRuns a capability. `ops cap run NAME --help` lists its flags.",
            ),
            Some((name, words)) => {
                let listening = listen();
                call(&open_for_a_run(workspace)?, listening, name, words)
            }
        },
    }
}

fn list(runner: &Runner, json: bool) -> Outcome {
    let rows = runner.catalogue().map_err(|refusal| refusal.to_string())?;
    if json {
        return print_json(&json!({"capabilities": rows}));
    }
    if rows.is_empty() {
        say::note("no capability is bound here; `ops bind NAME FILE.wasm` writes a binding");
        return Ok(0);
    }
    let mut table = output::table(&["capability", "safety", "approval", "what it does"]);
    for row in &rows {
        let what = row.fault.as_deref().map_or_else(
            || row.summary.clone(),
            |fault| format!("NOT RUNNABLE: {}", fault.lines().next().unwrap_or_default()),
        );
        table.add_row([&row.name, &row.safety, &row.approval, &what]);
    }
    print(output::render(table))
}

fn show(runner: &Runner, name: &str, json: bool) -> Outcome {
    let shown = match runner.describe(name) {
        Ok(shown) => shown,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json { print_json(&shown.json()) } else { print(shown.text()) }
}

/// `ops cap run NAME …`
pub(crate) fn call(runner: &Runner, listening: Listening, name: &str, words: &[String]) -> Outcome {
    // Where the words are never read as flags, a program that gave this one waits for an envelope all the same.
    let json = Cell::new(words.iter().any(|word| word == "--json"));
    let help = Cell::new(None);
    let trace = Trace::default();
    // Decisions are made before the words can be read by the capability's schema.
    trace.set(words.iter().any(|word| word == "--trace-checks"));
    let report = {
        let arguments = Box::new(|manifest: &_| match flags::read(manifest, words) {
            Ok(typed) => {
                json.set(typed.json);
                trace.set(typed.trace);
                Ok(Arguments { values: typed.values, dry_run: typed.dry_run })
            }
            Err(error) => {
                let text = error.render().to_string();
                help.set(Some(error));
                Err(text)
            }
        });
        drive(runner, listening, What::Call { capability: name.to_owned(), arguments }, &trace)?
    };
    // Help and clap's own errors are printed by clap, with its colours and to its stream.
    if let Some(error) = help.take() {
        let _ = error.print();
        if !error.use_stderr() {
            return Ok(0);
        }
        if json.get() {
            print_json(&output::envelope(&report))?;
        }
        return Ok(2);
    }
    finish(runner, &report, json.get())
}

/// Runs an order to its end, with Ctrl-C, progress and the person at the terminal.
pub(crate) fn drive(
    runner: &Runner,
    listening: Listening,
    what: What<'_>,
    trace: &Trace,
) -> Result<Report, String> {
    let engine = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let cancelled = listening.begun()?;
    if let Some(lacking) = runner.unconfined() {
        say::note(lacking);
    }
    let progress = Progress::new();
    let mut terminal = Terminal::new(cancelled.clone());
    let order = Order {
        cause: Cause::Asked,
        what,
        actor: actor(),
        reports: progress.sink(),
        trace: progress.trace(trace),
        cancel: cancelled,
    };
    let report = engine.block_on(async {
        let run = runner.run(order, &mut terminal);
        tokio::pin!(run);
        loop {
            tokio::select! {
                report = &mut run => return report,
                () = tokio::time::sleep(Duration::from_millis(250)) => progress.wake(),
            }
        }
    });
    progress.end();
    Ok(report)
}

/// A thread that turns Ctrl-C and SIGTERM into the wish that a run ends.
pub(crate) struct Listening {
    cancelled: watch::Receiver<bool>,
    ready: mpsc::Receiver<std::io::Result<()>>,
}

impl Listening {
    /// Waits until it listens, which is before the run begins.
    fn begun(self) -> Result<watch::Receiver<bool>, String> {
        let fail = |error: &dyn std::fmt::Display| format!("signals cannot be listened to: {error}");
        self.ready.recv().map_err(|error| fail(&error))?.map_err(|error| fail(&error))?;
        Ok(self.cancelled)
    }
}

/// Starts to listen, on a thread of its own, so that a run that waits at a prompt hears it too.
pub(crate) fn listen() -> Listening {
    let (cancel, cancelled) = watch::channel(false);
    let (listens, ready) = mpsc::channel();
    let listen = async move |listens: mpsc::Sender<std::io::Result<()>>| {
        let signals =
            signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
        let (mut interrupt, mut terminate) = match signals {
            Ok(signals) => signals,
            Err(error) => return listens.send(Err(error)).unwrap_or_default(),
        };
        listens.send(Ok(())).unwrap_or_default();
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !cancel.send_replace(true) {
                say::note("stopping; an effect in flight is waited for");
            }
        }
    };
    std::thread::spawn(move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(engine) => engine.block_on(listen(listens)),
        Err(error) => listens.send(Err(error)).unwrap_or_default(),
    });
    Listening { cancelled, ready }
}

pub(crate) fn actor() -> Actor {
    Actor {
        kind: "human",
        id: ops_runner::user_name(),
        via: "cli",
        client: concat!("ops/", env!("CARGO_PKG_VERSION")).to_owned(),
        standing: Standing::Person,
    }
}

/// Shows what came of a run; returns its exit code.
pub(crate) fn finish(runner: &Runner, report: &Report, json: bool) -> Outcome {
    if json {
        print_json(&output::envelope(report))?;
    }
    if let Some(plan) = &report.plan
        && (report.dry_run
            || matches!(report.ending.status, Some(Status::Planned | Status::Stale | Status::Partial)))
    {
        let last = runner.last_applied(&plan.capability, &plan.id);
        say::note(plan_text(plan, last.as_ref()));
    }
    if let (false, Some(value)) = (json, &report.output) {
        print(output::text(value).trim_end())?;
    }
    let told = |text: &str| report.ending.message.contains(text);
    for (what, refused) in &report.denied {
        let times = if refused.count == 1 { String::new() } else { format!(", {} times", refused.count) };
        if !told(what) {
            say::note(format!("refused: {what}{times}"));
        }
        if let Some(lines) = refused.suggestion.as_ref().filter(|lines| !told(lines)) {
            say::note(format!("the rule that would allow it, for review:\n{lines}"));
        }
    }
    say::ending(&report.ending);
    if let Some(key) = &report.key
        && report.ending.status.is_some()
    {
        say::dim(format!("run key  {key}"));
    }
    if let Some(folder) = &report.receipt {
        say::dim(format!("receipt  {}", folder.join("receipt.md").display()));
    }
    if let Some(bytes) = report.not_kept {
        say::note(format!(
            "warning: {bytes} bytes of evidence were not kept, only their digests: `records: {{store: …}}` of ops.yaml has no room"
        ));
    }
    if let Some(fault) = &report.export_fault {
        say::note(format!("warning: the receipt is in the ledger, but could not be written out: {fault}"));
    }
    match &report.started {
        Some(started) => {
            say::note(format!("started on its word: {}", started.capability));
            finish_started(runner, started, json)
        }
        None => Ok(report.ending.exit),
    }
}

/// The same for what a run had started. It is in that run's envelope, so no second one is printed.
fn finish_started(runner: &Runner, started: &Report, json: bool) -> Outcome {
    if json {
        say::ending(&started.ending);
        return Ok(started.ending.exit);
    }
    finish(runner, started, false)
}
