//! An approval is good for one plan, on one host, once, for a while, by an approver.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use ops_policy::plan::NAMESPACE;
use ops_tests::scratch::{Scratch, ran};
use ops_tests::server::Server;
use ops_tests::skip;

use super::{
    SEND, TWO, World, append, mail, new_key, outbox, plan_status, receipt, refused, signature, trial,
    two_effects,
};

pub(crate) fn trials() -> Vec<Trial> {
    let python = skip::python(&["sqlite3"]);
    let missing = python.is_none().then_some("python3 with sqlite3");
    let changed = CHANGED.into_iter().map(move |case| {
        let python = python.clone();
        skip::trial(format!("refusals::changed_in_the_ledger::{}", case.name), missing, move || {
            changed_document(&python.unwrap(), &case);
        })
    });
    changed
        .chain([
            trial("a_staged_file_that_differs_from_the_plan", staged_file),
            trial("a_file_that_somebody_changed_meanwhile", file_changed_meanwhile),
            trial("an_expired_approval", expired_approval),
            trial("an_approval_that_was_signed_long_ago", signed_long_ago),
            trial("an_expired_plan", expired_plan),
            trial("a_plan_carried_out_twice", reused_plan),
            trial("a_rejected_plan", rejected_plan),
            trial("an_approval_by_nobody_that_counts", foreign_key),
            trial("an_approval_by_somebody_who_was_removed", removed_approver),
            trial("an_approval_for_another_plan", other_plan),
            trial("an_approval_for_another_workspaces_identical_plan", other_workspace),
            trial("a_signature_for_another_purpose", other_namespace),
            trial("two_approvals_are_two_people", two_people),
            trial("ones_own_plan_where_that_is_refused", own_plan),
        ])
        .collect()
}

/// A change of a stored plan's document by somebody who can write the ledger's file.
struct Changed {
    name: &'static str,
    dry_run: bool,
    from: &'static str,
    to: &'static str,
    why: &'static str,
}

const OTHER: &str = "document is not the one that was stored";

const CHANGED: [Changed; 4] = [
    Changed {
        name: "an_argument",
        dry_run: false,
        from: "alice@example.test",
        to: "mallory@example.test",
        why: OTHER,
    },
    Changed {
        name: "what_is_shown_of_a_file",
        dry_run: false,
        from: "\"after_text\":\"",
        to: "\"after_text\":\"# ",
        why: OTHER,
    },
    Changed {
        name: "that_it_is_a_dry_run",
        dry_run: true,
        from: "\"dry_run\":true",
        to: "\"dry_run\":false",
        why: OTHER,
    },
    Changed {
        name: "its_form",
        dry_run: false,
        from: "{\"version\":1",
        to: "{\"version\":one",
        why: "not a plan",
    },
];

fn changed_document(python: &str, case: &Changed) {
    let scratch = mail("{mode: manual}");
    let dry_run: &[&str] = if case.dry_run { &["--dry-run"] } else { &[] };
    let made = scratch.ops(&[&SEND, dry_run].concat()).exits(if case.dry_run { 0 } else { 3 });
    let plan = receipt(&made)["run"]["plan"]["id"].as_str().unwrap().to_owned();
    if !case.dry_run {
        scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
    }

    let change = "
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
document, = ledger.execute('SELECT CAST(document AS TEXT) FROM plans').fetchone()
changed = document.replace(sys.argv[2], sys.argv[3])
assert changed != document
ledger.execute('UPDATE plans SET document = ?', (changed.encode(),))
ledger.commit()";
    ran(Command::new(python).args(["-c", change]).arg(ledger(&scratch)).args([case.from, case.to])).exits(0);

    refused(&scratch, &["plan", "apply", &plan], "plan", case.why);
    refused(&scratch, &["plan", "approve", &plan, "--key", "key"], "plan", case.why);
    assert_eq!(outbox(&scratch), [""; 0]);
}

fn ledger(scratch: &Scratch) -> PathBuf {
    let state = fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path();
    state.join("ledger.db")
}

