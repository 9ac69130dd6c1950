//! The ways to say yes: where one is not listed, its input is not even read; where it is, it counts, and the receipt
//! says which it was.

use std::io::{Read, Write};
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ops, ran};
use ops_tests::skip;
use serde_json::Value;

use super::{SEND, TWO, World, mail, outbox, plan_status, receipt, refused, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let python = skip::python(&["fcntl", "termios"]);
    let missing = python.is_none().then_some("python3");
    let at_a_terminal = TYPED.into_iter().map(move |case| {
        let python = python.clone();
        skip::trial(format!("refusals::typed::{}", case.name), missing, move || {
            typed(&python.unwrap(), &case)
        })
    });
    at_a_terminal
        .chain([
            trial("piped::a_yes_where_it_is_not_listed_is_not_read", piped_not_listed),
            trial("piped::a_yes_where_it_is_listed", piped_listed),
            trial("piped::anything_but_yes", piped_other),
            trial("auto_says_that_nobody_was_asked", auto),
            trial("a_signature_where_it_is_not_listed", signed_not_listed),
            trial("nothing_to_change_needs_nobody", nothing_to_change),
            trial("dry_run::sends_nothing", dry_run_sends_nothing),
            trial("dry_run::writes_nothing", dry_run_writes_nothing),
        ])
        .collect()
}

/// Runs `ops` with `yes` in a pipe, and says what is left in the pipe.
fn with_yes_in_a_pipe(scratch: &Scratch, words: &[&str], line: &str) -> (Ran, String) {
    let (mut left, mut pipe) = std::io::pipe().unwrap();
    writeln!(pipe, "{line}").unwrap();
    drop(pipe);
    let ran = ran(scratch.command().args(words).stdin(left.try_clone().unwrap()));
    let mut unread = String::new();
    left.read_to_string(&mut unread).unwrap();
    (ran, unread)
}

fn piped_not_listed() {
    let world = World::new();
    let (run, unread) = with_yes_in_a_pipe(&world.scratch, &["cap", "run", TWO], "yes");

    assert_eq!(unread, "yes\n");
    waits(&world.scratch, &run.exits(3));
    assert_eq!(world.server.connections(), 0);
}

/// Exit 3, a plan that waits, and a receipt that says so.
fn waits(scratch: &Scratch, run: &Ran) {
    let receipt = receipt(run);
    assert_eq!(receipt["run"]["status"], "planned");
    assert_eq!(receipt["approval"]["how"], "none");
    assert_eq!(plan_status(scratch, receipt["run"]["plan"]["id"].as_str().unwrap()), "waiting");
}

fn piped_listed() {
    let scratch = mail("{mode: manual, accept: [signed, piped]}");
    let (run, unread) = with_yes_in_a_pipe(&scratch, &SEND, "yes");

    assert_eq!(unread, "");
    let receipt = receipt(&run.exits(0));
    assert_eq!(receipt["run"]["status"], "done");
    assert_eq!(receipt["approval"]["how"], "piped");
    assert_eq!(receipt["approval"]["approvers"], Value::Array(vec![]), "a pipe is nobody");
    assert_eq!(outbox(&scratch).len(), 2);
}

fn piped_other() {
    let scratch = mail("{mode: manual, accept: [signed, piped]}");
    for line in ["no", "y", "", "yes please"] {
        let (run, _) = with_yes_in_a_pipe(&scratch, &SEND, line);
        waits(&scratch, &run.exits(3));
    }
    assert_eq!(outbox(&scratch), [""; 0]);
}

/// What a person types at a terminal, and what comes of it.
struct Typed {
    name: &'static str,
    accept: &'static str,
    answer: &'static str,
    code: i32,
    /// What was typed and nobody read; HASH stands for the plan's short hash.
    left: &'static [&'static str],
}

const TYPED: [Typed; 4] = [
    Typed {
        name: "the_right_hash_where_confirmed_is_not_listed",
        accept: "[signed]",
        answer: "HASH",
        code: 3,
        left: &["yes", "HASH"],
    },
    // Standard input is this terminal, which is no pipe.
    Typed {
        name: "the_right_hash_where_only_piped_is_listed",
        accept: "[signed, piped]",
        answer: "HASH",
        code: 3,
        left: &["yes", "HASH"],
    },
    Typed {
        name: "a_wrong_answer_where_confirmed_is_listed",
        accept: "[confirmed]",
        answer: "HASH",
        code: 3,
        left: &["HASH"],
    },
    Typed {
        name: "the_right_hash_where_confirmed_is_listed",
        accept: "[confirmed]",
        answer: "HASH",
        code: 0,
        left: &[],
    },
];

