//! Servers that are slow, huge, broken, busy or curious, and what the host makes of each.
//!
//! Each test has a workspace of its own, a server on loopback and an honest guest, and is run as a person would do it.
//! What must hold every time: the run comes to an end by itself, in bounded memory; people are told what happened, with
//! the service's name; the receipt counts what went out. `answers` is about one bad answer, `failures` about how the
//! ends differ, `retries` about asking again, `apart` about what two requests must not share, and `plain` about
//! components that bring a `wasi:http` client of their own.

mod answers;
mod apart;
mod failures;
mod plain;
mod retries;

use libtest_mimic::Trial;
use ops_tests::server::Server;
use ops_tests::skip;

use crate::hostile::yard::Yard;

/// A test: the guest's folder in `tests/guests`, what the test shows, and the story.
type Test = (&'static str, &'static str, fn(&Yard));

/// A rule that reads everything.
const ALL: &str = "{id: all, method: GET, path: /**, effect: read}";

fn tests() -> Vec<Test> {
    [answers::TESTS, apart::TESTS, failures::TESTS, plain::TESTS, retries::TESTS].concat()
}

pub(crate) fn trials() -> Vec<Trial> {
    let python = skip::has_program("python3");
    let tests = tests().into_iter().map(|(guest, what, story)| {
        skip::trial(format!("network::{what}"), (!python).then_some("python3"), move || {
            let yard = Yard::new(guest);
            story(&yard);
            yard.is_unharmed();
        })
    });
    tests.collect()
}

/// The guests that are tested here.
pub(crate) fn guests() -> Vec<&'static str> {
    tests().iter().map(|(guest, ..)| *guest).collect()
}

/// The grant of an origin as a service, with lines of its own before the rules.
fn service(name: &str, origin: &str, more: &str, rules: &[&str]) -> String {
    let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
    let rules: String = rules.iter().map(|rule| format!("      - {rule}\n")).collect();
    format!("  {name}:\n    origin: {origin}\n    addresses: [127.0.0.1/32]\n{more}    rules:\n{rules}")
}

/// The grant of a server as the service `web`, everything to be read.
fn reading(server: &Server) -> String {
    format!("services:\n{}", service("web", &server.origin(), "", &[ALL]))
}

/// The grant of a server as the service `web`, with the changes that the guest `changes` may need.
fn changing(server: &Server) -> String {
    let rules = [
        "{id: item, method: POST, path: /item, effect: mutate}",
        "{id: put, method: PUT, path: /item, effect: mutate}",
        "{id: keyed, method: POST, path: /keyed, effect: mutate, idempotency: Idempotency-Key}",
    ];
    let services = service("web", &server.origin(), "", &rules);
    format!("safety: mutating\napproval: {{mode: manual}}\nservices:\n{services}")
}
