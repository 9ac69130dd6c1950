//! Guests that ask a service for more than their binding grants, and one that asks for what it does.
//!
//! Each is run a second time with the grant that was missing, to show that nothing but the grant was.

use ops_tests::server::Server;
use serde_json::json;

use super::Test;
use super::yard::{Yard, kept, saw, services, web};

pub(super) const TESTS: &[Test] = &[
    ("reads-service", "reads_what_is_granted", reads_service),
    ("ungranted-service", "not_sent_whatever_the_binding_says", ungranted_service),
    ("ungranted-path", "not_sent_without_its_rule", |yard| {
        ungranted(
            yard,
            "GET /secret to service `web` is denied: no rule with `effect: read` has this method and path",
            &[HELLO, "{id: secret, method: GET, path: /secret, effect: read}"],
            "GET /secret",
        );
    }),
    ("ungranted-method", "not_sent_without_its_rule", |yard| {
        ungranted(
            yard,
            "POST /hello to service `web` is denied: no rule with `effect: read` has this method and path",
            &[HELLO, "{id: post, method: POST, path: /hello, effect: read}"],
            "POST /hello",
        );
    }),
    ("ungranted-query", "not_sent_without_its_rule", |yard| {
        ungranted(
            yard,
            "GET /hello to service `web` is denied: rule `hello` does not list the query key `all`",
            &["{id: hello, method: GET, path: /hello, effect: read, query: [all]}"],
            "GET /hello?all=1",
        );
    }),
    ("ungranted-path", "the_caller_is_told", denied_reads_are_shown),
    ("denied-effect", "ends_the_run_in_the_plan_phase", denied_effect),
];

const HELLO: &str = "{id: hello, method: GET, path: /hello, effect: read}";

fn reads_service(yard: &Yard) {
    let server = Server::answering("good day");
    yard.bind(&web(&server, &[HELLO]));
    let run = yard.run(&[]).ends("done", 0, None).denies_nothing();
    assert_eq!(run.output(), json!({"status": 200, "body": "good day"}));
    let used = &run.receipt["used"][0];
    assert_eq!((&used["rule"], &used["count"]), (&json!("hello"), &json!(1)));
    assert_eq!(used["address"], server.origin().trim_start_matches("http://"));
    assert_eq!(saw(&server), ["GET /hello"]);
}

/// Asks with `GET /hello` granted alone, which must not go out, and then with the rules that grant it.
fn ungranted(yard: &Yard, denial: &str, granting: &[&str], request: &str) {
    let server = Server::answering("hello");
    yard.bind(&web(&server, &[HELLO]));
    let run = yard.run(&[]).ends("done", 0, None).denies("request", denial);
    assert!(run.output()["denied"].as_str().unwrap().starts_with(denial), "{}", run.output());
    assert_eq!(run.receipt["used"], json!([]));
    assert_eq!(saw(&server), <[&str; 0]>::default());

    yard.bind(&web(&server, granting));
    let run = yard.run(&[]).ends("done", 0, None).denies_nothing();
    assert_eq!(run.output()["status"], 200);
    assert_eq!(saw(&server), [request]);
}

/// The author never said that it needs the service `other`, so no operator can grant it.
fn ungranted_service(yard: &Yard) {
    let server = Server::answering("hello");
    for names in [&["web"][..], &["web", "other"]] {
        yard.bind(&services(&server, names, &[HELLO]));
        let run = yard.run(&[]).ends("done", 0, None).denies(
            "request",
            "GET /hello to service `other` is denied: the capability's manifest does not name this service",
        );
        assert_eq!(run.output()["status"], json!(null), "{names:?}");
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

/// A guest may keep a denial to itself, so the host says it too.
fn denied_reads_are_shown(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind(&web(&server, &[HELLO]));
    yard.run(&[]).ends("done", 0, None).says("GET /secret to service `web` is denied");
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

fn denied_effect(yard: &Yard) {
    const MUTATING: &str = "safety: mutating\napproval: {mode: manual}";
    const A: &str = "{id: a, method: POST, path: /a, effect: mutate}";
    const FORBIDDEN: &str = "{id: f, method: POST, path: /forbidden, effect: mutate}";
    let server = Server::answering("ok");
    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[A])));
    let run = yard.run(&[]).ends("denied", 4, Some("effect-denied"));
    let run = run
        .denies("request", "POST /forbidden to service `web` is denied")
        .denies("effect", "the effect `do what is forbidden` is not granted")
        .says("{id: NAME, method: POST, path: /forbidden, effect: mutate}");
    // What it returned after the error that it swallowed is nobody's output.
    assert_eq!((run.ran.stdout.as_str(), kept(&run.receipt)), ("", vec!["recording.json"]));
    assert_eq!(yard.waiting(), <[&str; 0]>::default());

    yard.bind(&format!("{MUTATING}\n{}", web(&server, &[A, FORBIDDEN])));
    yard.run(&[]).ends("planned", 3, None).denies_nothing();
    assert_eq!(saw(&server), <[&str; 0]>::default());
}
