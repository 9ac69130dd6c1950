//! Baseline and drift matrix, written from a run's receipt once somebody has approved them.

use std::fs;

use serde_json::json;

use super::Test;
use super::site::{SYSTEMS, Site, row};

pub(super) const TESTS: &[Test] = &[
    ("what_was_seen_is_recorded_once_approved", recorded),
    ("what_is_no_evidence_is_not_recorded", not_recorded),
];

const FOLDER: &str = "ops/state/infra-core-audit";

fn recorded() {
    let mut site = Site::new();
    site.authentik.set("database", json!(false));
    let (ran, report) = site.smoke(&[]);
    ran.exits(1);
    let run = report["run_key"].as_str().unwrap();
    let record = || site.scratch.ops(&["cap", "run", "infra.core.baseline.record", "--from", run]);
    let asked = record().exits(3);
    let _ =
        asked.clone().says("create audit/infra-core-baseline-").says("create audit/infra-core-drift-matrix-");
    assert_eq!(fs::read_dir(site.scratch.path(FOLDER)).unwrap().count(), 0, "nothing is written before");
    site.scratch.ops(&["plan", "approve", &asked.plan(), "--key", "key", "--apply"]).exits(0);

    let day = &run["CAP-".len()..][..8];
    let read =
        |name: &str| fs::read_to_string(site.scratch.path(&format!("{FOLDER}/{name}-{day}.yaml"))).unwrap();
    let (baseline, matrix) = (read("infra-core-baseline"), read("infra-core-drift-matrix"));
    assert!(
        baseline.starts_with(&format!("# Written by infra.core.baseline.record from {run}.\n")),
        "{baseline}"
    );
    assert!(baseline.contains("\nresult: FAIL\n") && matrix.contains("\ndrift: 1\n"), "{baseline}{matrix}");
    for (system, _) in SYSTEMS {
        let evidence = format!("evidence: {}\n", row(&report, system)["run"].as_str().unwrap());
        assert!(baseline.contains(&evidence) && matrix.contains(&evidence), "{evidence}{baseline}{matrix}");
    }
    let ready = "check: ready\n    declared: ok\n    observed: failed\n    verdict: drift\n";
    assert!(matrix.contains(ready), "{matrix}");
    // Recorded again, nothing is left to do and nobody is asked.
    let again = record().exits(0);
    assert!(!again.stderr.contains("ops plan show"), "{}", again.stderr);
}

fn not_recorded() {
    let site = Site::new();
    let (_, one) = site.smoke(&["vaultwarden"]);
    let (_, all) = site.smoke(&[]);
    let record = |from: &str| site.scratch.ops(&["cap", "run", "infra.core.baseline.record", "--from", from]);
    let probe = row(&all, "vaultwarden")["run"].as_str().unwrap();
    let one = one["run_key"].as_str().unwrap();
    for (from, code, part) in [
        (probe, 1, "is a run of infra.vaultwarden.probe and not of infra.core.smoke"),
        (one, 1, "asked for one system alone"),
        ("CAP-20260302-022249__infra.core.smoke__R0123456789", 1, "there is no receipt of"),
        ("all is well, I looked", 2, "is no run key"),
    ] {
        let _ = record(from).exits(code).says(part);
    }
    assert_eq!(fs::read_dir(site.scratch.path(FOLDER)).unwrap().count(), 0);
}
