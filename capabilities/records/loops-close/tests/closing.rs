//! Closing loops, natively, in a scripted world.

use ops_guest::Failure;
use ops_guest::testing::{Answer, World, assert_converges};
use records_loops_close::CAPABILITY;
use serde_json::{Value, json};

const VERIFY: &str = "CAP-20260302-022322__verify.run__R8mdr71498";
const SMOKE: &str = "CAP-20260302-022401__infra.core.smoke__Rabcdefghij";
const OTHER: &str = "CAP-20260302-022402__other.thing.do__Rabcdefghij";
const DRY: &str = "CAP-20260302-022403__verify.run__Rdry";
const FAILED: &str = "CAP-20260302-022249__verify.run__R9hxn65756";

const SCOPE: &str = "\
---
loop_id: LOOP-A
created: 2026-03-02
status: open   # nearly
owner: platform
scope: infra
priority: high
objective: x
proof:
  - [verify.run, infra.core.smoke]
  - [linked-gaps]
---

## Linked Gaps
- GAP-OP-001: fixed
- GAP-OP-002: goes elsewhere

## Success Criteria
- It runs
## Definition Of Done
- Nothing is left
";

/// Four gaps: one fixed, one of another loop, one blocked, and one that is none of this loop's.
const GAPS: &str = "\
version: 1
updated: 2026-11-22
gaps:
  - {id: GAP-OP-001, type: runtime-bug, severity: low, status: fixed, fixed_in: [VERIFY, SMOKE], discovered_by: a, description: b, parent_loop: LOOP-A}
  - {id: GAP-OP-002, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b, parent_loop: LOOP-B}
  - {id: GAP-OP-003, type: runtime-bug, severity: low, status: open, blocker_class: external, blocker_evidence: [OTHER], discovered_by: a, description: b, parent_loop: LOOP-A}
  - {id: GAP-OP-004, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b}
";

fn receipt(run: &str, status: &str) -> Answer {
    let name = run.split("__").nth(1).unwrap();
    Answer::get(&format!("/receipts/{run}"))
        .json(json!({"run": run, "capability": name, "safety": "read-only", "dry_run": run == DRY,
        "status": status, "at": "2026-03-02T02:23:22Z", "verifies": true, "why": null}))
}

fn world(scope: &str, gaps: &str) -> World {
    let gaps = gaps
        .replace("VERIFY", VERIFY)
        .replace("SMOKE", SMOKE)
        .replace("OTHER", OTHER)
        .replace("FAILED", FAILED)
        .replace("DRY", DRY);
    World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", &gaps)])
        .directory("loops", &[("LOOP-A.scope.md", scope)])
        .service(
            "ops",
            [
                receipt(VERIFY, "done"),
                receipt(SMOKE, "done"),
                receipt(OTHER, "done"),
                receipt(FAILED, "failed"),
                receipt(DRY, "done"),
            ],
        )
}

#[test]
fn a_loop_is_closed_by_the_evidence_of_its_gaps() {
    let mut world = world(SCOPE, GAPS);
    let ran = world.apply(json!({"id": "LOOP-A"}));
    let all = format!("{VERIFY}, {SMOKE}, {OTHER}");
    assert_eq!(
        ran.output(),
        &json!({
            "message": "CLOSED: LOOP-A", "loop_id": "LOOP-A", "closed_at": "2026-11-22T09:00:00Z",
            "gaps": [
                {"gap": "GAP-OP-001", "state": "fixed", "runs": format!("{VERIFY}, {SMOKE}")},
                {"gap": "GAP-OP-002", "state": "reparented to LOOP-B", "runs": ""},
                {"gap": "GAP-OP-003", "state": "blocked (external)", "runs": OTHER},
            ],
            "acceptance": [
                {"line": 1, "text": "It runs", "runs": format!("{VERIFY}, {SMOKE}")},
                {"line": 2, "text": "Nothing is left", "runs": all},
            ],
        })
    );
    let closed = format!(
        "status: closed   # nearly\nclosed_at: 2026-11-22T09:00:00Z\nevidence:\n  - {{line: 1, runs: [{VERIFY}, {SMOKE}]}}\n  - \
         {{line: 2, runs: [{all}]}}\n"
    );
    assert_eq!(ran.file("loops/LOOP-A.scope.md"), SCOPE.replace("status: open   # nearly\n", &closed));
    assert_eq!(ran.reads.len(), 3, "each run is looked up once: {:?}", ran.reads);

    let again = assert_converges(&mut world, json!({"id": "LOOP-A"}));
    assert_eq!(again.output()["message"], "ALREADY CLOSED: LOOP-A");
    assert_eq!(again.output()["acceptance"], ran.output()["acceptance"]);
}

