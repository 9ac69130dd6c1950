//! A search cannot send, whatever its code tries.

use ops_tests::scratch::{Ran, Scratch};
use serde_json::json;

use super::Test;
use super::operator::{Mail, SEARCH, workspace};
use super::server::{self, MailServer};
use super::watch::Watch;

pub(super) const TESTS: &[Test] = &[
    ("a_search_that_sends_is_refused_by_rule", refused_by_rule),
    ("a_search_that_imports_effects_never_starts", refused_at_link),
];

/// How the guest puts it, and what the host says.
const REFUSED: &[(&str, &str)] = &[
    ("as it is", "finds \"Email/set\""),
    ("behind a search", "finds \"Email/set\""),
    ("as a list in a list", "finds a value that is no boolean, integer or text"),
    ("as an object with numbers for names", "finds no value"),
    ("under a name that is looked up", "finds no value"),
    ("in small letters", "finds \"email/set\""),
    ("with an escaped slash", "finds \"Email/set\""),
    ("under a key that is there twice", "two keys of one object are equal"),
    ("under a key in other letters", "two keys of one object are equal or differ in case only"),
    ("as plain text", "needs one header `content-type: application/json`"),
    ("as if it were compressed", "`content-encoding`"),
    ("in another character set", "needs one header `content-type: application/json`"),
    ("with a second JSON text", "is not plain JSON"),
    ("with a query", "does not list the query key `send`"),
    ("by PUT", "no rule with `effect: read` has this method and path"),
    ("by another method in a header", "`x-http-method-override`"),
    ("as an upload", "no rule with `effect: read` has this method and path"),
];

fn refused_by_rule() {
    let server = MailServer::start();
    let watch = Watch::over(server.jmap());
    let mail = Mail::basic(&watch.origin(), &server::password("ops"));
    // The operator has bound a search; what it does is another matter.
    let disguised = SEARCH.built_from("guest-search-that-sends");
    let scratch = workspace(&mail, &[disguised], "");
    server.deliver("From: dave@example.test\nSubject: Hello\n\nHello.\n");
    let before = server.reader("ops").mailboxes();

    let told = run(&scratch).exits(0).says("is denied").json();
    let tries = told["data"]["tries"].as_array().unwrap();
    for (row, (what, why)) in tries.iter().zip(REFUSED) {
        assert_eq!(row["what"], *what);
        let refused = row["refused"].as_str().unwrap_or_else(|| panic!("it went out: {row}"));
        assert!(refused.contains(why), "{what}: {refused}");
    }
    assert_eq!(tries.len(), REFUSED.len());
    // The two reads that it is granted, and nothing else.
    let heard = watch.heard();
    let lines: Vec<_> = heard.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /jmap/ HTTP/1.1", "POST /jmap/ HTTP/1.1"]);
    assert!(!heard.concat().to_lowercase().contains("/set"));
    assert_eq!((server.taken(), server.reader("ops").mailboxes()), (vec![], before));
    let receipt = scratch.last_receipt();
    let denials = receipt["denied"].as_array().unwrap().iter();
    assert_eq!(denials.map(|denial| denial["count"].as_u64().unwrap()).sum::<u64>(), tries.len() as u64);
    assert_eq!(receipt["effects"], json!([]));

    // It was the rule that held: an operator who calls sending a read has granted it.
    let granted = disguised.yaml(&mail).replace("SearchSnippet/get", "Email/set, EmailSubmission/set");
    scratch.write_binding(&granted);
    scratch.pin();
    let told = run(&scratch).exits(0).json();
    assert_eq!(told["data"]["tries"][0]["status"], 200);
    assert!(server.messages("alice", 1)[0].contains("Subject: Sent by a search"));
}

fn refused_at_link() {
    let server = MailServer::start();
    let watch = Watch::over(server.jmap());
    let mail = Mail::basic(&watch.origin(), &server::password("ops"));
    let scratch = workspace(&mail, &[SEARCH.built_from("guest-search-with-effects")], "");

    let run = scratch.ops(&["cap", "run", SEARCH.name()]).exits(4);
    let run = run.says("ops:capability/effects").says("read-only");
    assert_eq!(run.stdout, "");
    let receipt = scratch.last_receipt();
    assert_eq!(receipt["run"]["status"], "denied");
    assert_eq!(receipt["outcome"]["errorCode"], "import");
    assert_eq!(receipt["usage"]["peakMemoryBytes"], 0, "the guest was started");
    assert_eq!(watch.heard(), [""; 0]);
}

fn run(scratch: &Scratch) -> Ran {
    scratch.ops(&["cap", "run", SEARCH.name(), "--json", "--to", "alice@example.test"])
}
