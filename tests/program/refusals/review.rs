//! Where ops.yaml requires a review, what nobody has reviewed as it is does not run: asked for, called, started, gone on
//! with or taken back.

use std::fs;
use std::time::Duration;

use libtest_mimic::Trial;
use ops_tests::agent::Piped;
use ops_tests::scratch::Scratch;
use serde_json::{Value, json};

use super::{TWO, World, append, new_key, receipt, refused, trial};
use crate::unknown::{UNDO_RULES, killed, machines, site};

pub(crate) fn trials() -> Vec<Trial> {
    let lacking =
        LACKING.into_iter().map(|case| trial(&format!("review::{}", case.name), move || lacking(&case)));
    lacking
        .chain([
            trial("review::only_from_the_class_on_that_ops_yaml_names", classes),
            trial("review::of_what_another_capability_calls_or_starts", called_and_started),
            trial("review::that_has_ended_meanwhile", ended),
            trial("review::to_take_something_back", undone),
            trial("review::of_what_an_agent_asks_for", agent),
        ])
        .collect()
}

/// One way in which a review does not count.
struct Lacking {
    name: &'static str,
    how: fn(&Scratch),
    why: &'static str,
}

const LACKING: [Lacking; 7] = [
    Lacking { name: "nobody_reviewed_it", how: |_| {}, why: "nobody has reviewed it" },
    Lacking {
        name: "it_was_good_for_a_second",
        how: |scratch| {
            sign(scratch, &["--expires", "1s"]);
            until(scratch, "expired");
        },
        why: "its review is expired: it is good from",
    },
    Lacking {
        name: "the_component_is_another_one",
        how: |scratch| {
            sign(scratch, &[]);
            let component = scratch.path("ops/components/guest_two_effects.wasm");
            // A custom section that says nothing: the same component to everybody but who looks at the bytes.
            fs::write(&component, [fs::read(&component).unwrap(), b"\0\x02\x01x".to_vec()].concat()).unwrap();
            drop(scratch.pin().says("is outdated by this: the component is"));
        },
        why: "its review is outdated: the component is",
    },
    Lacking {
        name: "the_binding_is_another_one",
        how: |scratch| {
            sign(scratch, &[]);
            append(&scratch.path("ops/bindings/test.guest.two-effects.yaml"), "# harmless\n");
            drop(scratch.pin().says("is outdated by this: the binding is"));
        },
        why: "its review is outdated: the binding is",
    },
    Lacking {
        name: "the_reviewer_is_gone",
        how: |scratch| reviewed_by_rita(scratch, ""),
        why: "its review is unsigned: the key",
    },
    Lacking {
        name: "the_reviewer_may_approve_plans_only",
        how: |scratch| reviewed_by_rita(scratch, "namespaces=\"ops-plan\""),
        why: "does not allow rita to sign for namespace `ops-review`",
    },
    Lacking {
        name: "the_reviewers_time_is_over",
        how: |scratch| reviewed_by_rita(scratch, "valid-before=\"20251122Z\""),
        why: "its review is unsigned: the key of rita is not valid",
    },
];

/// Has ops.yaml require reviews from a class on, and pins that.
fn require(scratch: &Scratch, class: &str) {
    append(&scratch.path("ops/ops.yaml"), &format!("require: {{review: {class}}}\n"));
    scratch.pin();
}

fn sign(scratch: &Scratch, more: &[&str]) {
    scratch.ops(&[&["review", "sign", TWO, "--key", "key", "--yes"], more].concat()).exits(0);
}

