//! A disk that is full, broken or read-only: `ops` refuses, or says that it does not know, and never that it is done
//! when it is not.

use libtest_mimic::Trial;
use ops_tests::skip::trial;
use ops_tests::torture::campaign::{Campaign, Under};
use ops_tests::torture::dice::{Dice, seed};
use ops_tests::torture::disk;
use ops_tests::torture::site::Site;
use ops_tests::torture::say;

/// Outside `make torture`, one call in so many is hit, from a random one on.
const ONE_IN: usize = 5;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = disk::library().is_none().then_some("cc");
    let under = [("apply", Under::Apply), ("recovery", Under::Recovery), ("resume", Under::Resume)];
    disk::FAULTS
        .iter()
        .flat_map(|fault| under.map(|(name, under)| (name, under, *fault)))
        .map(|(name, under, fault)| {
            trial(format!("faults::{fault}::{name}"), missing, move || every_call(under, fault))
        })
        .collect()
}

fn every_call(under: Under, fault: &'static str) {
    let all = std::env::var_os("TORTURE").is_some() || fault == "readonly";
    let mut dice = Dice::new(seed());
    let (first, step) = if all { (1, 1) } else { (1 + dice.below(ONE_IN), ONE_IN) };
    let figures = Campaign::new(Site::new(), dice).fault(under, fault, first, step);
    say(&format!("{fault} under {under:?}: {figures}"));
}
