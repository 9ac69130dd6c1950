//! The effects: what is run and written in the machine.
//!
//! Every command may be run again without harm. The first words of each are fixed, so that a binding can say in a rule's
//! `body:` which commands may be run at all.

use std::time::Duration;

use infra_common::agreed::Agreed;
use infra_common::profile::CronHook;
use infra_common::pve::{self, Vm};
use ops_guest::{Ctx, Failure, PLACEHOLDER, Request, Response, Undo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::seen::{self, Seen};

/// How often a process is asked about, and how long it may take.
const EVERY: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// One step, planned or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Step {
    step: String,
    /// `planned` or `done`.
    state: Progress,
    /// The exit code, where it ran something.
    exit_code: Option<i64>,
    /// The end of what it printed.
    printed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Planned,
    Done,
}

impl Step {
    /// Whether it was not done yet.
    pub(crate) fn is_planned(&self) -> bool {
        self.state == Progress::Planned
    }

    fn new(step: &str, done: Option<Ended>) -> Self {
        let state = if done.is_some() { Progress::Done } else { Progress::Planned };
        let (exit_code, printed) = match done {
            Some(ended) => (ended.code, Some(ended.printed).filter(|text| !text.is_empty())),
            None => (None, None),
        };
        Self { step: step.to_owned(), state, exit_code, printed }
    }
}

/// A process that ended well, or a file that was written.
#[derive(Default)]
struct Ended {
    code: Option<i64>,
    printed: String,
}

/// Takes each step that is missing, or plans it.
pub(crate) fn take(ctx: &Ctx, vm: &Vm<'_>, agreed: &Agreed, missing: &Seen) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    if !missing.packages.is_empty() {
        steps.push(refresh().run(ctx, vm)?);
        steps.push(install(&missing.packages).run(ctx, vm)?);
    }
    if !missing.services.is_empty() {
        steps.push(enable(&missing.services).run(ctx, vm)?);
    }
    if missing.tailnet {
        steps.push(join(&agreed.target.hostname).run(ctx, vm)?);
    }
    for hook in &missing.hooks {
        steps.push(write(ctx, vm, hook)?);
    }
    Ok(steps)
}

/// A command that is run in the machine.
struct Command {
    step: &'static str,
    /// For the approver.
    what: String,
    body: Value,
    undo: Undo,
}

fn refresh() -> Command {
    Command {
        step: "package-lists",
        what: "refresh the package lists".to_owned(),
        body: json!({"command": ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update", "-q"]}),
        undo: Undo::by_hand("nothing to do: package lists are refreshed all the time"),
    }
}

fn install(packages: &[String]) -> Command {
    // Settings that somebody changed are kept, without asking.
    let fixed = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        "--",
    ];
    let command: Vec<_> = fixed.into_iter().chain(packages.iter().map(String::as_str)).collect();
    Command {
        step: "packages",
        what: format!("install {}", packages.join(", ")),
        body: json!({"command": command}),
        undo: Undo::by_hand(format!("in the machine: apt-get remove {}", packages.join(" "))),
    }
}

fn enable(services: &[String]) -> Command {
    let units: Vec<_> = services.iter().map(|service| format!("{service}.service")).collect();
    let command: Vec<_> =
        ["systemctl", "enable", "--now"].into_iter().chain(units.iter().map(String::as_str)).collect();
    Command {
        step: "services",
        what: format!("enable and start {}", services.join(", ")),
        body: json!({"command": command}),
        undo: Undo::by_hand(format!("in the machine: systemctl disable --now {}", units.join(" "))),
    }
}

fn join(hostname: &str) -> Command {
    // By standard input: an argument could be read by everybody in the machine.
    let name = format!("--hostname={hostname}");
    // Without a time, it would wait for ever where the key is not taken.
    let command = ["tailscale", "up", "--auth-key=file:/dev/stdin", "--timeout=2m", &name];
    let undo = "in the machine: tailscale logout; then remove it from the tailnet's list of machines";
    Command {
        step: "tailnet",
        what: format!("join the tailnet as {hostname}"),
        body: json!({"command": command, "input-data": PLACEHOLDER}),
        undo: Undo::by_hand(undo),
    }
}

#[derive(Deserialize)]
struct Started {
    pid: i64,
}

impl Command {
    /// Runs it in the machine and waits for its end.
    fn run(self, ctx: &Ctx, vm: &Vm<'_>) -> Result<Step, Failure> {
        let what = self.what;
        let request = Request::post_json(pve::SERVICE, vm.path("/agent/exec"), &self.body)?;
        let done = ctx.effect(format!("in VM {}: {what}", vm.id), request).undo(self.undo).perform()?;
        let ended = done.then(|answer| {
            ctx.progress(0, None, &format!("waiting: {what}"));
            let ended = ended(ctx, vm, &what, answer)?;
            ctx.progress(0, None, &format!("done: {what}: {}", ended.printed));
            Ok(ended)
        })?;
        Ok(Step::new(self.step, ended))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Process {
    exited: Value,
    #[serde(rename = "exitcode")]
    exit_code: Option<i64>,
    signal: Option<i64>,
    #[serde(default)]
    out_data: String,
    #[serde(default)]
    err_data: String,
}

fn ended(ctx: &Ctx, vm: &Vm<'_>, what: &str, answer: &Response) -> Result<Ended, Failure> {
    let Started { pid } = pve::data(answer)?;
    let process = ctx.poll(what, EVERY, LONGEST, || {
        let process: Process = pve::data(&ctx.fetch(vm.get(&format!("/agent/exec-status?pid={pid}")))?)?;
        // The server tells flags as numbers or as booleans.
        Ok((process.exited == 1 || process.exited == true).then_some(process))
    })?;
    let printed =
        tail(if process.err_data.trim().is_empty() { &process.out_data } else { &process.err_data });
    match (process.exit_code, process.signal) {
        (Some(0), _) => Ok(Ended { code: Some(0), printed: tail(&process.out_data) }),
        (Some(code), _) => {
            Err(Failure::failed(format!("in VM {}: {what}: exit code {code}: {printed}", vm.id)))
        }
        (None, Some(signal)) => {
            Err(Failure::failed(format!("in VM {}: {what}: ended by signal {signal}: {printed}", vm.id)))
        }
        (None, None) => {
            Err(Failure::failed(format!("in VM {}: {what}: ended without an exit code: {printed}", vm.id)))
        }
    }
}

/// The last three lines of an output, in one.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    pve::excerpt(&lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>().join(" / "))
}

/// Writes the file of a job of cron.
fn write(ctx: &Ctx, vm: &Vm<'_>, hook: &CronHook) -> Result<Step, Failure> {
    let file = seen::file_of(hook);
    let what = format!("write {file}: {} {}", hook.schedule, hook.command);
    let body = json!({"file": file, "content": seen::text_of(hook)});
    let request = Request::post_json(pve::SERVICE, vm.path("/agent/file-write"), &body)?;
    let undo = Undo::by_hand(format!("in the machine: rm {file}"));
    let done = ctx.effect(format!("in VM {}: {what}", vm.id), request).undo(undo).perform()?;
    Ok(Step::new(&format!("cron {}", hook.name), done.answer().map(|_| Ended::default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output() {
        assert_eq!(tail("a\n\n b \nc\nd\n"), "b / c / d");
        assert_eq!(tail("\n"), "");
        assert_eq!(tail(&"x".repeat(1000)).chars().count(), 301);
    }
}
