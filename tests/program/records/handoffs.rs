//! Handoffs: the two-flag form, and many at once.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::skip::trial;

use super::{scope, workspace};

const CAPABILITIES: [&str; 3] = ["session.handoff.create", "session.handoff.list", "session.handoff.show"];

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("records::a_handoff_takes_two_flags", None, two_flags),
        trial("records::handoffs_of_one_second_are_different", None, at_once),
    ]
}

fn with_loop() -> Scratch {
    let empty = "version: 1\nupdated: 2026-03-02\ngaps: []\n";
    workspace(&CAPABILITIES, empty, &[("LOOP-A", &scope("LOOP-A", "", "## Acceptance\n- x\n"))])
}

fn two_flags() {
    let scratch = with_loop();
    let run = scratch
        .ops(&["cap", "run", "session.handoff.create", "--summary", "checkpoint", "--loops", "LOOP-A"])
        .exits(0);
    for part in ["id: HO-", "file: handoffs/HO-", "created_at: 20", "expires_at: 20"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    scratch
        .ops(&["cap", "run", "session.handoff.create", "--summary", "x", "--loops", "LOOP-B"])
        .exits(1)
        .says("no loop LOOP-B");
    scratch.ops(&["cap", "run", "session.handoff.create", "--loops", "LOOP-A"]).exits(2);
    let list = scratch.ops(&["cap", "run", "session.handoff.list", "--json"]).exits(0).json();
    let id = list["data"]["handoffs"][0]["id"].as_str().unwrap().to_owned();
    let shown = scratch.ops(&["cap", "run", "session.handoff.show", &id, "--json"]).exits(0).json();
    assert_eq!(
        (&shown["data"]["summary"], &shown["data"]["loops"][0]),
        (&"checkpoint".into(), &"LOOP-A".into())
    );
}

fn at_once() {
    let scratch = with_loop();
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|number| {
                let scratch = &scratch;
                scope.spawn(move || {
                    let summary = format!("checkpoint {number}");
                    let words = [
                        "cap",
                        "run",
                        "session.handoff.create",
                        "--summary",
                        &summary,
                        "--loops",
                        "LOOP-A",
                        "--json",
                    ];
                    scratch.ops(&words).exits(0).json()["data"]["id"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 8, "two handoffs have one id: {ids:?}");
    for id in ids {
        assert!(scratch.path(&format!("ops/handoffs/{id}.yaml")).exists(), "{id}");
    }
}