#[test]
fn runs_can_be_named_for_single_lines() {
    let plain = SCOPE.replace("proof:\n  - [verify.run, infra.core.smoke]\n  - [linked-gaps]\n", "");
    let none = "version: 1\nupdated: 2026-11-22\ngaps:\n  []\n".replace(":\n  []", ": []");
    let scope = plain.replace("- GAP-OP-001: fixed\n- GAP-OP-002: goes elsewhere\n", "");
    let evidence = json!([format!("1={VERIFY},2={SMOKE}"), format!("2={OTHER}")]);
    let ran = world(&scope, &none).apply(json!({"id": "LOOP-A", "evidence": evidence}));
    assert_eq!(ran.output()["acceptance"][1]["runs"], format!("{SMOKE}, {OTHER}"));

    // What somebody wrote into the file before counts as well.
    let before = scope.replace("owner:", &format!("evidence:\n  - line: 2\n    runs: [{OTHER}]\nowner:"));
    let ran = world(&before, &none).apply(json!({"id": "LOOP-A", "evidence": [format!("1={VERIFY}")]}));
    assert!(
        ran.file("loops/LOOP-A.scope.md").contains(&format!("- {{line: 2, runs: [{OTHER}]}}\n")),
        "{ran:?}"
    );
}

/// Each case changes one place of what can be closed.
#[test]
fn what_stands_in_the_way_is_said() {
    let open = "id: GAP-OP-001, type: runtime-bug, severity: low, status: open,";
    let blocked = |scope: &str, gaps: &str, arguments: Value| {
        let ran = world(scope, gaps).plan(arguments);
        assert!(matches!(ran.failure(), Failure::Conflict(_)) && ran.files.is_empty(), "{ran:?}");
        ran.failure().why()
    };
    let id = || json!({"id": "LOOP-A"});
    for (from, to, part) in [
        (
            "id: GAP-OP-001, type: runtime-bug, severity: low, status: fixed, fixed_in: [VERIFY, SMOKE],",
            open,
            "GAP-OP-001 is open",
        ),
        ("blocker_class: external, blocker_evidence: [OTHER], ", "", "GAP-OP-003 is open"),
        ("[OTHER]", "[FAILED]", "GAP-OP-003: CAP-20260302-022249__verify.run__R9hxn65756 ended as failed"),
        ("parent_loop: LOOP-B", "parent_loop: LOOP-A", "GAP-OP-002 is open"),
        ("description: b}\n", "description: b, parent_loop: LOOP-A}\n", "GAP-OP-004 is open"),
        ("id: GAP-OP-002", "id: GAP-OP-902", "has no GAP-OP-002"),
        ("[VERIFY, SMOKE]", "[VERIFY]", "line 1 (\"It runs\") has no evidence of infra.core.smoke"),
        ("[VERIFY, SMOKE]", "[FAILED, SMOKE]", "line 1 (\"It runs\") has no evidence of verify.run"),
    ] {
        assert!(GAPS.contains(from), "{from}");
        let why = blocked(SCOPE, &GAPS.replace(from, to), id());
        assert!(why.starts_with("BLOCKED: LOOP-A\n") && why.contains(part), "{to}: {why}");
    }
    for (from, to, part) in [
        (
            "proof:\n  - [verify.run, infra.core.smoke]\n  - [linked-gaps]\n",
            "",
            "line 2 (\"Nothing is left\") has no evidence",
        ),
        (
            "[linked-gaps]",
            "[linked-gaps, recovery.dispatch]",
            "line 2 (\"Nothing is left\") has no evidence of recovery.dispatch",
        ),
        ("Success Criteria", "Wishes", "`proof` has 2 entries, and the acceptance has 1 lines"),
    ] {
        let ran = world(&SCOPE.replace(from, to), GAPS).plan(id());
        assert!(ran.failure().why().contains(part), "{to}: {ran:?}");
    }
    let closed = GAPS.replace("status: fixed, fixed_in: [VERIFY, SMOKE]", "status: closed, notes: done");
    let why = blocked(SCOPE, &closed, id());
    assert!(why.contains("no run shows why GAP-OP-001 was closed"), "{why}");
    assert_eq!(why.matches("line 1").count(), 1, "one line for each of the acceptance: {why}");
    assert!(why.contains("has no evidence of verify.run, infra.core.smoke\n"), "{why}");
    let serves = blocked(SCOPE, GAPS, json!({"id": "LOOP-A", "evidence": [format!("1={VERIFY},{OTHER}")]}));
    assert!(
        serves.contains("a run of other.thing.do does not serve line 1 (\"It runs\"); name one of verify.run or infra.core.smoke"),
        "{serves}"
    );
    let long = SCOPE.replace("- It runs", &format!("- {}", "verylong ".repeat(9)));
    let why = blocked(&long, &GAPS.replace("[VERIFY, SMOKE]", "[VERIFY]"), id());
    assert!(why.contains("verylong…\")"), "{why}");
    let nothing = SCOPE.split("proof:").next().unwrap().to_owned() + "---\n\n## Notes\n- x\n";
    assert!(blocked(&nothing, GAPS, id()).contains("it has no acceptance"));
    let opened = GAPS.replace("status: fixed, fixed_in: [VERIFY, SMOKE]", "status: open");
    assert!(blocked(SCOPE, &opened, id()).contains("line 2 (\"Nothing is left\") waits for the linked gaps"));
    let none = "version: 1\nupdated: 2026-11-22\ngaps: []\n";
    let unlinked = SCOPE.replace("- GAP-OP-001: fixed\n- GAP-OP-002: goes elsewhere\n", "");
    assert!(blocked(&unlinked, none, id()).contains("waits for the linked gaps"));
    let failed = json!({"id": "LOOP-A", "evidence": [format!("2={FAILED}")]});
    assert!(
        blocked(SCOPE, GAPS, failed)
            .contains("line 2: CAP-20260302-022249__verify.run__R9hxn65756 ended as failed")
    );
}

