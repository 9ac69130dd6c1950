//! What things cost, against their budgets and beside what could be done instead, measured in turns on one machine.
//!
//! Each part measures the programs that were built (`OPS`, `GUESTS`; see `make bench`) in a scratch workspace on the RAM
//! disk and makes figures of that ([`figure`]): processes from start to end ([`cold`]), agents ([`agents`]).

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
mod client;
mod cold;
mod constant;
mod figure;
mod machine;
mod process;
mod site;
mod system;
mod table;

use std::process::ExitCode;

use figure::Figure;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [constant::WORD] => constant::serve(),
        ["agents"] => show(&agents()),
        ["cold"] => show(&cold()),
        _ => {
            println!("one of: cold, agents");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
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
