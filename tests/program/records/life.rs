//! The life of gaps and a loop, from the first finding to the closed loop with its evidence; and what is refused on the way.

use std::fs;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::skip::trial;

use super::{GAPS, check, scope, workspace, yes};

const LOOP: &str = "LOOP-A";
const EMPTY: &str = "# All of them.\nversion: 1\nupdated: 2026-03-02\ngaps: []   # none yet\n";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("records::a_loop_is_closed_with_the_evidence_of_its_gaps", None, life),
        trial("records::words_and_runs_that_are_no_evidence_are_refused", None, refused),
        trial("records::a_gap_is_closed_by_a_signature_too", None, signed),
        trial("records::a_dry_run_changes_nothing", None, dry),
    ]
}

fn with_loops(capabilities: &[&str]) -> Scratch {
    let body = "## Linked Gaps\n- GAP-OP-001: first\n- GAP-OP-002: second\n\n## Acceptance\n- It says so\n- Nothing is left\n";
    let proof = "proof:\n  - [test.guest.echo]\n  - [linked-gaps]\n";
    let other = scope("LOOP-B", "", "## Acceptance\n- Later\n");
    workspace(capabilities, EMPTY, &[(LOOP, &scope(LOOP, proof, body)), ("LOOP-B", &other)])
}

fn file(scratch: &Scratch, description: &str) -> String {
    let words = ["cap", "run", "gaps.file", "--id", "auto", "--type", "missing-entry", "--severity", "high"];
    let more = [
        "--description",
        description,
        "--discovered-by",
        "tester",
        "--doc",
        "docs/x.md",
        "--parent-loop",
        LOOP,
        "--json",
    ];
    let said = scratch.ops(&[&words[..], &more].concat()).exits(0).json();
    said["data"]["id"].as_str().unwrap().to_owned()
}

