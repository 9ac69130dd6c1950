//! `ops status`: what waits for a person.

use comfy_table::Table;
use ops_policy::visible::visible;
use ops_runner::receipt::Report;
use ops_runner::run::{Arguments, What};
use ops_runner::runner::Runner;
use ops_runner::status::{Item, LISTS, ListState, Listed, Status, Verify};
use serde_json::json;

use super::cap::{drive, listen};
use super::{Outcome, print, print_json};
use crate::args::Status as Args;
use crate::progress::Trace;
use crate::{output, say};

/// Exit 1 where something has to be mended.
pub(crate) fn run(runner: &Runner, args: &Args) -> Outcome {
    let mut lists = [None, None];
    for (report, (capability, _)) in lists.iter_mut().zip(LISTS) {
        *report = list(runner, capability)?;
    }
    let status = runner.status(lists.each_ref().map(Option::as_ref)).map_err(|ending| ending.message)?;
    let code = u8::from(!status.anomalies.is_empty());
    if args.json.json {
        print_json(&serde_json::to_value(&status).map_err(|error| error.to_string())?)?;
        return Ok(code);
    }
    show(&status, args.brief)?;
    for anomaly in &status.anomalies {
        say::error(anomaly);
    }
    Ok(code)
}

/// An ordinary run of a capability that lists something, where it is bound.
fn list(runner: &Runner, capability: &str) -> Result<Option<Report>, String> {
    if !runner.lists(capability) {
        return Ok(None);
    }
    let arguments = Box::new(|_: &_| Ok(Arguments { values: json!({}), dry_run: false }));
    drive(runner, listen(), What::Call { capability: capability.to_owned(), arguments }, &Trace::default())
        .map(Some)
}

fn show(status: &Status, brief: bool) -> Outcome {
    if !brief {
        print(format!("workspace     {}", status.workspace))?;
        print(format!("state         {}", status.state))?;
    }
    print(format!("lock          {}", status.lock))?;
    print(format!("capabilities  {}", status.capabilities))?;
    print(format!("plans         {}", waiting(status.plans.len())))?;
    if !brief && !status.plans.is_empty() {
        print(output::render(super::plan::table(&status.plans)))?;
    }
    print(format!("unknown runs  {}", count(status.unknown.len())))?;
    for (name, listed) in [("loops", &status.loops), ("gaps", &status.gaps)] {
        print(format!("{name:12}  {}", opened(listed)))?;
        if !brief && !listed.open.is_empty() {
            print(output::render(table(&listed.open)))?;
        }
    }
    print(format!(
        "last verify   {}",
        status.last_verify.as_ref().map_or_else(|| "never".to_owned(), verified)
    ))
}

fn waiting(plans: usize) -> String {
    match plans {
        0 => "none waits".to_owned(),
        1 => "1 waits".to_owned(),
        several => format!("{several} wait"),
    }
}

fn count(number: usize) -> String {
    if number == 0 { "none".to_owned() } else { number.to_string() }
}

fn opened(listed: &Listed) -> String {
    match listed.state {
        ListState::NotBound => "not bound".to_owned(),
        ListState::Failed => "could not be listed".to_owned(),
        ListState::Listed if listed.count == 0 => "none is open".to_owned(),
        ListState::Listed => format!("{} open", listed.count),
    }
}

/// Every one of them is open, so that need not be said; and what they are about only where the list says it.
fn table(items: &[Item]) -> Table {
    let text = |text: &Option<String>| text.as_deref().map(visible).unwrap_or_default();
    let titled = items.iter().any(|item| item.title.is_some());
    let mut table = output::table(if titled { &["id", "weight", "what"][..] } else { &["id", "weight"] });
    for item in items {
        let row = [visible(&item.id), text(&item.weight), text(&item.title)];
        table.add_row(row.into_iter().take(if titled { 3 } else { 2 }));
    }
    table
}

fn verified(verify: &Verify) -> String {
    let age = match verify.age {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    format!("{}, {age} ago, {}", verify.status, verify.capability)
}
