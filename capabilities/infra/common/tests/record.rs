//! The files of the record, whatever a service has said: they can be written, and read again as they were meant.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use infra_common::baseline::Baseline;
use infra_common::probe::Outcome;
use infra_common::record::{Drift, Seen, files, to_yaml};
use infra_common::smoke::{Asked, CheckReport, Smoke, SystemReport, SystemResult};
use infra_common::system::System;
use ops_guest::read_contract;
use proptest::prelude::*;

const CONTRACT: &str = include_str!("../../../../ops/bindings/infra.core.baseline.contract.yaml");
const RUN: &str = "CAP-20260302-022249__infra.core.smoke__R0123456789";

/// A report in which each system failed for this reason, with these checks.
fn report(why: &str, outcome: Outcome) -> Smoke {
    let row = |system| SystemReport {
        system,
        result: SystemResult::Fail,
        why: why.to_owned(),
        milliseconds: 1,
        run: Some("P".to_owned()),
    };
    let check = |system| CheckReport {
        system,
        check: "alive".to_owned(),
        result: outcome,
        cause: None,
        why: why.to_owned(),
    };
    let all = || System::ALL.into_iter();
    Smoke::of(Asked::All, all().map(row).collect(), all().map(check).collect())
}

fn round_trip(why: &str, outcome: Outcome) -> (Seen, Drift) {
    let contract = Baseline::parse(CONTRACT).unwrap();
    let (seen, drift) = files(&contract, RUN, "2026-03-02", &report(why, outcome)).unwrap();
    let text = to_yaml("baseline", &["One line.", "Another one."], &seen).unwrap();
    assert_eq!(read_contract::<Seen>("baseline", &text).unwrap(), seen);
    let text = to_yaml("matrix", &[], &drift).unwrap();
    assert_eq!(read_contract::<Drift>("matrix", &text).unwrap(), drift);
    (seen, drift)
}

#[test]
fn texts_that_would_mean_something_in_yaml_stay_texts() {
    for why in [
        "", "null", "yes", "1.0", "~", "a: b", "- a", "# a", "&a", "*a", "!a", "{a", "'", "\"", "\\", "a\nb",
        "@a", "%a", "a #b",
    ] {
        let (seen, _) = round_trip(why, Outcome::Ok);
        assert_eq!(seen.systems.first().unwrap().why, why.replace('\n', " "));
    }
}

#[test]
fn checks_are_held_against_what_is_declared() {
    // Only Vaultwarden declares a check of this name; each of the five others is missing.
    let count = |outcome| {
        let (_, drift) = round_trip("x", outcome);
        (drift.drift, drift.not_observed)
    };
    assert_eq!(count(Outcome::Ok), (5, 0));
    assert_eq!(count(Outcome::Failed), (6, 0));
    assert_eq!(count(Outcome::Skipped), (5, 1));
    assert_eq!(count(Outcome::NotBound), (5, 1));
}

proptest! {
    #[test]
    fn whatever_a_service_said_can_be_recorded(why in prop::collection::vec(any::<char>(), 0..400)) {
        let why: String = why.into_iter().collect();
        let (seen, _) = round_trip(&why, Outcome::Failed);
        prop_assert!(seen.systems.iter().all(|system| system.why.chars().count() <= 300 && !system.why.contains('\n')));
    }
}
