//! `ops schedule`: timers for read-only capabilities, written for systemd or cron.
//!
//! A capability that changes something has a person's approval between its plan and its changes, so a timer could only
//! leave plans behind; it is refused. What is installed are files in the user's own systemd folder; starting them is left
//! to systemd, by the command that is printed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ops_policy::manifest::Safety;
use ops_runner::runner::Runner;
use serde_json::{Value, json};

use super::{Outcome, open, print, print_json};
use crate::args::{Schedule as Command, Scheduled};
use crate::schedule::{MARK, Schedule, When, refuse};
use crate::{flags, output, say};

pub(crate) fn run(workspace: Option<&Path>, command: Command) -> Outcome {
    let runner = open(workspace)?;
    match command {
        Command::Print(scheduled) => show(&runner, &scheduled),
        Command::Install(scheduled) => install(&runner, &scheduled),
        Command::List(json) => list(&runner, json.json),
        Command::Remove { capability, json } => remove(&runner, &capability, json.json),
    }
}

fn schedule(runner: &Runner, scheduled: &Scheduled) -> Result<Schedule, String> {
    let name = &scheduled.capability;
    let shown = runner.describe(name).map_err(|ending| ending.message)?;
    if shown.safety() != Safety::ReadOnly {
        return Err(format!(
            "{name} is {}: only what is read-only runs by a timer, because a change waits for a person's approval",
            shown.safety().as_str()
        ));
    }
    if !shown.starts().is_empty() {
        return Err(format!(
            "{name} may start {}: what it starts can wait for a person's approval, so nothing starts it by a timer",
            shown.starts().join(", ")
        ));
    }
    // Wrong words are found now, and not in the night.
    flags::read(shown.manifest(), &scheduled.words)
        .map_err(|error| error.render().to_string().trim_start_matches("error: ").trim_end().to_owned())?;
    let when = match (&scheduled.every, &scheduled.at) {
        (Some(every), _) => When::every(every),
        (None, Some(at)) => When::at(at),
        (None, None) => Err("say when: --every 1h, or --at 03:30".to_owned()),
    }?;
    let program = std::env::current_exe().map_err(|error| format!("the program's own path: {error}"))?;
    let root = runner.workspace().root();
    let fixed =
        ["--workspace", &text(root.as_os_str().to_owned())?, "cap", "run", name, "--"].map(str::to_owned);
    let command: Vec<_> = [text(program.into_os_string())?]
        .into_iter()
        .chain(fixed)
        .chain(scheduled.words.iter().cloned())
        .collect();
    if let Some(why) = refuse(&command) {
        return Err(why);
    }
    let state_home =
        std::env::var_os("XDG_STATE_HOME").filter(|home| !home.is_empty()).map(text).transpose()?;
    Ok(Schedule { capability: name.clone(), when, command, state_home })
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("{}: is not UTF-8, which units are written in", word.display()))
}

fn show(runner: &Runner, scheduled: &Scheduled) -> Outcome {
    let schedule = schedule(runner, scheduled)?;
    let name = unit(runner, &schedule.capability);
    if scheduled.json.json {
        return print_json(&document(&schedule, &name));
    }
    print(format!("# {name}.service\n{}", schedule.service()))?;
    print(format!("# {name}.timer\n{}", schedule.timer()))?;
    match schedule.crontab() {
        Some(line) => print(format!("# or, as a line of a crontab\n{line}")),
        None => print("# no crontab can hold it: a word has a line break"),
    }
}

fn document(schedule: &Schedule, unit: &str) -> Value {
    json!({
        "capability": schedule.capability,
        "unit": unit,
        "calendar": schedule.when.calendar(),
        "service": schedule.service(),
        "timer": schedule.timer(),
        "crontab": schedule.crontab(),
    })
}

