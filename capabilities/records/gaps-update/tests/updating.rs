//! What lets a loop be closed while its gap stays open, natively, in a scripted world.

use ops_guest::Failure;
use ops_guest::testing::{Answer, World, assert_converges};
use records_gaps_update::CAPABILITY;
use serde_json::json;

const GOOD: &str = "CAP-20260302-022322__infra.core.smoke__R8mdr71498";
const FAILED: &str = "CAP-20260302-022249__verify.run__R9hxn65756";
const SCOPE: &str = "---\nloop_id: LOOP-A\ncreated: 2026-03-02\nstatus: open\nowner: platform\nscope: core\npriority: low\nobjective: x\n---\n";
const GAPS: &str = "\
version: 1
updated: 2026-11-22
gaps:
  - id: GAP-OP-1293
    type: missing-entry
    severity: medium
    status: open # residual
    discovered_by: platform
    description: x
    parent_loop: LOOP-A # for now
  - id: GAP-OP-1298
    type: missing-entry
    severity: low
    status: closed
    discovered_by: platform
    description: x
    notes: y
";

fn world() -> World {
    let receipt = |run: &str, status: &str| {
        Answer::get(&format!("/receipts/{run}"))
            .json(json!({"run": run, "capability": "x.y", "safety": "read-only",
            "status": status, "at": "2026-03-02T02:23:22Z", "dry_run": false, "verifies": true, "why": null}))
    };
    World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", GAPS)])
        .directory(
            "loops",
            &[("LOOP-A.scope.md", SCOPE), ("LOOP-B.scope.md", &SCOPE.replace("LOOP-A", "LOOP-B"))],
        )
        .service("ops", [receipt(GOOD, "done"), receipt(FAILED, "failed")])
}

#[test]
fn a_gap_goes_to_another_loop() {
    let mut world = world();
    let arguments =
        json!({"id": "GAP-OP-1293", "parent_loop": "LOOP-B", "notes": "it is about the life of services"});
    let ran = world.apply(arguments.clone());
    assert_eq!(ran.output()["message"], "UPDATED: GAP-OP-1293");
    let wanted = GAPS
        .replace("parent_loop: LOOP-A # for now", "parent_loop: LOOP-B # for now")
        .replace("open # residual\n", "open # residual\n    notes: \"it is about the life of services\"\n");
    assert_eq!(ran.file("gaps/operational.gaps.yaml"), wanted);
    let again = assert_converges(&mut world, arguments);
    assert_eq!(again.output()["message"], "SKIPPED: GAP-OP-1293 is so already");
}

#[test]
fn a_gap_gets_a_blocker_with_evidence() {
    let mut world = world();
    let arguments = json!({"id": "GAP-OP-1293", "blocker_class": "dependency", "blocker_evidence": GOOD, "severity": "high"});
    let ran = world.apply(arguments.clone());
    let wanted = GAPS.replacen("severity: medium", "severity: high", 1).replace(
        "residual\n",
        &format!("residual\n    blocker_class: dependency\n    blocker_evidence: [{GOOD}]\n"),
    );
    assert_eq!(ran.file("gaps/operational.gaps.yaml"), wanted);
    assert_converges(&mut world, arguments);
}

#[test]
fn what_is_refused_and_why() {
    for (arguments, part) in [
        (json!({"id": "GAP-OP-1"}), "has no GAP-OP-1"),
        (
            json!({"id": "GAP-OP-1298", "notes": "x"}),
            "GAP-OP-1298 is not open (gaps/operational.gaps.yaml:11)",
        ),
        (json!({"id": "GAP-OP-1293", "parent_loop": "LOOP-B"}), "needs --notes that say why"),
        (json!({"id": "GAP-OP-1293", "parent_loop": "LOOP-C", "notes": "x"}), "there is no loop LOOP-C"),
        (
            json!({"id": "GAP-OP-1293", "blocker_class": "policy"}),
            "give --blocker-class and --blocker-evidence",
        ),
        (
            json!({"id": "GAP-OP-1293", "blocker_evidence": GOOD}),
            "give --blocker-class and --blocker-evidence",
        ),
        (json!({"id": "GAP-OP-1293", "blocker_class": "policy", "blocker_evidence": ","}), "names no run"),
        (
            json!({"id": "GAP-OP-1293", "blocker_class": "policy", "blocker_evidence": "the vendor"}),
            "words are no evidence",
        ),
        (
            json!({"id": "GAP-OP-1293", "blocker_class": "policy", "blocker_evidence": FAILED}),
            "ended as failed",
        ),
    ] {
        let ran = world().plan(arguments.clone());
        assert!(ran.failure().why().contains(part), "{arguments}: {ran:?}");
        assert!(matches!(ran.failure(), Failure::InvalidInput(_) | Failure::Conflict(_)), "{ran:?}");
    }
}