#[test]
fn what_is_wrong_usage() {
    for (arguments, part) in [
        (json!({"id": "LOOP-A", "evidence": [format!("3={VERIFY}")]}), "has 2 lines"),
        (json!({"id": "LOOP-A", "evidence": ["1=done"]}), "words are no evidence"),
        (json!({"id": "../x"}), "no id of a loop"),
    ] {
        let ran = world(SCOPE, GAPS).plan(arguments);
        assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(part)), "{ran:?}");
    }
    let ran = world(SCOPE, GAPS).plan(json!({"id": "LOOP-B"}));
    assert!(
        matches!(ran.failure(), Failure::Conflict(why) if why.contains("there is no loop LOOP-B")),
        "{ran:?}"
    );
}

#[test]
fn a_dry_run_counts_only_where_the_proof_asks_for_it() {
    let asked = SCOPE.replace("[verify.run,", "[verify.run --dry-run,");
    for (scope, runs, evidence, part) in [
        (asked.as_str(), "[DRY, SMOKE]", None, None),
        (&asked, "[SMOKE]", Some(format!("1={DRY}")), None),
        (&asked, "[VERIFY, SMOKE]", None, Some("has no evidence of verify.run --dry-run")),
        (&asked, "[DRY]", None, Some("no run shows why GAP-OP-001 was closed")),
        (SCOPE, "[DRY, SMOKE]", None, Some("is a dry run, which shows nothing")),
        (
            SCOPE,
            "[VERIFY, SMOKE]",
            Some(format!("1={DRY}")),
            Some("line 1: CAP-20260302-022403__verify.run__Rdry is a dry run"),
        ),
    ] {
        let gaps = GAPS.replace("[VERIFY, SMOKE]", runs);
        let evidence: Vec<String> = evidence.into_iter().collect();
        let ran = world(scope, &gaps).plan(json!({"id": "LOOP-A", "evidence": evidence}));
        match part {
            None => assert_eq!(ran.output()["message"], "CLOSED: LOOP-A"),
            Some(part) => assert!(ran.failure().why().contains(part), "{runs}: {ran:?}"),
        }
    }
    let blocked = GAPS.replace("blocker_evidence: [OTHER]", "blocker_evidence: [DRY]");
    let ran = world(&asked, &blocked).plan(json!({"id": "LOOP-A"}));
    assert!(
        ran.failure().why().contains("GAP-OP-003: CAP-20260302-022403__verify.run__Rdry is a dry run"),
        "{ran:?}"
    );
}
