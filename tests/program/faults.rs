//! A disk that is full, broken or read-only: `ops` refuses, or says that it does not know, and never that it is done
//! when it is not.

use std::process::Stdio;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, ran};
use ops_tests::skip::trial;
use ops_tests::torture::disk;
use ops_tests::torture::site::Site;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = disk::library().is_none().then_some("cc");
    disk::FAULTS
        .iter()
        .map(|fault| trial(format!("faults::{fault}"), missing, || every_write(fault)))
        .collect()
}

/// The fault at the first call, at the second, and so on until a run does not come upon it.
fn every_write(fault: &str) {
    let mut codes = std::collections::BTreeMap::new();
    for nth in 1.. {
        let site = Site::two_effects();
        let plan = site.plan();
        let mut command = site.scratch.command();
        let hit = disk::fail(command.args(Site::approve(&plan)).stdin(Stdio::null()), &site.state(), fault, nth);
        let run = ran(&mut command);
        println!("{fault}:{nth} hit {} code {} done {}: {}", hit.exists(), run.code, site.machines.done().len(), run.stderr.replace('\n', " | "));
        *codes.entry(run.code).or_insert(0) += 1;
        if !hit.exists() {
            break;
        }
        check(&site, &run);
    }
    println!("{fault}: {codes:?}");
}

fn check(site: &Site, run: &Ran) {
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    let list = site.scratch.ops(&["receipts", "list", "--json"]).exits(0);
    println!("   {}", list.json());
    let verify = site.scratch.ops(&["receipts", "verify", "--all"]);
    println!("   {} {}", verify.code, verify.stdout);
    let verify = site.scratch.ops(&["status"]);
    println!("   {} {}", verify.code, verify.stderr.replace('\n', " | "));
}