fn install(runner: &Runner, scheduled: &Scheduled) -> Outcome {
    let schedule = schedule(runner, scheduled)?;
    let name = unit(runner, &schedule.capability);
    let folder = units()?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (ending, text) in [("service", schedule.service()), ("timer", schedule.timer())] {
        let file = folder.join(format!("{name}.{ending}"));
        if file.exists() && !is_ours(&file) {
            return Err(format!("{}: is there, and not from `ops schedule install`", file.display()));
        }
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        say::note(format!("wrote {}", file.display()));
    }
    say::note(format!("next: systemctl --user daemon-reload && systemctl --user enable --now {name}.timer"));
    if scheduled.json.json { print_json(&document(&schedule, &name)) } else { Ok(0) }
}

/// What is installed for this workspace: capability, and when.
fn installed(runner: &Runner) -> Result<Vec<(String, String)>, String> {
    let folder = units()?;
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let prefix = unit(runner, "");
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let capability = name.strip_prefix(&prefix).and_then(|name| name.strip_suffix(".timer"));
        if let Some(capability) = capability.filter(|_| is_ours(&entry.path())) {
            let text = fs::read_to_string(entry.path()).map_err(|error| format!("{name}: {error}"))?;
            let when = text.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap_or_default();
            found.push((capability.to_owned(), when.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn list(runner: &Runner, json: bool) -> Outcome {
    let found = installed(runner)?;
    if json {
        let rows: Vec<_> = found
            .iter()
            .map(|(capability, calendar)| {
                json!({"capability": capability, "calendar": calendar, "unit": unit(runner, capability)})
            })
            .collect();
        return print_json(&json!({"schedules": rows}));
    }
    if found.is_empty() {
        say::note("nothing is scheduled by `ops schedule install` for this workspace");
        return Ok(0);
    }
    let mut table = output::table(&["capability", "when"]);
    for (capability, when) in &found {
        table.add_row([ops_policy::visible::visible(capability), ops_policy::visible::visible(when)]);
    }
    print(output::render(table))
}

fn remove(runner: &Runner, capability: &str, json: bool) -> Outcome {
    ops_policy::name::check(capability).map_err(|error| error.to_string())?;
    let name = unit(runner, capability);
    let folder = units()?;
    let mut removed = Vec::new();
    for file in [format!("{name}.timer"), format!("{name}.service")] {
        let path = folder.join(&file);
        if is_ours(&path) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            removed.push(path.display().to_string());
        }
    }
    if removed.is_empty() {
        return Err(format!("{capability} is not scheduled here; `ops schedule list` lists what is"));
    }
    // What `systemctl enable` made of it.
    let enabled = folder.join(format!("timers.target.wants/{name}.timer"));
    if fs::symlink_metadata(&enabled).is_ok_and(|about| about.is_symlink()) {
        fs::remove_file(&enabled).map_err(|error| format!("{}: {error}", enabled.display()))?;
        removed.push(enabled.display().to_string());
    }
    for path in &removed {
        say::note(format!("removed {path}"));
    }
    say::note(format!("next: systemctl --user stop {name}.timer; systemctl --user daemon-reload"));
    if json { print_json(&json!({"removed": removed})) } else { Ok(0) }
}

/// The name of a capability's units, without their endings. Two workspaces have different ones: the state folder's name
/// ends with a hash of the workspace's path.
fn unit(runner: &Runner, capability: &str) -> String {
    let state = runner.workspace().state().file_name().unwrap_or_default().to_string_lossy();
    format!("ops-{}-{capability}", state.rsplit('-').next().unwrap_or_default())
}

/// The user's own units.
fn units() -> Result<PathBuf, String> {
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    base.map(|base| base.join("systemd/user"))
        .ok_or_else(|| "neither XDG_CONFIG_HOME nor HOME is set".to_owned())
}

/// Whether a file says that we wrote it. A link is nobody's.
fn is_ours(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok_and(|about| about.is_file())
        && fs::read_to_string(file).is_ok_and(|text| text.starts_with(MARK))
}
