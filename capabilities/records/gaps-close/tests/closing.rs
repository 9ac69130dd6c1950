//! Closing gaps, natively, in a scripted world.

use ops_guest::Failure;
use ops_guest::testing::{Answer, World, assert_converges};
use records_gaps_close::CAPABILITY;
use serde_json::{Value, json};

const CHECK: &str = "CAP-20260302-022322__verify.run__R8mdr71498";
const CHANGE: &str = "CAP-20260302-022401__infra.vm.provision__Rabcdefghij";
const FAILED: &str = "CAP-20260302-022249__verify.run__R9hxn65756";
const FORGED: &str = "CAP-20260302-022249__verify.run__Rforged";
const GONE: &str = "CAP-20260302-022249__verify.run__Rgone";
const DRY: &str = "CAP-20260302-022402__infra.vm.provision__Rdry";
const OTHER: &str = "CAP-20260302-022403__x.look__R1";
const SCOPE: &str = "\
---
loop_id: LOOP-A
created: 2026-03-02
status: open
owner: platform
scope: infra
priority: high
objective: x
proof:
  - [infra.vm.provision --dry-run, x.look]
---

## Acceptance:
- It runs
";
const GAPS: &str = "\
version: 1
updated: 2026-11-22
gaps:
  # WS1
  - id: GAP-OP-665
    type: missing-entry
    severity: high
    status: open # acceptance waits
    discovered_by: platform
    description: x
    notes: known
  - id: GAP-OP-666
    type: missing-entry
    severity: low
    status: open
    discovered_by: platform
    description: y
  - id: GAP-OP-667
    type: missing-entry
    severity: low
    status: fixed
    fixed_in: [CAP-20260302-022322__verify.run__R8mdr71498]
    discovered_by: platform
    description: z
";

fn receipt(run: &str, safety: &str, status: &str, why: Option<&str>) -> Answer {
    Answer::get(&format!("/receipts/{run}")).json(json!({"run": run, "capability": run.split("__").nth(1), "safety": safety,
        "dry_run": run.ends_with("dry"), "status": status, "at": "2026-03-02T02:23:22Z", "verifies": why.is_none(), "why": why}))
}

fn world() -> World {
    world_of(GAPS)
}

fn world_of(gaps: &str) -> World {
    let loops = [("LOOP-A.scope.md", SCOPE)];
    World::new(&CAPABILITY)
        .directory("gaps", &[("operational.gaps.yaml", gaps)])
        .directory("loops", &loops)
        .service(
            "ops",
            [
                receipt(CHECK, "read-only", "done", None),
                receipt(CHANGE, "mutating", "done", None),
                receipt(DRY, "mutating", "done", None),
                receipt(OTHER, "read-only", "done", None),
                receipt(FAILED, "read-only", "failed", None),
                receipt(FORGED, "read-only", "done", Some("the signature is not the host's")),
                Answer::get(&format!("/receipts/{GONE}")).status(404),
            ],
        )
}

#[test]
fn a_gap_is_closed_by_its_runs_and_once() {
    let mut world = world();
    let keys = format!("{CHANGE}, {CHECK}");
    let arguments =
        json!({"id": "GAP-OP-665", "status": "fixed", "fixed_in": keys, "notes": "all five pass"});
    let ran = world.apply(arguments.clone());
    assert_eq!(
        ran.output(),
        &json!({"message": format!("CLOSED: GAP-OP-665 (status=fixed, fixed_in={CHANGE},{CHECK})"), "id": "GAP-OP-665",
            "status": "fixed", "fixed_in": [CHANGE, CHECK], "closed_at": "2026-11-22T09:00:00Z"})
    );
    let closed = format!(
        "status: fixed # acceptance waits\n    fixed_in: [{keys}]\n    closed_at: 2026-11-22T09:00:00Z\n"
    );
    let wanted = GAPS
        .replace("status: open # acceptance waits\n", &closed)
        .replace("notes: known", "notes: \"known; all five pass\"");
    assert_eq!(ran.file("gaps/operational.gaps.yaml"), wanted);

    let again = assert_converges(&mut world, arguments);
    assert_eq!(
        again.output()["message"],
        format!("SKIPPED: GAP-OP-665 (already status=fixed, fixed_in={CHANGE},{CHECK})")
    );
}

