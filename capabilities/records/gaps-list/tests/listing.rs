//! Listing gaps, natively, in a scripted world.

use ops_guest::testing::World;
use records_gaps_list::CAPABILITY;
use serde_json::{Value, json};

fn world() -> World {
    let gap = |id: u32, severity: &str, more: &str| {
        format!(
            "  - {{id: GAP-OP-{id:03}, type: runtime-bug, severity: {severity}, discovered_by: a, description: d{id}, {more}}}\n"
        )
    };
    let key = "CAP-20260302-022322__verify.run__R1";
    let gaps = [
        gap(1, "low", "status: open, parent_loop: LOOP-A"),
        gap(2, "critical", &format!("status: open, blocker_class: policy, blocker_evidence: [{key}]")),
        gap(3, "high", "status: open, parent_loop: LOOP-A, title: Third"),
        gap(4, "high", &format!("status: fixed, fixed_in: [{key}]")),
        gap(5, "low", "status: closed, notes: no"),
    ];
    let text = format!("version: 1\nupdated: 2026-11-22\ngaps:\n{}", gaps.concat());
    World::new(&CAPABILITY).directory("gaps", &[("operational.gaps.yaml", &text)])
}

fn ids(output: &Value) -> Vec<&str> {
    output["gaps"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn what_is_asked_comes_and_what_matters_most_comes_first() {
    for (arguments, wanted) in [
        (json!({}), &["GAP-OP-002", "GAP-OP-003", "GAP-OP-001"][..]),
        (json!({"loop_id": "LOOP-A"}), &["GAP-OP-003", "GAP-OP-001"]),
        (json!({"severity": "critical"}), &["GAP-OP-002"]),
        (json!({"status": "all", "top": 2}), &["GAP-OP-002", "GAP-OP-003"]),
        (json!({"status": "fixed"}), &["GAP-OP-004"]),
        (json!({"status": "closed"}), &["GAP-OP-005"]),
    ] {
        assert_eq!(ids(world().plan(arguments).output()), wanted);
    }
    let ran = world().plan(json!({"status": "all", "top": 2}));
    let output = ran.output();
    let counts = ["open", "open_high", "fixed", "closed", "found"].map(|key| output[key].as_u64().unwrap());
    assert_eq!(counts, [3, 2, 1, 1, 5]);
    assert_eq!(
        output["gaps"],
        json!([
            {"id": "GAP-OP-002", "severity": "critical", "status": "open", "title": "d2", "parent_loop": null, "blocked": "policy"},
            {"id": "GAP-OP-003", "severity": "high", "status": "open", "title": "Third", "parent_loop": "LOOP-A"},
        ])
    );
}

#[test]
fn without_a_file_there_are_none() {
    let ran = World::new(&CAPABILITY).directory("gaps", &[]).plan(json!({}));
    assert_eq!((&ran.output()["open"], ids(ran.output()).len()), (&json!(0), 0));
}
