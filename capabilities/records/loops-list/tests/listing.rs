//! Listing loops, natively, in a scripted world.

use ops_guest::testing::World;
use records_loops_list::CAPABILITY;
use serde_json::json;

const GAPS: &str = "\
version: 1
updated: 2026-11-22
gaps:
  - {id: GAP-OP-001, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b, parent_loop: LOOP-B}
  - {id: GAP-OP-002, type: runtime-bug, severity: low, status: open, discovered_by: a, description: b, parent_loop: LOOP-B}
  - {id: GAP-OP-003, type: runtime-bug, severity: low, status: closed, notes: c, discovered_by: a, description: b, parent_loop: LOOP-B}
";

fn scope(id: &str, status: &str, priority: &str) -> (String, String) {
    let text = format!(
        "---\nloop_id: {id}\ncreated: 2026-03-02\nstatus: {status}\nowner: platform\nscope: core\npriority: {priority}\nobjective: x\n---\n"
    );
    (format!("{id}.scope.md"), text)
}

fn world(more: &[(&str, &str)]) -> World {
    let files = [
        scope("LOOP-A", "open", "low"),
        scope("LOOP-B", "open", "high"),
        scope("LOOP-C", "planned", "low"),
        scope("LOOP-D", "closed\nclosed_at: 2026-03-03T09:00:00Z", "low"),
    ];
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain(more.iter().copied()).collect();
    World::new(&CAPABILITY).directory("gaps", &[("operational.gaps.yaml", GAPS)]).directory("loops", &files)
}

#[test]
fn open_ones_come_and_what_matters_most_comes_first() {
    let ran = world(&[("README.md", "no loop")]).plan(json!({}));
    assert_eq!(
        ran.output(),
        &json!({"open": 2, "planned": 1, "closed": 1, "found": 2, "loops": [
            {"loop_id": "LOOP-B", "status": "open", "priority": "high", "open_gaps": 2, "objective": "x"},
            {"loop_id": "LOOP-A", "status": "open", "priority": "low", "open_gaps": 0, "objective": "x"},
        ]})
    );
    for (arguments, found, listed) in [
        (json!({"status": "all"}), 4, 4),
        (json!({"status": "all", "top": 1}), 4, 1),
        (json!({"status": "planned"}), 1, 1),
        (json!({"status": "closed"}), 1, 1),
    ] {
        let ran = world(&[]).plan(arguments);
        let rows = ran.output()["loops"].as_array().unwrap().len();
        assert_eq!((&ran.output()["found"], rows), (&json!(found), listed));
    }
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    for (name, text, part) in [
        (
            "LOOP-E.scope.md",
            "no front matter",
            "loops/LOOP-E.scope.md:1: the file does not begin with front matter",
        ),
        (
            "LOOP-E.scope.md",
            "---\nloop_id: LOOP-E\nstatus: active\n---\n",
            "loops/LOOP-E.scope.md:3: unknown variant `active`",
        ),
        ("notes.scope.md", "", "loops/notes.scope.md:1: its name is no id of a loop"),
    ] {
        let ran = world(&[(name, text)]).plan(json!({}));
        assert!(ran.failure().why().contains(part), "{ran:?}");
    }
}
