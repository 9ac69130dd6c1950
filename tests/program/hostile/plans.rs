//! Guests that plan one thing and do another; and honest ones whose plans are carried out to the letter.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ops_tests::server::{Reply, Server};
use serde_json::json;

use super::Test;
use super::yard::{Yard, entries, saw, web};

pub(super) const TESTS: &[Test] = &[
    ("two-effects", "carries_out_both_and_waits_between", two_effects),
    ("incomplete", "comes_to_its_end_in_two_plans", incomplete),
    ("extra-effect", "stopped_at_the_effect_that_nobody_approved", extra_effect),
    ("reordered-effects", "stopped_at_the_effect_that_is_not_next", reordered_after_an_answer),
    ("reordered-effects", "stale_where_a_read_gives_it_away", reordered_after_a_read),
    ("stages-differently", "commits_nothing_that_nobody_approved", stages_differently_after_an_answer),
    ("stages-differently", "stale_where_a_read_gives_it_away", stages_differently_after_a_read),
];

const MUTATING: &str = "safety: mutating\napproval: {mode: manual}";
const PHASE: &str = "{id: phase, method: GET, path: /phase, effect: read}";
const A: &str = "{id: a, method: POST, path: /a, effect: mutate}";
const B: &str = "{id: b, method: POST, path: /b, effect: mutate}";
const C: &str = "{id: c, method: POST, path: /c, effect: mutate}";
const BOX: &str = "directories: {box: {path: state/box, access: stage}}";

fn two_effects(yard: &Yard) {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |seen, _| match seen.target.as_str() {
        "/a" => Reply::Answer(202, "accepted".into()),
        "/task" if asked.fetch_add(1, Ordering::SeqCst) < 2 => Reply::Answer(200, "running".into()),
        _ => Reply::Answer(200, "done".into()),
    });
    let task = "{id: task, method: GET, path: /task, effect: read}";
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[task, A, B])));
    let run = yard.run(&[]).ends("planned", 3, None);
    assert_eq!(run.effects(), [("do a", "planned"), ("do b", "planned")]);
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a plan has sent something");

    let run = yard.approve(&run.plan()).ends("done", 0, None).denies_nothing();
    assert_eq!(saw(&server), ["POST /a", "GET /task", "GET /task", "GET /task", "POST /b"]);
    assert_eq!(run.output(), json!({"a": "accepted", "b": "done"}));
    let address = server.origin().replace("http://", "");
    let fields = ["number", "outcome", "rule", "status", "address"];
    let effects = run.receipt["effects"].as_array().unwrap().iter();
    let told: Vec<_> = effects.map(|effect| json!(fields.map(|field| &effect[field]))).collect();
    assert_eq!(
        told,
        [json!([1, "performed", "a", 202, address]), json!([2, "performed", "b", 200, address])]
    );
    assert_eq!(run.receipt["approval"]["approvers"][0]["principal"], "alice");
    let sent = server.seen().into_iter().filter(|seen| seen.method == "POST");
    let bodies: Vec<_> = sent.map(|seen| String::from_utf8(seen.body).unwrap()).collect();
    assert_eq!(bodies, [r#"{"name":"a"}"#, r#"{"name":"b"}"#]);
}

fn incomplete(yard: &Yard) {
    let (made, started) = (AtomicBool::new(false), AtomicBool::new(false));
    let server = Server::start(move |seen, _| {
        match seen.target.as_str() {
            "/items" => made.store(true, Ordering::SeqCst),
            "/items/7/start" => started.store(true, Ordering::SeqCst),
            _ => {}
        }
        let id = made.load(Ordering::SeqCst).then_some("7");
        let started = started.load(Ordering::SeqCst);
        Reply::Answer(200, json!({"id": id, "started": started}).to_string())
    });
    let rules = [
        "{id: state, method: GET, path: /state, effect: read}",
        "{id: create, method: POST, path: /items, effect: mutate}",
        "{id: start, method: POST, path: \"/items/{id}/start\", effect: mutate}",
    ];
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &rules)));
    let first = yard.run(&[]).ends("planned", 3, None);
    assert_eq!(first.effects(), [("create an item", "planned")]);
    assert_eq!(saw(&server), ["GET /state"]);

    let partial = yard.approve(&first.plan()).ends("partial", 3, Some("partial"));
    assert_eq!(partial.effects(), [("create an item", "performed")]);
    assert_eq!(saw(&server)[1..], ["GET /state", "POST /items", "GET /state"], "apply, then the next plan");
    assert_eq!(partial.receipt["run"]["newPlan"]["id"], partial.plan());
    assert_ne!(partial.plan(), first.ran.plan());

    let second = yard.approve(&partial.plan()).ends("done", 0, None).denies_nothing();
    assert_eq!(second.effects(), [("start item 7", "performed")]);
    assert_eq!(saw(&server)[4..], ["GET /state", "POST /items/7/start"]);

    let third = yard.run(&[]).ends("done", 0, None);
    assert_eq!((third.output(), third.effects().len()), (json!({"id": "7"}), 0));
    assert_eq!(saw(&server)[6..], ["GET /state"]);
    assert_eq!(yard.waiting(), <[&str; 0]>::default());
}

