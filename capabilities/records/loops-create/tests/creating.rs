//! Creating loops, natively, in a scripted world.

use ops_guest::testing::World;
use records_common::scope::Scope;
use records_loops_create::CAPABILITY;
use serde_json::json;

fn world() -> World {
    World::new(&CAPABILITY).directory("loops", &[("LOOP-THERE-20261122.scope.md", "")])
}

#[test]
fn a_loop_is_one_new_file() {
    let ran = world().apply(json!({"name": "Service life-cycle", "objective": "Publish: at once", "success": ["1. It is there", "`x` runs"],
        "dod": ["- All of it"], "phase": ["W0: look"], "priority": "high", "scope": "infra", "owner": "infrastructure"}));
    assert_eq!(
        ran.output(),
        &json!({"message": "CREATED: LOOP-SERVICE-LIFE-CYCLE-20261122", "loop_id": "LOOP-SERVICE-LIFE-CYCLE-20261122",
            "status": "open", "file": "loops/LOOP-SERVICE-LIFE-CYCLE-20261122.scope.md"})
    );
    assert_eq!(ran.files.len(), 1);
    let text = ran.file("loops/LOOP-SERVICE-LIFE-CYCLE-20261122.scope.md");
    let wanted = "\
---
loop_id: LOOP-SERVICE-LIFE-CYCLE-20261122
created: 2026-11-22
status: open
owner: infrastructure
scope: infra
priority: high
horizon: now
execution_readiness: runnable
objective: \"Publish: at once\"
---

# Loop Scope: LOOP-SERVICE-LIFE-CYCLE-20261122

## Objective

Publish: at once

## Phases

- W0: look

## Success Criteria

- 1\\. It is there
- \\`x\\` runs

## Definition Of Done

- \\- All of it
";
    assert_eq!(text, wanted);
    let scope = Scope::parse("LOOP-SERVICE-LIFE-CYCLE-20261122", text.to_owned()).unwrap();
    let lines: Vec<_> = scope.body.acceptance.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["1. It is there", "`x` runs", "- All of it"]);
}

#[test]
fn what_is_not_due_now_is_planned() {
    let ran = world().plan(json!({"name": "x", "objective": "y", "success": ["z"], "horizon": "later"}));
    assert_eq!(ran.output()["status"], "planned");
}

#[test]
fn what_is_refused_and_why() {
    for (name, objective, success, part) in [
        ("there", "y", "z", "LOOP-THERE-20261122 is there already"),
        ("über", "y", "z", "letters and digits of ASCII"),
        ("../x", "y", "z", "letters and digits of ASCII"),
        (" - ", "y", "z", "letters and digits of ASCII"),
        ("x", "two\nlines", "z", "--objective takes one line"),
        ("x", "y", "two\nlines", "takes one line"),
        ("x", "y", " ", "is empty"),
        ("x", "y", "a\u{202e}b", "control characters"),
    ] {
        let ran = world().plan(json!({"name": name, "objective": objective, "success": [success]}));
        assert!(ran.failure().why().contains(part), "{name} {objective:?} {success:?}: {ran:?}");
    }
}

/// Whatever somebody writes, a line of it is a line of the acceptance.
#[test]
fn a_line_stays_what_it_says() {
    for line in [
        "# heading",
        "---",
        "***",
        "+ plus",
        "12) twelve",
        "> quote",
        "<b>bold</b>",
        "[link](x)",
        "a \\ b",
        "~~~",
        "===",
    ] {
        let ran = world().plan(json!({"name": "x", "objective": line, "success": [line, "next"]}));
        let scope =
            Scope::parse("LOOP-X-20261122", ran.file("loops/LOOP-X-20261122.scope.md").to_owned()).unwrap();
        let lines: Vec<_> = scope.body.acceptance.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, [line, "next"]);
    }
}