/// Each case: the arguments, and whether they are enough.
#[test]
fn what_closes_a_gap() {
    let good: [Value; 6] = [
        json!({"id": "GAP-OP-665", "status": "fixed", "fixed_in": CHECK}),
        json!({"id": "GAP-OP-665", "status": "fixed", "fixed_in": CHANGE, "regression_lock_id": "D320"}),
        json!({"id": "GAP-OP-666", "status": "fixed", "fixed_in": format!("R{CHANGE}")}),
        json!({"id": "GAP-OP-666", "status": "closed", "notes": "out of scope"}),
        json!({"id": "GAP-OP-666", "status": "closed", "fixed_in": CHECK}),
        json!({"id": "GAP-OP-667", "status": "fixed", "fixed_in": "prose is not read where nothing is closed"}),
    ];
    for arguments in good {
        world().plan(arguments).output();
    }
    type Kind = fn(&Failure) -> bool;
    let invalid: Kind = |failure| matches!(failure, Failure::InvalidInput(_));
    let conflict: Kind = |failure| matches!(failure, Failure::Conflict(_));
    for (id, status, runs, lock, kind, part) in [
        ("GAP-OP-665", "fixed", "", None, invalid, "--fixed-in is missing"),
        ("GAP-OP-665", "fixed", "fixed in commit 4186dedb", None, invalid, "words are no evidence"),
        ("GAP-OP-665", "fixed", &format!("{CHECK} and more"), None, invalid, "\"and\" is none"),
        ("GAP-OP-665", "fixed", GONE, None, conflict, "has no receipt here"),
        ("GAP-OP-665", "fixed", FAILED, None, conflict, "ended as failed"),
        ("GAP-OP-665", "fixed", FORGED, None, conflict, "does not verify: the signature is not the host's"),
        ("GAP-OP-665", "fixed", &format!("{CHECK},{FAILED}"), None, conflict, "ended as failed"),
        ("GAP-OP-665", "fixed", CHANGE, None, conflict, "name a read-only run"),
        ("GAP-OP-665", "fixed", OTHER, None, conflict, "one of verify.* or gates.*"),
        ("GAP-OP-665", "fixed", CHECK, Some("D"), invalid, "is no id of a gate"),
        ("GAP-OP-666", "fixed", DRY, None, conflict, "is a dry run, which shows nothing"),
        (
            "GAP-OP-666",
            "closed",
            &format!("{DRY},{CHECK}"),
            None,
            conflict,
            "is a dry run, which shows nothing",
        ),
        (
            "GAP-OP-665",
            "fixed",
            CHECK,
            Some("legacy-no-regression-lock-1"),
            invalid,
            "is no id of a gate, like D320",
        ),
        ("GAP-OP-666", "closed", "", None, invalid, "nothing says why"),
        ("GAP-OP-001", "fixed", CHECK, None, conflict, "has no GAP-OP-001"),
        ("GAP-OP-665", "accepted", CHECK, None, invalid, "accepted"),
    ] {
        let mut arguments = json!({"id": id, "status": status, "fixed_in": runs});
        if let Some(lock) = lock {
            arguments["regression_lock_id"] = lock.into();
        }
        let ran = world().plan(arguments.clone());
        assert!(kind(ran.failure()) && ran.failure().why().contains(part), "{arguments}: {ran:?}");
        assert!(ran.files.is_empty(), "{arguments}");
    }
}

/// The gap belongs to a loop whose proof names a check, and a dry run by that word.
#[test]
fn what_the_loop_asks_for_counts() {
    let of_loop =
        GAPS.replace("notes: known", "notes: known\n    discovered_at: 2026-03-02\n    parent_loop: LOOP-A");
    let later = of_loop.replace("discovered_at: 2026-03-02", "discovered_at: 2026-03-03T00:00:00Z");
    let bad_lock =
        of_loop.replace("notes: known", "regression_lock_id: LEGACY-NO-REGRESSION-LOCK\n    notes: known");
    let both = format!("{DRY},{OTHER}");
    for (gaps, runs, refused) in [
        (&of_loop, OTHER, None),
        (&of_loop, both.as_str(), None),
        (&of_loop, DRY, Some("dry runs alone show nothing")),
        (&later, CHECK, Some("was found on 2026-03-03, and every run of --fixed-in is older")),
        (&bad_lock, CHANGE, Some("matters too much")),
    ] {
        let ran = world_of(gaps).plan(json!({"id": "GAP-OP-665", "status": "fixed", "fixed_in": runs}));
        match refused {
            None => drop(ran.output().clone()),
            Some(part) => assert!(ran.failure().why().contains(part), "{runs}: {ran:?}"),
        }
    }
}