/// The guest tells apply from plan by the answer to its effect, and then stages another text.
fn staged_file() {
    let world = World { scratch: Scratch::new(), server: Server::answering("done") };
    world.scratch.write("ops/state/box/file.txt", "as it was");
    world.scratch.bind("guest-stages-differently", &stages(&world.server));
    let plan = world
        .scratch
        .ops(&["cap", "run", "test.guest.stages-differently", "--trick", "answer"])
        .exits(3)
        .plan();

    let run = world.scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(4);

    let receipt = receipt(&run);
    assert_eq!(receipt["outcome"]["stopped"], "deviation");
    assert!(receipt["outcome"]["message"].as_str().unwrap().contains("box/file.txt differs"), "{receipt}");
    assert_eq!(
        receipt["effects"][0]["outcome"], "performed",
        "the effect came first, and the receipt says so"
    );
    assert_eq!(receipt["files"][0]["outcome"], "staged");
    assert_eq!(fs::read_to_string(world.scratch.path("ops/state/box/file.txt")).unwrap(), "as it was");
}

fn stages(server: &Server) -> String {
    format!(
        "\
capability: test.guest.stages-differently
component: components/guest_stages_differently.wasm
safety: mutating
approval: {{mode: manual}}
services:
  web:
    origin: {}
    addresses: [127.0.0.1/32]
    rules:
      - {{id: phase, method: GET, path: /phase, effect: read}}
      - {{id: a, method: POST, path: /a, effect: mutate}}
directories:
  box: {{path: state/box, access: stage}}
",
        server.origin()
    )
}

/// The original is not what the approver saw as `before`: a stale plan, and nothing is overwritten.
fn file_changed_meanwhile() {
    let world = World { scratch: Scratch::new(), server: Server::answering("plan") };
    world.scratch.write("ops/state/box/file.txt", "as it was");
    world.scratch.bind("guest-stages-differently", &stages(&world.server));
    let plan = world
        .scratch
        .ops(&["cap", "run", "test.guest.stages-differently", "--trick", "read"])
        .exits(3)
        .plan();
    world.scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);

    world.scratch.write("ops/state/box/file.txt", "by somebody else");

    let run = world
        .scratch
        .ops(&["plan", "apply", &plan])
        .exits(3)
        .says("the directory `box` is not as the plan saw it");
    assert_eq!(receipt(&run)["run"]["status"], "stale");
    assert_ne!(run.plan(), plan, "a new plan is stored");
    assert_eq!(fs::read_to_string(world.scratch.path("ops/state/box/file.txt")).unwrap(), "by somebody else");
}

fn with_lifetimes(lifetimes: &str) -> World {
    let world = World::new();
    append(&world.scratch.path("ops/ops.yaml"), &format!("approvals: {{{lifetimes}}}\n"));
    world.scratch.pin();
    world
}

