//! Leaving handoffs, natively, in a scripted world.

use std::time::Duration;

use ops_guest::Failure;
use ops_guest::testing::World;
use records_handoff_create::CAPABILITY;
use serde_json::json;

const SCOPE: &str = "---\nloop_id: LOOP-A\ncreated: 2026-03-02\nstatus: open\nowner: platform\nscope: core\npriority: low\nobjective: x\n---\n";

fn world() -> World {
    World::new(&CAPABILITY).directory("handoffs", &[("README.md", "# Handoffs\n")]).directory(
        "loops",
        &[("LOOP-A.scope.md", SCOPE), ("LOOP-B.scope.md", &SCOPE.replace("LOOP-A", "LOOP-B"))],
    )
}

#[test]
fn two_flags_are_enough() {
    let ran = world().apply(json!({"summary": "checkpoint", "loops": ["LOOP-A"]}));
    let output = ran.output();
    let id = output["id"].as_str().unwrap();
    assert!(id.starts_with("HO-20261122-090000-") && id.len() == 27, "{id}");
    assert_eq!(output["expires_at"], "2026-11-25T09:00:00Z");
    let wanted = format!(
        "version: 1\nid: {id}\nsummary: checkpoint\ncreated_at: 2026-11-22T09:00:00Z\nexpires_at: 2026-11-25T09:00:00Z\nloops: [LOOP-A]\n"
    );
    assert_eq!((ran.files.len(), ran.file(&format!("handoffs/{id}.yaml"))), (1, wanted.as_str()));
}

#[test]
fn everything_can_be_said() {
    let ran = world().apply(json!({"summary": "two\nlines: #1", "loops": ["LOOP-A,LOOP-B", "LOOP-A"], "actions": ["look", "go on"],
        "owner": "platform", "from_role": "researcher", "to_role": "worker"}));
    let text = ran.file(&format!("handoffs/{}.yaml", ran.output()["id"].as_str().unwrap())).to_owned();
    assert!(
        text.contains("summary: \"two\\nlines: #1\"\n") && text.contains("loops: [LOOP-A, LOOP-B]\n"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "actions: [look, \"go on\"]\nowner: platform\nfrom_role: researcher\nto_role: worker\n"
        ),
        "{text}"
    );
}

#[test]
fn twenty_at_once_and_after_three_days_others() {
    let mut world = world();
    for number in 0..20 {
        world.apply(json!({"summary": format!("checkpoint {number}")})).output();
    }
    let ran = world.plan(json!({"summary": "one more"}));
    assert!(
        matches!(ran.failure(), Failure::Conflict(why) if why.contains("20 handoffs are active")),
        "{ran:?}"
    );
    let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_338_000 + 72 * 3600);
    world.now(later).plan(json!({"summary": "one more"})).output();
}

#[test]
fn what_is_refused_and_why() {
    for (arguments, part) in [
        (json!({"summary": "x", "loops": ["LOOP-C"]}), "there is no loop LOOP-C"),
        (json!({"summary": "x", "loops": ["../LOOP-A"]}), "no id of a loop"),
        (json!({"summary": " "}), "--summary is empty"),
        (json!({"summary": "a\u{202e}b"}), "--summary has control characters"),
        (json!({"summary": "x", "to_role": "\u{7}"}), "--to-role has control characters"),
        (json!({"loops": ["LOOP-A"]}), "summary"),
    ] {
        let ran = world().plan(arguments);
        assert!(ran.failure().why().contains(part) && ran.files.is_empty(), "{part}: {ran:?}");
    }
}
