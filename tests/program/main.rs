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
mod cli;
mod contention;
mod corpus;
mod crash;
mod faults;
mod hostile;
mod ledger;
mod live;
mod network;
mod refusals;
mod secrets;
mod tables;
mod torture;
mod unknown;
mod verify;
mod verify_docs;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let trials = [
        hostile::trials(),
        refusals::trials(),
        cli::trials(),
        contention::trials(),
        torture::trials(),
        unknown::trials(),
        crash::trials(),
        faults::trials(),
        verify::trials(),
        verify_docs::trials(),
        audit::trials(),
        network::trials(),
        secrets::trials(),
        tables::trials(),
        corpus::trials(),
        ledger::trials(),
        live::trials(),
    ]
    .into_iter()
    .flatten();
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
