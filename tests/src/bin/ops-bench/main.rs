//! What things cost, against their budgets and beside what could be done instead, measured in turns on one machine.
//!
//! Each part measures the programs that were built (`OPS`, `GUESTS`; see `make bench`) in a scratch workspace on the RAM
//! disk and makes figures of that ([`figure`]): processes from start to end ([`mod@cold`]), warm runs within a
//! process ([`mod@warm`]), agents ([`mod@agents`]), commits that are waited for ([`mod@commits`]). All of them make a report ([`mod@report`]), which can be checked and recorded. How costs
//! grow ([`mod@growth`]), and whether a server stays as it is ([`mod@soak`]), are programs of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::print_stdout,
    reason = "a bench that cannot measure has nothing to go on with, and prints what it measured"
)]

mod agents;
mod amount;
mod bare;
mod client;
mod cold;
mod commits;
mod constant;
mod figure;
mod growth;
mod machine;
mod plot;
mod process;
mod report;
mod site;
mod soak;
mod system;
mod table;
mod warm;
mod within;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use figure::Figure;
use machine::Machine;
use report::Report;

fn main() -> ExitCode {
    if ops_runner::worker::is_one() {
        return ops_runner::worker::main();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [constant::WORD] => constant::serve(),
        [commits::WORD, status] => within::print(&commits::here(status)),
        [warm::CONFINED] => within::print(&warm::confined()),
        [warm::WORD] => within::print(&warm::here()),
        ["all", file] => all(Path::new(file)),
        ["agents"] => show(&agents()),
        ["cold"] => show(&cold()),
        ["warm"] => show(&warm::figures()),
        ["commits"] => show(&commits::figures()),
        ["growth", folder] => growth::measure(Path::new(folder)),
        ["soak"] => {
            let time = Duration::from_secs(number("SOAK_SECONDS", 3600) as u64);
            let state = std::env::var_os("SOAK_STATE").map(PathBuf::from);
            return if soak::soak(time, state.as_deref()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        ["check", file] => return check(&Report::read(Path::new(file))),
        ["record", file, history] => Report::read(Path::new(file)).record(Path::new(history)),
        _ => {
            println!(
                "one of: all REPORT, agents, cold, warm, commits, growth FOLDER, soak, check REPORT, record REPORT HISTORY"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Measures everything, and writes the report.
fn all(file: &Path) {
    let mut report = Report::begin(Machine::this(site::file_system()));
    for part in [cold, warm::figures, agents, commits::figures] {
        report.extend(part());
    }
    report.write(file);
    println!("{}", report.text());
}

/// Says what falls short of its budget.
fn check(report: &Report) -> ExitCode {
    let short = report.short();
    if short.is_empty() {
        println!("every budget is met");
        return ExitCode::SUCCESS;
    }
    let short: Vec<_> = short.into_iter().cloned().collect();
    println!("{} of the budgets are not met:\n{}", short.len(), table::text(&short));
    ExitCode::FAILURE
}

fn agents() -> Vec<Figure> {
    let calls = agents::Calls {
        one_by_one: number("ONE_BY_ONE", 5000),
        in_flight: number("IN_FLIGHT", 20_000),
        more: number("CALLS", 20_000),
    };
    agents::figures(calls)
}

fn cold() -> Vec<Figure> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/seed.sh");
    let wasmtime =
        std::env::var("WASMTIME").expect("WASMTIME names the engine's own program; `make bench` installs it");
    cold::figures(&wasmtime, here, number("RUNS", 100))
}

/// A number of the environment.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn show(figures: &[Figure]) {
    println!("{}", table::text(figures));
}