/// Waits until the state of the one review is this.
fn until(scratch: &Scratch, state: &str) {
    loop {
        let list = scratch.ops(&["review", "list", "--json"]).exits(0).json();
        let rows = list["reviews"].as_array().unwrap();
        if rows.iter().any(|row| row["review"]["state"] == state) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Rita reviews, and then her line of the approvers is another one; none where that has no options.
fn reviewed_by_rita(scratch: &Scratch, then: &str) {
    let approvers = scratch.path("ops/approvers");
    let before = fs::read_to_string(&approvers).unwrap();
    let key = new_key(scratch, "rita", "rita", 8);
    let key = key.split_once("\" ").unwrap().1;
    fs::write(&approvers, format!("{before}rita namespaces=\"ops-review\" {key}")).unwrap();
    scratch.pin();
    let words = ["review", "sign", TWO, "--key", "rita", "--yes", "--to", "ritas.review"];
    scratch.ops(&words).exits(0);
    scratch.ops(&["review", "add", "ritas.review", "--key", "key", "--yes"]).exits(0);
    until(scratch, "valid");
    let line = if then.is_empty() { String::new() } else { format!("rita {then} {key}") };
    fs::write(&approvers, format!("{before}{line}")).unwrap();
    scratch.pin();
}

fn lacking(case: &Lacking) {
    let world = World::new();
    require(&world.scratch, "mutating");
    (case.how)(&world.scratch);
    world.refused(&["cap", "run", TWO], "review", case.why);
    world.refused(&["cap", "run", TWO, "--dry-run"], "review", case.why);

    // Whoever asks why is told the same.
    let shown = world.scratch.ops(&["cap", "show", TWO]).exits(0).stdout;
    assert!(shown.contains("NOT RUNNABLE") && shown.contains(case.why), "{shown}");
    let list = world.scratch.ops(&["cap", "list", "--json"]).exits(0).json();
    assert!(list["capabilities"][0]["fault"].as_str().unwrap().contains(case.why), "{list}");
    world.scratch.ops(&["status"]).exits(1).says(case.why);

    sign(&world.scratch, &[]);
    world.scratch.ops(&["cap", "run", TWO]).exits(3);
    world.scratch.ops(&["status"]).exits(0);
}

fn classes() {
    for (class, runs) in [("destructive", true), ("mutating", false), ("read-only", false)] {
        let world = World::new();
        require(&world.scratch, class);
        if runs {
            world.scratch.ops(&["cap", "run", TWO]).exits(3);
        } else {
            world.refused(&["cap", "run", TWO], "review", &format!("requires one from {class} on"));
        }
    }
}

fn called_and_started() {
    let scratch = Scratch::new();
    for (guest, more) in
        [("echo", ""), ("invokes", "invoke: [test.guest.echo]\n"), ("starts", "starts: [test.guest.echo]\n")]
    {
        scratch.place(&format!("guest-{guest}"));
        scratch.write_binding(&format!(
            "capability: test.guest.{guest}\ncomponent: components/guest_{guest}.wasm\nsafety: read-only\n{more}"
        ));
    }
    scratch.pin();
    require(&scratch, "read-only");
    for caller in ["invokes", "starts"] {
        let caller = format!("test.guest.{caller}");
        let words = ["cap", "run", &caller, "--name", "test.guest.echo"];
        refused(&scratch, &words, "review", "nobody has reviewed it");
        scratch.ops(&["review", "sign", &caller, "--key", "key", "--yes"]).exits(0);
    }

    let echo = ["--json", "--name", "test.guest.echo", "--arguments", r#"{"text": "hello"}"#];
    let calls = [&["cap", "run", "test.guest.invokes"], &echo[..]].concat();
    let said = scratch.ops(&calls).exits(0).json();
    let answer = &said["data"]["answers"][0];
    assert!(answer["why"].as_str().unwrap().contains("nobody has reviewed it"), "{answer}");
    stopped(&scratch, &answer["run"]);

    let starts = [&["cap", "run", "test.guest.starts"], &echo[..]].concat();
    let said = scratch.ops(&starts).exits(4).json();
    assert_eq!(said["started"]["error"]["code"], "review", "{said}");
    stopped(&scratch, &said["started"]["run_key"]);

    scratch.ops(&["review", "sign", "test.guest.echo", "--key", "key", "--yes"]).exits(0);
    scratch.ops(&starts).exits(0);
}

/// Checks that a run was refused for its review, by its receipt.
#[track_caller]
fn stopped(scratch: &Scratch, run: &Value) {
    let folder = format!("R{}", run.as_str().unwrap());
    let folder = scratch.receipts().into_iter().find(|path| path.ends_with(&folder)).unwrap();
    let receipt = ops_tests::scratch::predicate(&folder);
    assert_eq!(
        (&receipt["run"]["status"], &receipt["outcome"]["stopped"]),
        (&"denied".into(), &"review".into())
    );
}

/// What was asked for while the review was good is asked again before anything is sent.
fn ended() {
    let server = machines("clone");
    let scratch = site(&server, "");
    require(&scratch, "mutating");
    let sets_up = ["cap", "run", "test.guest.sets-up", "--machine", "m2", "--note", "hello"];
    scratch
        .ops(&["review", "sign", "test.guest.sets-up", "--key", "key", "--yes", "--expires", "30s"])
        .exits(0);
    let plan = scratch.ops(&sets_up).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    let key = killed(&scratch, &server, 1);
    scratch.ops(&["runs", "resolve", &key, "--effect", "1", "not-performed", "--key", "key"]).exits(0);
    until(&scratch, "expired");
    let sent = server.seen().len();
    refused(&scratch, &["plan", "apply", &plan], "review", "its review is expired");
    refused(&scratch, &["cap", "resume", &key], "review", "its review is expired");
    assert_eq!(server.seen().len(), sent, "something was sent");
    // Another review makes another lock, under which what was begun cannot be gone on with; the person hears it before.
    let words = ["review", "sign", "test.guest.sets-up", "--key", "key", "--yes"];
    let signed = scratch.ops(&words).exits(0);
    drop(
        signed
            .says(&format!("{plan} of test.guest.sets-up must be made again"))
            .says(&format!("{key} can no")),
    );
    refused(&scratch, &["cap", "resume", &key], "lock-changed", "ops.lock has changed since");
    refused(&scratch, &["plan", "apply", &plan], "lock-changed", "ops.lock has changed since");
}

/// Taking back is destructive, whatever it takes back.
fn undone() {
    let server = machines("none");
    let scratch = site(&server, UNDO_RULES);
    require(&scratch, "destructive");
    let sets_up = ["cap", "run", "test.guest.sets-up", "--machine", "m1", "--note", "hello"];
    let plan = scratch.ops(&sets_up).exits(3).plan();
    let ran = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    assert_eq!(receipt(&ran)["run"]["status"], "done");
    let list = scratch.ops(&["runs", "list", "--json"]).exits(0).json();
    let key = list["runs"][0]["key"].as_str().unwrap().to_owned();
    refused(&scratch, &["runs", "undo", &key], "review", "nobody has reviewed it");
    scratch.ops(&["review", "sign", "test.guest.sets-up", "--key", "key", "--yes"]).exits(0);
    scratch.ops(&["runs", "undo", &key]).exits(3);
}

/// What an agent may not run is no tool, and the server says why; what has lost its review since is refused by its run.
fn agent() {
    let world = World::new();
    let scratch = &world.scratch;
    require(scratch, "mutating");
    sign(scratch, &[]);
    let mut server = Piped::start(scratch.command());
    let call = json!({"name": "test_guest_two_effects", "arguments": {}});
    let answer = server.request("tools/call", call.clone()).pop().unwrap();
    assert_eq!(answer.said().content["status"], "planned", "{}", answer.raw);
    append(&scratch.path("ops/bindings/test.guest.two-effects.yaml"), "# harmless\n");
    scratch.pin();
    let answer = server.request("tools/call", call).pop().unwrap();
    assert_eq!(
        (&answer.said().content["status"], &answer.said().content["error"]["code"]),
        (&"denied".into(), &"review".into()),
        "{}",
        answer.raw
    );
    let tools = server.request("tools/list", json!({})).pop().unwrap();
    assert!(!tools.raw.contains("test_guest_two_effects"), "{}", tools.raw);
    let status = server.request("tools/call", json!({"name": "ops_status", "arguments": {}})).pop().unwrap();
    assert!(status.raw.contains("its review is outdated"), "{}", status.raw);
}
