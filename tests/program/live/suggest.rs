//! What the four communications capabilities did at a real mail server becomes their binding: the same runs pass under
//! it, and what an operator had granted besides is denied.

use std::fs;

use ops_tests::scratch::Scratch;

use super::Test;
use super::operator::{Binding, LIST, SEARCH, SEND, STATUS, directly, workspace};
use super::server::MailServer;
use crate::suggest::applied;

pub(super) const TESTS: &[Test] =
    &[("suggested_bindings_allow_the_same_runs_and_deny_the_hostile_ones", the_same_runs)];

/// A request that today's binding allows: method, path, and the method call in its body.
type Hostile = (&'static str, &'static str, Option<&'static str>);

/// A capability, its run, and what it is not to do any more.
struct Case {
    binding: Binding,
    words: &'static [&'static str],
    hostile: &'static [Hostile],
}

const CASES: [Case; 4] = [
    Case {
        binding: STATUS,
        words: &[],
        hostile: &[
            ("GET", "/jmap/session", None),
            ("GET", "/jmap/", None),
            ("POST", "/jmap/", Some("Email/set")),
            ("POST", "/jmap/", Some("Email/get")),
        ],
    },
    Case {
        binding: LIST,
        words: &[],
        hostile: &[
            ("GET", "/jmap/session", None),
            ("POST", "/jmap/", Some("Email/set")),
            ("POST", "/jmap/", Some("Mailbox/set")),
        ],
    },
    Case {
        binding: SEARCH,
        words: &["pelican"],
        hostile: &[
            ("GET", "/jmap/session", None),
            ("POST", "/jmap/", Some("Email/set")),
            ("POST", "/jmap/", Some("EmailSubmission/set")),
            ("POST", "/jmap/", Some("Mailbox/get")),
        ],
    },
    Case {
        binding: SEND,
        words: &["--to", "alice@example.test", "--subject", "Greetings"],
        hostile: &[
            ("GET", "/jmap/session", None),
            ("POST", "/jmap/", Some("Mailbox/set")),
            ("POST", "/jmap/", Some("VacationResponse/set")),
        ],
    },
];

/// An operator who did not look closely: every path below the root, every call, all of loopback.
fn wide(scratch: &Scratch, binding: Binding) {
    let file = format!("ops/bindings/{}.yaml", binding.name());
    let text = fs::read_to_string(scratch.path(&file)).unwrap();
    let lines = text.lines().map(|line| {
        let line =
            line.replace("127.0.0.1/32", "127.0.0.0/8").replace("path: /jmap, ", "path: /jmap/session, ");
        match line.split_once(", body: ") {
            Some((rule, _)) => format!("{rule}}}   # whatever is asked\n"),
            None => format!("{line}\n"),
        }
    });
    let wide: String = lines.collect();
    let wide = wide.replace(
        "      - {id: session-in,",
        "      - {id: old, method: GET, path: /jmap, effect: read}\n      - {id: session-in,",
    );
    scratch.write(&file, &wide);
}

fn the_same_runs() {
    let server = MailServer::start();
    let scratch = workspace(&directly(&server), &CASES.map(|case| case.binding), "");
    for case in &CASES {
        wide(&scratch, case.binding);
    }
    scratch.pin();
    server.deliver("From: dave@example.test\nSubject: Birds\n\nThe pelican said hello.\n");
    for case in &CASES {
        runs(&scratch, case);
        for hostile in case.hostile {
            assert_eq!(explained(&scratch, case, *hostile), 0, "today's binding denies {hostile:?} already");
        }
        let told = applied(&scratch, case.binding.name());
        for words in ["multiplexed: ", "JMAP", "dialled: ", "127.0.0.1/32", "all allowed"] {
            assert!(told.stderr.contains(words), "no `{words}` in:\n{}", told.stderr);
        }
        let text =
            fs::read_to_string(scratch.path(&format!("ops/bindings/{}.yaml", case.binding.name()))).unwrap();
        assert!(text.contains("# whatever is asked") && text.contains("/methodCalls/*/0"), "{text}");
        runs(&scratch, case);
        for hostile in case.hostile {
            assert_eq!(explained(&scratch, case, *hostile), 1, "it allows {hostile:?}:\n{text}");
        }
    }
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}

/// Runs the capability; what it plans is approved and carried out.
#[track_caller]
fn runs(scratch: &Scratch, case: &Case) {
    let name = case.binding.name();
    let run = scratch.ops(&[&["cap", "run", name], case.words].concat());
    if name == SEND.name() {
        let plan = run.exits(3).plan();
        scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    } else {
        run.exits(0);
    }
    assert_eq!(scratch.last_receipt()["denied"], serde_json::json!([]));
}

/// The exit code of `ops explain`.
fn explained(scratch: &Scratch, case: &Case, (method, path, call): Hostile) -> i32 {
    let url = format!("mail:{path}");
    let mut words = vec!["explain", case.binding.name(), method, &url];
    if let Some(call) = call {
        let body =
            format!(r#"{{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["{call}",{{}},"0"]]}}"#);
        scratch.write("body.json", &body);
        words.extend(["--body", "body.json"]);
    }
    scratch.ops(&words).code
}