fn life() {
    let scratch = with_loops(&[
        "gaps.file",
        "gaps.update",
        "gaps.close",
        "gaps.list",
        "loops.list",
        "loops.show",
        "loops.create",
        "loops.close",
    ]);
    let ids = ["The first.", "The second.", "The third."].map(|text| file(&scratch, text));
    assert_eq!(ids, ["GAP-OP-001", "GAP-OP-002", "GAP-OP-003"]);
    let text = fs::read_to_string(scratch.path(GAPS)).unwrap();
    assert!(
        text.starts_with("# All of them.\nversion: 1\n")
            && text.contains("\ngaps:   # none yet\n  - id: GAP-OP-001\n"),
        "{text}"
    );
    let twin = [
        "cap",
        "run",
        "gaps.file",
        "--type",
        "runtime-bug",
        "--severity",
        "low",
        "--description",
        "the  FIRST.",
        "--discovered-by",
        "tester",
        "--loop-id",
        LOOP,
    ];
    scratch.ops(&twin).exits(1).says("GAP-OP-001 is open with the same title (gaps/operational.gaps.yaml:5)");

    // Open gaps hold the loop open, and all of them are named.
    let close = ["loops", "close", LOOP];
    scratch
        .ops(&close)
        .exits(1)
        .says("BLOCKED: LOOP-A")
        .says("GAP-OP-001 is open")
        .says("GAP-OP-003 is open");

    // One is fixed, one goes to another loop, one is blocked.
    let key = check(&scratch, "fixed");
    let line = format!("CLOSED: GAP-OP-001 (status=fixed, fixed_in={key})");
    let words = ["cap", "run", "gaps.close", "--id", "GAP-OP-001", "--status", "fixed", "--fixed-in", &key];
    let run = scratch.ops_with_input(&words, "yes\n").exits(0);
    assert!(run.stdout.contains(&line), "{}", run.stdout);
    let approval = &scratch.last_receipt()["approval"];
    assert!(approval.to_string().contains("piped"), "{approval}");
    let again = scratch.ops_with_input(&words, "yes\n").exits(0);
    assert!(again.stdout.contains("SKIPPED: GAP-OP-001"), "{}", again.stdout);
    scratch.ops(&close).exits(1).says("GAP-OP-002 is open");
    yes(
        &scratch,
        &["gaps.update", "--id", "GAP-OP-002", "--parent-loop", "LOOP-B", "--notes", "out of scope"],
    );
    scratch.ops(&close).exits(1).says("GAP-OP-003 is open");
    yes(&scratch, &["gaps.update", "GAP-OP-003", "--blocker-class", "external", "--blocker-evidence", &key]);

    let closed = scratch.ops(&[&close[..], &["--json"]].concat()).exits(0).json();
    let data = &closed["data"];
    assert_eq!(data["message"], "CLOSED: LOOP-A");
    let states: Vec<_> =
        data["gaps"].as_array().unwrap().iter().map(|gap| gap["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["fixed", "reparented to LOOP-B", "blocked (external)"]);
    assert!(data["acceptance"].as_array().unwrap().iter().all(|line| line["runs"] == key.as_str()), "{data}");
    let text = fs::read_to_string(scratch.path("ops/loops/LOOP-A.scope.md")).unwrap();
    assert!(
        text.contains("status: closed   # since March\n")
            && text.contains(&format!("- {{line: 1, runs: [{key}]}}\n")),
        "{text}"
    );
    let again = scratch.ops(&close).exits(0);
    assert!(again.stdout.contains("ALREADY CLOSED: LOOP-A"), "{}", again.stdout);

    let list = scratch.ops(&["cap", "run", "gaps.list", "--status", "all", "--json"]).exits(0).json();
    assert_eq!((&list["data"]["open"], &list["data"]["fixed"]), (&2.into(), &1.into()));
    let loops = scratch.ops(&["loops", "list", "--status", "all", "--json"]).exits(0).json();
    assert_eq!((&loops["data"]["open"], &loops["data"]["closed"]), (&1.into(), &1.into()));
    let show = scratch.ops(&["loops", "show", "LOOP-B"]).exits(0);
    assert!(show.stdout.contains("loop_id: LOOP-B"), "{}", show.stdout);
    let made = scratch.ops(&[
        "loops",
        "create",
        "--name",
        "next",
        "--objective",
        "More",
        "--success",
        "It is there",
        "--json",
    ]);
    let made = made.exits(0).json();
    let file = made["data"]["file"].as_str().unwrap().to_owned();
    assert!(scratch.path("ops").join(file).exists());
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}

/// Each is refused, and the file stays as it is.
fn refused() {
    let scratch = with_loops(&["gaps.file", "gaps.close"]);
    file(&scratch, "Something.");
    let before = fs::read_to_string(scratch.path(GAPS)).unwrap();
    let failed = scratch.ops(&["cap", "run", "test.guest.panics", "--json"]).json()["run_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let good = check(&scratch, "good");
    let unknown = good.replacen("__R", "__Rx", 1);
    let damaged = check(&scratch, "damaged");
    damage(&scratch, &damaged);
    let refused = |fixed_in: &str, code: i32, part: &str| {
        let words =
            ["cap", "run", "gaps.close", "--id", "GAP-OP-001", "--status", "fixed", "--fixed-in", fixed_in];
        scratch.ops_with_input(&words, "yes\n").exits(code).says(part);
        assert_eq!(fs::read_to_string(scratch.path(GAPS)).unwrap(), before, "{fixed_in}");
    };
    refused("fixed in the last commit", 2, "words are no evidence");
    refused(&unknown, 1, "has no receipt here");
    refused(&failed, 1, "and only a run that is done is evidence");
    refused(&format!("{good},{failed}"), 1, "and only a run that is done is evidence");
    refused(&damaged, 1, "does not verify");
    scratch.breaks("what is kept of one run was changed");

    // A yes that is none leaves a plan.
    let words = ["cap", "run", "gaps.close", "--id", "GAP-OP-001", "--status", "fixed", "--fixed-in", &good];
    scratch.ops_with_input(&words, "no\n").exits(3);
    scratch.ops(&words).exits(3);
    assert_eq!(fs::read_to_string(scratch.path(GAPS)).unwrap(), before);
}

/// Changes what is kept of a run's output.
fn damage(scratch: &Scratch, key: &str) {
    let folder = scratch.receipts().into_iter().find(|folder| folder.ends_with(format!("R{key}"))).unwrap();
    let output = fs::read_to_string(folder.join("output.json")).unwrap();
    fs::write(folder.join("output.json"), output.replace("damaged", "mended")).unwrap();
}

fn signed() {
    let scratch = with_loops(&["gaps.file", "gaps.close"]);
    file(&scratch, "Something.");
    let key = check(&scratch, "fixed");
    let words = ["cap", "run", "gaps.close", "--id", "GAP-OP-001", "--status", "fixed", "--fixed-in", &key];
    let plan = scratch.ops(&words).exits(3).plan();
    let shown = scratch.ops(&["plan", "show", &plan]).exits(0);
    assert!(shown.stdout.contains("fixed_in"), "{}", shown.stdout);
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let text = fs::read_to_string(scratch.path(GAPS)).unwrap();
    assert!(text.contains(&format!("fixed_in: [{key}]")), "{text}");
}

fn dry() {
    let scratch = with_loops(&["gaps.file"]);
    let before = fs::read_to_string(scratch.path(GAPS)).unwrap();
    let words = [
        "cap",
        "run",
        "gaps.file",
        "--type",
        "runtime-bug",
        "--severity",
        "low",
        "--description",
        "x",
        "--discovered-by",
        "tester",
        "--loop",
        LOOP,
        "--dry-run",
    ];
    let run = scratch.ops(&words).exits(0);
    assert!(run.stdout.contains("GAP-OP-001"), "{}", run.stdout);
    assert_eq!(fs::read_to_string(scratch.path(GAPS)).unwrap(), before);
}
