//! Filing gaps, natively, in a scripted world.

use ops_guest::Failure;
use ops_guest::testing::World;
use records_gaps_file::CAPABILITY;
use serde_json::{Value, json};

const OPEN: &str = "---\nloop_id: LOOP-A\ncreated: 2026-03-02\nstatus: open\nowner: platform\nscope: core\npriority: low\nobjective: x\n---\n\n## Acceptance\n- y\n";
const GAPS: &str = "\
# All of them.
version: 1
updated: 2026-11-01
gaps:
  # The first.
  - id: GAP-OP-041
    type: runtime-bug
    severity: low
    status: open   # still
    discovered_by: platform
    description: It stops.
    parent_loop: LOOP-A
  - id: GAP-OP-007
    title: An old  One
    type: runtime-bug
    severity: low
    status: closed
    discovered_by: platform
    description: x
    notes: nobody needs it
";

fn world() -> World {
    let closed = OPEN
        .replace("LOOP-A", "LOOP-B")
        .replace("status: open", "status: closed\nclosed_at: 2026-03-03T09:00:00Z");
    World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", GAPS)])
        .directory("loops", &[("LOOP-A.scope.md", OPEN), ("LOOP-B.scope.md", &closed)])
}

fn arguments(more: Value) -> Value {
    let all = json!({"type": "missing-entry", "severity": "high", "description": "There is no \"page\": none.",
        "discovered_by": "agent", "parent_loop": "LOOP-A"});
    let all = [all, more].into_iter().flat_map(|part| part.as_object().cloned().unwrap_or_default());
    // What comes later counts, and a null leaves the argument out.
    let all: serde_json::Map<String, Value> = all.collect();
    all.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

#[test]
fn a_gap_is_put_behind_the_last_and_nothing_else_changes() {
    let mut world = world();
    let ran = world.apply(arguments(json!({"doc": "docs/x.md"})));
    assert_eq!(
        ran.output(),
        &json!({"message": "FILED: GAP-OP-042 (LOOP-A)", "id": "GAP-OP-042", "title": "There is no \"page\": none.",
            "severity": "high", "parent_loop": "LOOP-A", "file": "gaps/operational.gaps.yaml"})
    );
    let new = "  - id: GAP-OP-042\n    title: \"There is no \\\"page\\\": none.\"\n    type: missing-entry\n    severity: high\n    \
               status: open\n    discovered_by: agent\n    discovered_at: 2026-11-22T09:00:00Z\n    doc: docs/x.md\n    \
               description: \"There is no \\\"page\\\": none.\"\n    parent_loop: LOOP-A\n";
    assert_eq!(
        ran.file("gaps/operational.gaps.yaml"),
        format!("{}{new}", GAPS.replace("updated: 2026-11-01", "updated: 2026-11-22"))
    );
    let next = world.apply(arguments(json!({"title": "Another", "parent_loop": null, "loop": "LOOP-A"})));
    assert_eq!(next.output()["id"], "GAP-OP-043");
}

#[test]
fn the_first_gap_makes_the_file() {
    let mut world = World::new(&CAPABILITY)
        .directory("gaps", &[("README.md", "")])
        .directory("loops", &[("LOOP-A.scope.md", OPEN)]);
    let ran = world.apply(arguments(json!({})));
    assert_eq!(ran.output()["id"], "GAP-OP-001");
    assert!(ran.file("gaps/operational.gaps.yaml").contains("\ngaps:\n  - id: GAP-OP-001\n"));
}

/// The loop under each of its names, and titles that differ.
#[test]
fn what_is_taken() {
    for more in [
        json!({"parent_loop": null, "loop_id": "LOOP-A"}),
        json!({"loop_id": "LOOP-A", "loop": "LOOP-A"}),
        json!({"id": "GAP-OP-900"}),
        json!({"id": "auto"}),
        json!({"title": "An old one"}),
    ] {
        world().plan(arguments(more)).output();
    }
}

#[test]
fn what_is_refused_and_why() {
    type Kind = fn(&Failure) -> bool;
    let invalid: Kind = |failure| matches!(failure, Failure::InvalidInput(_));
    let conflict: Kind = |failure| matches!(failure, Failure::Conflict(_));
    for (more, kind, part) in [
        (
            json!({"title": "it  STOPS."}),
            conflict,
            "GAP-OP-041 is open with the same title (gaps/operational.gaps.yaml:6)",
        ),
        (json!({"id": "GAP-OP-007"}), conflict, "GAP-OP-007 is taken (gaps/operational.gaps.yaml:13)"),
        (json!({"parent_loop": "LOOP-C"}), conflict, "there is no loop LOOP-C"),
        (json!({"parent_loop": "LOOP-B"}), conflict, "LOOP-B is closed"),
        (json!({"parent_loop": "../LOOP-A"}), invalid, "is no id of a loop"),
        (json!({"parent_loop": null}), invalid, "--parent-loop is missing"),
        (json!({"loop_id": "LOOP-B"}), invalid, "two loops are given"),
        (json!({"description": " \n "}), invalid, "--description is empty"),
        (json!({"title": "a\u{202e}b"}), invalid, "--title has control characters"),
        (json!({"severity": "grave"}), invalid, "grave"),
        (json!({"type": "missing-process"}), invalid, "missing-process"),
    ] {
        let ran = world().plan(arguments(more.clone()));
        assert!(kind(ran.failure()) && ran.failure().why().contains(part), "{more}: {ran:?}");
        assert!(ran.files.is_empty(), "{more}");
    }
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let broken = GAPS.replace("status: open ", "status: gone ");
    let mut world = World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", &broken)])
        .directory("loops", &[("LOOP-A.scope.md", OPEN)]);
    let why = world.plan(arguments(json!({}))).failure().why();
    assert!(why.starts_with("gaps/operational.gaps.yaml:9: unknown variant `gone`"), "{why}");
}