/// Waits for a moment of the wall clock, the only event that makes something expire.
fn wait_until(moment: Timestamp) {
    while Timestamp::now() <= moment {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn expired_approval() {
    let world = with_lifetimes("approval: 1s");
    let plan = world.approved();
    wait_until(Timestamp::now() + Duration::from_secs(1));

    world.refused(&["plan", "apply", &plan], "approval", "the approval by alice is older than 1 s");

    assert_eq!(plan_status(&world.scratch, &plan), "waiting", "an approval that has expired is none");
    world.scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
}

fn expired_plan() {
    let world = with_lifetimes("plan: 1s");
    let plan = world.plan();
    let shown = world.scratch.ops(&["plan", "show", &plan, "--json"]).exits(0).json();
    wait_until(shown["plan"]["expires"].as_str().unwrap().parse().unwrap());

    world.refused(&["plan", "apply", &plan], "plan-expired", "expired at");
    world.refused(&["plan", "approve", &plan, "--key", "key"], "plan-expired", "expired at");
    assert_eq!(plan_status(&world.scratch, &plan), "expired");
}

fn reused_plan() {
    let world = World::new();
    let plan = world.approved();
    world.scratch.ops(&["plan", "apply", &plan]).exits(0);
    let sent = world.sent();

    world.refused(&["plan", "apply", &plan], "plan-used", "is applied and cannot be carried out again");
    world.refused(&["plan", "approve", &plan, "--key", "key"], "plan-used", "is applied");
    assert_eq!(world.sent(), sent);
}

fn rejected_plan() {
    let world = World::new();
    let plan = world.approved();
    world.scratch.ops(&["plan", "reject", &plan]).exits(0);

    world.refused(&["plan", "apply", &plan], "plan-used", "is rejected and cannot be carried out");
    world.refused(&["plan", "reject", &plan], "plan-used", "is rejected");
}

fn foreign_key() {
    let world = World::new();
    let plan = world.plan();
    new_key(&world.scratch, "mallory", "mallory", 7);

    world.refused(&["plan", "approve", &plan, "--key", "mallory"], "approval", "is not approved");
    world.refused(&["plan", "approve", &plan, "--key", "mallory", "--apply"], "approval", "is not approved");

    assert_eq!(plan_status(&world.scratch, &plan), "waiting");
}

/// Bob approved, and was then taken off the list: what counts is the list of the moment when it is carried out. The
/// plan rests on the lock too, so it falls with it.
fn removed_approver() {
    let world = World::new();
    let bob = new_key(&world.scratch, "bob", "bob", 8);
    let approvers = world.scratch.path("ops/approvers");
    let before = fs::read_to_string(&approvers).unwrap();
    append(&approvers, &bob);
    world.scratch.pin();
    let plan = world.plan();
    world.scratch.ops(&["plan", "approve", &plan, "--key", "bob"]).exits(0);

    fs::write(&approvers, before).unwrap();
    world.scratch.pin();

    world.refused(&["plan", "apply", &plan], "lock-changed", "ops.lock has changed since");
    let plan = world.plan();
    world.refused(&["plan", "approve", &plan, "--key", "bob"], "approval", "is not approved");
}

/// The text of a plan, as it is signed on another machine.
fn exported(scratch: &Scratch, plan: &str) -> Vec<u8> {
    scratch.ops(&["plan", "export", plan]).exits(0);
    fs::read(scratch.path("plan.txt")).unwrap()
}

fn other_plan() {
    let world = World::new();
    let (one, other) = (world.plan(), world.plan());
    let text = exported(&world.scratch, &one);
    world.scratch.write("plan.txt.sig", &signature(&world.scratch, "key", NAMESPACE, &text));

    world.refused(
        &["plan", "approve", &other, "--signature", "plan.txt.sig", "--apply"],
        "approval",
        "is not approved",
    );

    assert_eq!(plan_status(&world.scratch, &other), "waiting");
    world.scratch.ops(&["plan", "approve", &one, "--signature", "plan.txt.sig", "--apply"]).exits(0);
}

/// Somebody found a signature, or made one that shall be good for ever: the end of an approval is in what is signed.
fn signed_long_ago() {
    let world = World::new();
    let plan = world.plan();
    let text = String::from_utf8(exported(&world.scratch, &plan)).unwrap();
    let until = text.lines().last().unwrap().strip_prefix("approved until ").unwrap();
    let until: Timestamp = until.parse().unwrap();
    let hours = |hours: i64| (until + jiff::SignedDuration::from_hours(hours)).to_string();
    for (moment, why) in [
        (hours(-2), "was good until"),
        (hours(2), "longer than ops.yaml lets an approval be good"),
        ("9999-12-30T00:00:00Z".to_owned(), "longer than ops.yaml"),
        ("some day".to_owned(), "is not a yes to this plan"),
    ] {
        let other = text.replace(&until.to_string(), &moment);
        assert_ne!(other, text);
        world.scratch.write("plan.txt", &other);
        world.scratch.write("plan.txt.sig", &signature(&world.scratch, "key", NAMESPACE, other.as_bytes()));
        world.refused(&["plan", "approve", &plan, "--signature", "plan.txt.sig"], "approval", why);
    }
    // The moment is signed too.
    world.scratch.write("plan.txt", &text);
    world.refused(&["plan", "approve", &plan, "--signature", "plan.txt.sig"], "approval", "is not approved");
    assert_eq!(plan_status(&world.scratch, &plan), "waiting");
}

/// Production and its twin: the same approver, the same files, the same server, the same call.
fn other_workspace() {
    let twin = Scratch::without_workspace();
    let world = World::new();
    fs::copy(world.scratch.path("key.pub"), twin.path("key.pub")).unwrap();
    fs::copy(world.scratch.path("key"), twin.path("key")).unwrap();
    twin.ops(&["init", "--name", "demo", "--principal", "alice", "--approver", "key.pub"]).exits(0);
    twin.bind("guest-two-effects", &two_effects(&world.server, "{mode: manual}"));
    let (here, there) = (world.plan(), twin.ops(&["cap", "run", TWO]).exits(3).plan());
    for file in ["ops/ops.lock", "ops/approvers", "ops/bindings/test.guest.two-effects.yaml"] {
        assert_eq!(fs::read(world.scratch.path(file)).unwrap(), fs::read(twin.path(file)).unwrap(), "{file}");
    }

    let text = exported(&twin, &there);
    world.scratch.write("plan.txt", std::str::from_utf8(&text).unwrap());
    world.scratch.write("plan.txt.sig", &signature(&twin, "key", NAMESPACE, &text));

    world.refused(
        &["plan", "approve", &here, "--signature", "plan.txt.sig", "--apply"],
        "approval",
        "is not approved",
    );
    assert_eq!(plan_status(&world.scratch, &here), "waiting");
    assert_eq!(world.server.connections(), 0);
}

/// The right text by the right key, but signed as something else: a lock, or a file.
fn other_namespace() {
    let world = World::new();
    let plan = world.plan();
    let text = exported(&world.scratch, &plan);
    for namespace in ["ops-lock", "file"] {
        world.scratch.write("plan.txt.sig", &signature(&world.scratch, "key", namespace, &text));
        world.refused(
            &["plan", "approve", &plan, "--signature", "plan.txt.sig"],
            "approval",
            "is not approved",
        );
    }
}

fn two_people() {
    let world = World::with_approval("{mode: manual, approvals: 2}");
    let mut approvers = new_key(&world.scratch, "alices-other-key", "alice", 9);
    approvers.push_str(&new_key(&world.scratch, "bob", "bob", 8));
    append(&world.scratch.path("ops/approvers"), &approvers);
    world.scratch.pin();
    let plan = world.plan();

    for key in ["key", "alices-other-key"] {
        world.scratch.ops(&["plan", "approve", &plan, "--key", key]);
        world.scratch.ops(&["plan", "apply", &plan]).exits(3).says("it has 1 approvals");
        assert_eq!(plan_status(&world.scratch, &plan), "waiting", "alice is one person, whatever her keys");
    }
    assert_eq!(world.server.connections(), 0);

    world.scratch.ops(&["plan", "approve", &plan, "--key", "bob"]).exits(0);
    let run = world.scratch.ops(&["plan", "apply", &plan]).exits(0);
    let receipt = receipt(&run);
    let who: Vec<_> =
        receipt["approval"]["approvers"].as_array().unwrap().iter().map(|one| &one["principal"]).collect();
    assert_eq!(who, ["alice", "bob"]);
    assert_eq!(receipt["approval"]["how"], "signed");
}

/// `self: refused` compares the approver with the one who asked, by the name that the operating system gives.
fn own_plan() {
    let world = with_lifetimes("self: refused");
    let shown = world.scratch.ops(&["plan", "show", &world.plan(), "--json"]).exits(0).json();
    let me = shown["plan"]["requester"].as_str().unwrap();
    let mine = new_key(&world.scratch, "mine", me, 8);
    append(&world.scratch.path("ops/approvers"), &mine);
    world.scratch.pin();
    let plan = world.plan();

    world.refused(
        &["plan", "approve", &plan, "--key", "mine"],
        "approval",
        "asked for this plan and may not approve it",
    );
    world.scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
}
