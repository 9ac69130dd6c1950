//! Showing a loop, natively, in a scripted world.

use ops_guest::testing::World;
use records_loops_show::CAPABILITY;
use serde_json::json;

const KEY: &str = "CAP-20260302-022322__verify.run__R8mdr71498";
const SCOPE: &str = "\
---
loop_id: LOOP-A
created: 2026-03-02
status: open
owner: platform
scope: infra
priority: high
objective: x
evidence: [{line: 2, runs: [KEY]}]
proof:
  - [verify.run, linked-gaps]
  - [infra.core.smoke]
---
## Linked Gaps
- GAP-OP-002
- GAP-OP-009
## Acceptance
- One
- Two
";
const GAPS: &str = "\
version: 1
updated: 2026-11-22
gaps:
  - {id: GAP-OP-001, type: runtime-bug, severity: low, status: open, discovered_by: a, description: first, parent_loop: LOOP-A}
  - {id: GAP-OP-002, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b, parent_loop: LOOP-B}
  - {id: GAP-OP-003, type: runtime-bug, severity: low, status: open, blocker_class: policy, blocker_evidence: [KEY], discovered_by: a, description: b, parent_loop: LOOP-A}
";

#[test]
fn a_loop_is_shown_with_its_gaps_and_numbered_lines() {
    let mut world = World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", &GAPS.replace("KEY", KEY))])
        .directory("loops", &[("LOOP-A.scope.md", &SCOPE.replace("KEY", KEY))]);
    let ran = world.plan(json!({"id": "LOOP-A"}));
    assert_eq!(
        ran.output(),
        &json!({
            "loop_id": "LOOP-A", "status": "open", "priority": "high", "owner": "platform", "scope": "infra",
            "created": "2026-03-02", "objective": "x", "file": "loops/LOOP-A.scope.md",
            "gaps": [
                {"gap": "GAP-OP-002", "state": "reparented", "title": "b"},
                {"gap": "GAP-OP-009", "state": "missing", "title": ""},
                {"gap": "GAP-OP-001", "state": "open", "title": "first"},
                {"gap": "GAP-OP-003", "state": "blocked", "title": "b"},
            ],
            "acceptance": [
                {"line": 1, "text": "One", "proof": "verify.run, linked-gaps", "runs": ""},
                {"line": 2, "text": "Two", "proof": "infra.core.smoke", "runs": KEY},
            ],
        })
    );
    for id in ["LOOP-B", "../LOOP-A", "loop"] {
        let why = world.plan(json!({"id": id})).failure().why();
        assert!(why.contains("no loop") || why.contains("no id of a loop"), "{why}");
    }
}