fn typed(python: &str, case: &Typed) {
    let scratch = mail(&format!("{{mode: manual, accept: {}}}", case.accept));
    // What is typed too early answers the question, as it does in life; the one who knows better waits.
    let early = if case.code == 0 { "" } else { "yes" };
    let mut at_terminal = Command::new(python);
    at_terminal.args(["-c", include_str!("pty.py"), early, case.answer]).arg(ops()).args(SEND);
    at_terminal.current_dir(scratch.path(".")).env_clear();
    at_terminal.envs(scratch.command().get_envs().filter_map(|(name, value)| Some((name, value?))));

    let ended = ran(&mut at_terminal).exits(0).json();

    let shown = ended["shown"].as_str().unwrap();
    assert_eq!(ended["code"], case.code, "{shown}");
    let left: Vec<_> =
        case.left.iter().map(|line| line.replace("HASH", ended["hash"].as_str().unwrap())).collect();
    assert_eq!(ended["left"], serde_json::json!(left), "{shown}");
    let receipt = scratch.last_receipt();
    let plan = receipt["run"]["plan"]["id"].as_str().unwrap();
    if case.code == 0 {
        assert_eq!(receipt["run"]["status"], "done");
        assert_eq!(receipt["approval"]["how"], "confirmed");
        assert_eq!(plan_status(&scratch, plan), "applied");
        assert_eq!(outbox(&scratch).len(), 2);
    } else {
        assert_eq!(receipt["run"]["status"], "planned");
        assert_eq!(receipt["approval"]["how"], "none");
        assert_eq!(plan_status(&scratch, plan), "waiting");
        assert_eq!(outbox(&scratch), [""; 0]);
    }
}

fn auto() {
    let world = World::with_approval("{mode: auto, reason: records of a test bench}");
    let (run, unread) = with_yes_in_a_pipe(&world.scratch, &["cap", "run", TWO], "no");

    assert_eq!(unread, "no\n");
    let receipt = receipt(&run.exits(0));
    assert_eq!(receipt["approval"]["required"], false);
    assert_eq!(receipt["approval"]["how"], "auto");
    assert_eq!(receipt["approval"]["reason"], "records of a test bench");
    assert_eq!(receipt["approval"]["approvers"], Value::Array(vec![]));
    assert_eq!(world.sent(), ["POST /a", "GET /task", "POST /b"]);
}

/// A binding that lists `confirmed` alone takes no signature.
fn signed_not_listed() {
    let scratch = mail("{mode: manual, accept: [confirmed]}");
    let plan = scratch.ops(&SEND).exits(3).plan();

    refused(&scratch, &["plan", "approve", &plan, "--key", "key", "--apply"], "approval", "signed");

    assert_eq!(plan_status(&scratch, &plan), "waiting");
    assert_eq!(outbox(&scratch), [""; 0]);
}

/// Everything is as it should be: no plan, nobody to ask, done.
fn nothing_to_change() {
    let server = ops_tests::server::Server::answering(r#"{"id": "7", "started": true}"#);
    let scratch = Scratch::new();
    scratch.bind("guest-incomplete", &super::ends::incomplete(&server));

    let run =
        scratch.ops(&["cap", "run", "test.guest.incomplete"]).exits(0).says("there is nothing to change");

    assert_eq!(receipt(&run)["run"]["status"], "done");
    assert_eq!(scratch.ops(&["plan", "list", "--json"]).exits(0).json()["plans"], Value::Array(vec![]));
}

fn dry_run_sends_nothing() {
    let world = World::new();
    let run = world.scratch.ops(&["cap", "run", TWO, "--dry-run"]).exits(0);
    let receipt = receipt(&run);
    assert_eq!(receipt["run"]["status"], "done");
    assert_eq!(receipt["run"]["mode"], "dry-run");
    assert_eq!(receipt["effects"][0]["outcome"], "planned");

    let plan = receipt["run"]["plan"]["id"].as_str().unwrap();
    world.refused(&["plan", "approve", plan, "--key", "key"], "plan", "it comes from a dry run");
    world.refused(&["plan", "approve", plan, "--key", "key", "--apply"], "plan", "it comes from a dry run");
    world.refused(&["plan", "apply", plan], "plan", "it comes from a dry run");
    assert_eq!(plan_status(&world.scratch, plan), "never");
    assert_eq!(world.server.connections(), 0);
}

/// Even where nobody would be asked, and where somebody says yes unasked.
fn dry_run_writes_nothing() {
    for approval in ["{mode: auto, reason: records}", "{mode: manual, accept: [piped]}", "{mode: manual}"] {
        let scratch = mail(approval);
        let (run, unread) = with_yes_in_a_pipe(&scratch, &[&SEND[..], &["--dry-run"]].concat(), "yes");
        assert_eq!(receipt(&run.exits(0))["files"][0]["outcome"], "staged", "{approval}");
        assert_eq!(unread, "yes\n", "{approval}");
        assert_eq!(outbox(&scratch), [""; 0], "{approval}");
    }
    let scratch = mail("{mode: auto, reason: records}");
    scratch.ops(&SEND).exits(0);
    assert_eq!(outbox(&scratch).len(), 2, "the control: without --dry-run it does write");
}