fn extra_effect(yard: &Yard) {
    let server = Server::answering("ok");
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[A, B])));
    let plan = yard.run(&[]).ends("planned", 3, None).plan();
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a plan has sent something");

    let run = yard
        .approve(&plan)
        .ends("denied", 4, Some("deviation"))
        .denies("effect", "it asked for effect 2, which the plan does not have")
        .says("the capability departed from the approved plan");
    assert_eq!(saw(&server), ["POST /a"]);
    assert_eq!(run.effects(), [("do a", "performed")]);
    let page = String::from_utf8(run.evidence("receipt.md")).unwrap();
    assert!(page.contains("It performed 1 effect."), "{page}");
}

fn reordered_after_an_answer(yard: &Yard) {
    let server = Server::answering("ok");
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[PHASE, A, B, C])));
    let plan = yard.run(&["--trick", "answer"]).ends("planned", 3, None).plan();
    let run = yard
        .approve(&plan)
        .ends("denied", 4, Some("deviation"))
        .denies("effect", "its effect 2 is not the planned one, `do b`")
        .says("the capability departed from the approved plan");
    assert_eq!(saw(&server), ["POST /a"]);
    assert_eq!(run.effects(), [("do a", "performed"), ("do b", "not-sent"), ("do c", "not-sent")]);
}

fn reordered_after_a_read(yard: &Yard) {
    let (server, phase) = server_with_a_phase();
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[PHASE, A, B, C])));
    let run = yard.run(&["--trick", "read"]).ends("planned", 3, None);
    assert_eq!(run.effects(), [("do a", "planned"), ("do b", "planned"), ("do c", "planned")]);

    *phase.lock().unwrap() = "apply";
    let stale = yard
        .approve(&run.plan())
        .ends("stale", 3, Some("stale"))
        .says("nothing was changed: the answer to `web GET /phase`");
    assert_eq!(stale.effects(), [("do a", "not-sent"), ("do b", "not-sent"), ("do c", "not-sent")]);
    assert_eq!(saw(&server), ["GET /phase"; 3], "plan, apply, new plan");
    // The other order waits for a person to see it.
    let stale = stale.says("1. do c");
    assert_eq!(stale.receipt["run"]["newPlan"]["id"], stale.plan());
}

fn stages_differently_after_an_answer(yard: &Yard) {
    let folder = yard.folder();
    let server = Server::answering("ok");
    yard.bind(&format!("{MUTATING}\n{BOX}\n{}", web(&server, &[PHASE, A])));
    let plan = yard.run(&["--trick", "answer"]).ends("planned", 3, None).plan();
    let run = yard
        .approve(&plan)
        .ends("denied", 4, Some("deviation"))
        .denies("effect", "what was staged is not what was approved: box/file.txt differs")
        .says("no file was replaced");
    assert_eq!(saw(&server), ["POST /a"]);
    assert_eq!(run.effects(), [("do a", "performed")]);
    assert_eq!(run.receipt["files"][0]["outcome"], "staged");
    assert_eq!(entries(&folder), [folder.join("kept.txt")], "something was committed");
}

fn stages_differently_after_a_read(yard: &Yard) {
    let folder = yard.folder();
    let (server, phase) = server_with_a_phase();
    yard.bind(&format!("{MUTATING}\n{BOX}\n{}", web(&server, &[PHASE, A])));
    let plan = yard.run(&["--trick", "read"]).ends("planned", 3, None).plan();

    *phase.lock().unwrap() = "apply";
    let stale = yard
        .approve(&plan)
        .ends("stale", 3, Some("stale"))
        .says("nothing was changed: the answer to `web GET /phase`");
    assert_eq!(stale.receipt["files"][0]["outcome"], "staged");
    assert_eq!(entries(&folder), [folder.join("kept.txt")], "something was committed");

    // The new plan says what is so now, and that is what an approval of it does.
    let new = stale.plan();
    yard.approve(&new).ends("done", 0, None);
    assert_eq!(fs::read_to_string(folder.join("file.txt")).unwrap(), "apply");
    assert_eq!(saw(&server), ["GET /phase"; 4], "plan, apply, new plan, apply");
}

/// A server whose answer to `GET /phase` the test can change. At first it is `plan`.
fn server_with_a_phase() -> (Server, Arc<Mutex<&'static str>>) {
    let phase = Arc::new(Mutex::new("plan"));
    let shared = phase.clone();
    (Server::start(move |_, _| Reply::Answer(200, (*shared.lock().unwrap()).to_owned())), phase)
}
