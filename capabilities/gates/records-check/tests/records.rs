//! `D75` in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{Report, Verdict};
use gates_records_check::CAPABILITY;
use ops_guest::testing::{Answer, World};
use serde_json::json;

const RUN: &str = "CAP-20260302-022249__verify.run__R9hxn65756";
const GAPS: &str = "version: 1\nupdated: 2026-03-02\ngaps:\n  - id: GAP-OP-101\n    type: missing-entry\n    severity: low\n    \
    status: fixed\n    discovered_by: platform\n    description: It is not there.\n    parent_loop: LOOP-A-20260302\n    \
    fixed_in: [CAP-20260302-022249__verify.run__R9hxn65756]\n    closed_at: 2026-03-02\n";
const LOOP: &str = "---\nloop_id: LOOP-A-20260302\ncreated: 2026-03-02\nstatus: closed\nclosed_at: 2026-03-02T09:00:00Z\nevidence:\n  \
    - {line: 1, runs: [CAP-20260302-022249__verify.run__R9hxn65756]}\nowner: platform\nscope: core\npriority: low\n\
    objective: To see it done.\n---\n\n## Linked Gaps\n\n- GAP-OP-101\n\n## Acceptance\n\n- It is there.\n";

const EVIDENCE: &str = "  - {line: 1, runs: [CAP-20260302-022249__verify.run__R9hxn65756]}\n";

fn look(gaps: &str, scope: &str, status: &str, verifies: bool) -> Report {
    look_at(gaps, &[("LOOP-A-20260302.scope.md", scope)], status, verifies)
}

fn look_at(gaps: &str, loops: &[(&str, &str)], status: &str, verifies: bool) -> Report {
    let receipt = json!({
        "run": RUN, "capability": "verify.run", "status": if status == "dry" { "done" } else { status }, "at": "2026-03-02T02:22:49Z", "dry_run": status == "dry", "verifies": verifies,
        "why": null, "safety": "read-only",
    });
    let answer = Answer::get(&format!("/receipts/{RUN}"));
    let answer = if status == "gone" { answer.status(404) } else { answer.json(receipt) };
    let ran = World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", gaps)])
        .directory("loops", loops)
        .service("ops", [answer])
        .plan(json!({"gate": "D75"}));
    // A run that is named twice is looked up once.
    assert!(ran.reads.len() <= 1, "{:?}", ran.reads);
    serde_json::from_value(ran.output().clone()).unwrap()
}

#[test]
fn what_is_whole_passes() {
    let report = look(GAPS, LOOP, "done", true);
    assert_eq!((report.result, report.findings.len()), (Verdict::Pass, 0), "{report:#?}");
    assert!(report.looked_at.iter().any(|saw| saw == "1 runs that are named as evidence"));
}

#[test]
fn each_mistake_is_told_at_its_line() {
    let gaps_file = "gaps/operational.gaps.yaml";
    let loop_file = "loops/LOOP-A-20260302.scope.md";
    let open = GAPS.replace("status: fixed", "status: open").replace("    closed_at: 2026-03-02\n", "");
    let open = open.replace(&format!("    fixed_in: [{RUN}]\n"), "");
    for (gaps, scope, status, verifies, file, line, what) in [
        (GAPS.to_owned(), LOOP.to_owned(), "gone", true, gaps_file, 11, "has no receipt here"),
        (GAPS.into(), LOOP.into(), "failed", true, gaps_file, 11, "ended as failed"),
        (GAPS.into(), LOOP.into(), "done", false, gaps_file, 11, "does not verify"),
        (GAPS.replace("severity: low", "severity: huge"), LOOP.into(), "done", true, gaps_file, 6, "huge"),
        (
            GAPS.replace("LOOP-A-", "LOOP-B-"),
            LOOP.into(),
            "done",
            true,
            gaps_file,
            4,
            "there is no such loop",
        ),
        (open, LOOP.into(), "done", true, gaps_file, 4, "is open, and its loop LOOP-A-20260302 is closed"),
        (
            GAPS.into(),
            LOOP.replace("- GAP-OP-101", "- GAP-OP-102"),
            "done",
            true,
            loop_file,
            16,
            "there is no such gap",
        ),
        (GAPS.into(), LOOP.replace("priority: low", "priority: huge"), "done", true, loop_file, 10, "huge"),
        (
            GAPS.into(),
            LOOP.replace("- It is there.\n", "- It is there.\n- It stays.\n"),
            "done",
            true,
            loop_file,
            21,
            "line 2 (\"It stays.\") has no evidence",
        ),
        (GAPS.into(), LOOP.into(), "dry", true, gaps_file, 11, "is a dry run"),
        (
            GAPS.into(),
            LOOP.replace("\n- It is there.\n", "\nIt is there.\n")
                .replace("evidence:\n", "")
                .replace(EVIDENCE, ""),
            "done",
            true,
            loop_file,
            1,
            "it has no acceptance",
        ),
        (
            GAPS.into(),
            LOOP.replace("evidence:\n", "").replace(EVIDENCE, "proof: [[verify.run]]\n"),
            "done",
            true,
            loop_file,
            19,
            "no run shows line 1",
        ),
        (
            GAPS.into(),
            LOOP.replace("owner:", "proof: [[infra.core.smoke]]\nowner:"),
            "done",
            true,
            loop_file,
            21,
            "line 1 (\"It is there.\") has no evidence of infra.core.smoke",
        ),
    ] {
        let report = look(&gaps, &scope, status, verifies);
        let found = report.findings.iter().find(|found| found.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert_eq!((found.file.as_str(), found.line), (file, line), "{what}: {found:?}");
        assert!(report.result == Verdict::Fail && !found.fix.is_empty());
    }
}

#[test]
fn a_loop_that_cannot_be_read_is_told_once() {
    let gap = GAPS.split("gaps:\n").nth(1).unwrap();
    let gaps = format!("{GAPS}{}", gap.replace("101", "102"));
    let report = look(&gaps, &LOOP.replace("priority: low", "priority: huge"), "done", true);
    assert_eq!(report.findings.len(), 1, "{report:#?}");
}

#[test]
fn nothing_at_all_is_skipped() {
    let none = "version: 1\nupdated: 2026-03-02\ngaps: []\n";
    assert_eq!(look_at(none, &[], "done", true).result, Verdict::Skipped);
    assert_eq!(look_at(GAPS, &[], "done", true).result, Verdict::Fail);
}
