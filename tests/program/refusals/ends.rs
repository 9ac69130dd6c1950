//! Runs that end before their time: the world has changed, nobody knows what happened, or a person pressed Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch};
use ops_tests::server::{Reply, Server};
use rustix::process::{Pid, Signal, kill_process};

use super::{TWO, World, plan_status, receipt, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_stale_plan", stale),
        trial("an_unknown_outcome_blocks_the_same_input", unknown),
        trial("ctrl_c::before_the_intent", interrupted_before),
        trial("ctrl_c::after_the_intent_finishes_the_effect_in_flight", interrupted_after),
    ]
}

/// `test.guest.incomplete`, which reads `/state` before it changes anything.
pub(super) fn incomplete(server: &Server) -> String {
    format!(
        "\
capability: test.guest.incomplete
component: components/guest_incomplete.wasm
safety: mutating
approval: {{mode: manual}}
services:
  web:
    origin: {}
    addresses: [127.0.0.1/32]
    rules:
      - {{id: state, method: GET, path: /state, effect: read}}
      - {{id: create, method: POST, path: /items, effect: mutate}}
      - {{id: start, method: POST, path: '/items/{{id}}/start', effect: mutate}}
",
        server.origin()
    )
}

/// Between plan and apply, somebody else makes the item that the plan would make.
fn stale() {
    let state = Arc::new(Mutex::new(r#"{"id": null, "started": false}"#));
    let answer = state.clone();
    let server = Server::start(move |_, _| Reply::Answer(200, (*answer.lock().unwrap()).to_owned()));
    let scratch = Scratch::new();
    scratch.bind("guest-incomplete", &incomplete(&server));
    let plan = scratch.ops(&["cap", "run", "test.guest.incomplete"]).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);

    *state.lock().unwrap() = r#"{"id": "7", "started": false}"#;
    let run = scratch.ops(&["plan", "apply", &plan]).exits(3).says("the answer to `web GET /state`");

    let receipt = receipt(&run);
    assert_eq!(receipt["run"]["status"], "stale");
    assert_eq!(receipt["effects"][0]["outcome"], "not-sent");
    assert!(server.seen().iter().all(|seen| seen.method == "GET"), "an effect was sent");
    let new = receipt["run"]["newPlan"]["id"].as_str().unwrap();
    assert_ne!(new, plan);
    assert_eq!(plan_status(&scratch, new), "waiting");
    scratch.ops(&["plan", "show", new]).exits(0);
    scratch.ops(&["plan", "approve", new, "--key", "key", "--apply"]).exits(0);
    assert_eq!(server.seen().last().unwrap().target, "/items/7/start");
}

/// The server takes the effect and hangs up. Nobody knows whether it happened, so nobody may do it again unasked.
fn unknown() {
    let world = World::answering(|_, _| Reply::HangUp);
    let (plan, again) = (world.approved(), world.approved());
    let run = world.scratch.ops(&["plan", "apply", &plan]).exits(5).says("look at the service to see");

    let ended = receipt(&run);
    assert_eq!(ended["run"]["status"], "unknown");
    assert_eq!(ended["effects"][0]["outcome"], "started");
    assert_eq!(ended["effects"][1]["outcome"], "not-sent");
    assert_eq!(world.sent(), ["POST /a"], "it is not sent a second time");

    world.refused(&["plan", "apply", &again], "blocked", "its outcome is unknown");
    world.refused(&["cap", "run", TWO], "blocked", "its outcome is unknown");
    assert_eq!(world.sent(), ["POST /a"]);
    world.scratch.ops(&["status"]).exits(1).says(ended["run"]["id"].as_str().unwrap());
}

/// Where a server's answer waits until the test lets it go.
struct Gate {
    arrived: Receiver<()>,
    go: Sender<()>,
}

/// What a server does at its gate: it says that a request is here, and answers once it may.
fn gate() -> (Gate, impl Fn() + Send + Sync + 'static) {
    let (tell, arrived) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let pass = move || {
        tell.send(()).unwrap();
        let _ = may_go.lock().unwrap().recv_timeout(Duration::from_secs(60));
    };
    (Gate { arrived, go }, pass)
}

fn start(scratch: &Scratch, words: &[&str]) -> Child {
    scratch.command().args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ctrl_c(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// What is left when the program has ended; `said` was read before.
fn end(mut child: Child, mut errors: impl Read, said: String) -> Ran {
    let (mut stdout, mut stderr) = (String::new(), said);
    errors.read_to_string(&mut stderr).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let status = child.wait().unwrap();
    Ran {
        code: status.code().unwrap_or_else(|| panic!("ended by a signal: {status}\n{stderr}")),
        stdout,
        stderr,
    }
}

/// In the plan phase, while a read is waited for, which never comes.
fn interrupted_before() {
    let (gate, pass) = gate();
    let server = Server::start(move |_, _| {
        pass();
        Reply::HangUp
    });
    let scratch = Scratch::new();
    scratch.bind("guest-incomplete", &incomplete(&server));

    let mut child = start(&scratch, &["cap", "run", "test.guest.incomplete"]);
    gate.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    ctrl_c(&child);
    let errors = child.stderr.take().unwrap();
    let run = end(child, errors, String::new()).exits(130).says("nothing was changed");

    let receipt = receipt(&run);
    assert_eq!(receipt["run"]["status"], "interrupted");
    assert_eq!(receipt["run"]["exitCode"], 130);
    assert_eq!(scratch.ops(&["plan", "list", "--json"]).exits(0).json()["plans"], serde_json::json!([]));
    drop(gate.go);
}

/// While the first of two effects is in flight: its answer is waited for, and the second is not sent.
fn interrupted_after() {
    let (gate, pass) = gate();
    let world = World::answering(move |seen, _| {
        if seen.target == "/a" {
            pass();
        }
        Reply::Answer(200, "done".into())
    });
    let plan = world.approved();

    let mut child = start(&world.scratch, &["plan", "apply", &plan]);
    gate.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    ctrl_c(&child);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("an effect in flight is waited for") {
        assert_ne!(errors.read_line(&mut said).unwrap(), 0, "it ended instead: {said}");
    }
    gate.go.send(()).unwrap();
    let run = end(child, errors, said).exits(3).says("interrupted after 1 effect");

    let ended = receipt(&run);
    assert_eq!(ended["run"]["status"], "partial");
    assert_eq!(ended["effects"][0]["outcome"], "performed");
    assert_eq!(ended["effects"][0]["status"], 200);
    assert_eq!(ended["effects"][1]["outcome"], "not-sent");
    assert!(!world.sent().contains(&"POST /b".to_owned()));
    world.scratch.ops(&["status"]).exits(0);
    world.scratch.ops(&["cap", "run", TWO]).exits(3);
}
