//! Whole-program tests: the program `ops` as a person uses it, against real guests, files and servers.
//!
//! A test whose server or tool is missing is reported as ignored, with its reason in its name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

mod audit;
mod auditing;
mod cli;
mod confinement;
mod contention;
mod corpus;
mod crash;
mod diffs;
mod faults;
mod fixture;
mod hostile;
mod infra_core;
mod inspect;
mod invoke;
mod json;
mod ledger;
mod live;
mod mcp;
mod network;
mod prune;
mod records;
mod refusals;
mod replay;
mod report;
mod reviewing;
mod reviewing_docs;
mod schedule;
mod secrets;
mod seeds;
mod suggest;
mod sync;
mod tables;
mod torture;
mod unknown;
mod upgrade;
mod verify;
mod verify_docs;
mod verify_gates;
mod width;

use libtest_mimic::Arguments;

#[expect(clippy::print_stdout, reason = "the suite's last word is for people, after the harness's own")]
fn report(line: &str) {
    println!("{line}");
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = [
        hostile::trials(),
        refusals::trials(),
        cli::trials(),
        confinement::trials(),
        contention::trials(),
        torture::trials(),
        unknown::trials(),
        crash::trials(),
        diffs::trials(),
        faults::trials(),
        verify::trials(),
        verify_docs::trials(),
        verify_gates::trials(),
        width::trials(),
        audit::trials(),
        auditing::trials(),
        replay::trials(),
        report::trials(),
        reviewing::trials(),
        reviewing_docs::trials(),
        upgrade::trials(),
        fixture::trials(),
        invoke::trials(),
        seeds::trials(),
        infra_core::trials(),
        inspect::trials(),
        prune::trials(),
        network::trials(),
        schedule::trials(),
        secrets::trials(),
        suggest::trials(),
        sync::trials(),
        tables::trials(),
        corpus::trials(),
        json::trials(),
        ledger::trials(),
        records::trials(),
        live::trials(),
        mcp::trials(),
    ]
    .into_iter()
    .flatten();
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let (line, any) = ops_tests::replayed::summary();
    if !arguments.list {
        report(&line);
    }
    // An empty set agrees with everything.
    let everything = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    if everything && !any && conclusion.num_passed > 0 {
        report("no run of the suite was replayed");
        std::process::exit(1);
    }
    conclusion.exit();
}
