//! A real run becomes a test: without a text of that run in it, unless it was asked for.

use std::fs;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, repository};
use ops_tests::server::{Reply, Server};
use ops_tests::skip::trial;
use serde_json::{Value, json};

const SEARCH: &str = "communications.mail.search";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("fixture::a_run_of_mail_search_becomes_its_test", None, search),
        trial("fixture::what_was_kept_is_there_and_random_words_are_not", None, kept),
    ]
}

/// A mail server in the manner of Stalwart with one message.
fn mail() -> Server {
    Server::start(|seen, _| {
        let mail = "urn:ietf:params:jmap:mail";
        let answer = match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/.well-known/jmap") => json!({
                "capabilities": {"urn:ietf:params:jmap:core": {"maxObjectsInGet": 500}, mail: {}},
                "accounts": {"b": {"name": "eve@corp.internal"}}, "primaryAccounts": {mail: "b"},
                "username": "eve@corp.internal", "apiUrl": "/jmap/",
            }),
            _ => json!({"methodResponses": [
                ["Email/query", {"accountId": "b", "ids": ["m2"], "total": 7}, "Email/query"],
                ["Email/get", {"accountId": "b", "list": [{
                    "id": "m2", "receivedAt": "2026-11-21T08:00:00Z", "subject": "Merger with Acme",
                    "preview": "Do not tell anybody", "from": [{"name": "Eve", "email": "eve@corp.internal"}],
                }]}, "Email/get"],
                ["SearchSnippet/get", {"accountId": "b", "list": []}, "SearchSnippet/get"],
            ]}),
        };
        Reply::Fields(200, vec![("content-type", "application/json".into())], answer.to_string())
    })
}

fn search() {
    let server = mail();
    let scratch = Scratch::new();
    scratch.bind(
        "communications-mail-search",
        &format!(
            "capability: {SEARCH}\ncomponent: components/communications_mail_search.wasm\nsafety: read-only\n\
             services:\n  mail:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: session, method: GET, path: /.well-known/jmap, effect: read}}\n\
             \x20     - {{id: query, method: POST, path: /jmap/, effect: read}}\n",
            server.origin()
        ),
    );
    let ran = scratch.ops(&["cap", "run", SEARCH, "--query", "Merger", "--json"]).exits(0).json();
    let run = ran["run_key"].as_str().unwrap();
    let export = |keep: &[&str]| {
        let mut words = vec!["receipts", "export", run, "--fixture", "test"];
        words.extend(keep.iter().flat_map(|field| ["--keep", field]));
        scratch.ops(&words)
    };
    // The names of methods are texts of the server like any other, and the capability looks for them.
    export(&[]).exits(1).says("takes another way").says("--keep");
    let keep = ["/apiUrl", "/methodResponses/*/0", "/methodResponses/*/2"];
    export(&keep).exits(0);
    let text = fs::read_to_string(scratch.path("test/fixture.json")).unwrap();
    for gone in ["Merger", "Acme", "eve", "corp", "anybody", "m2"] {
        assert!(!text.contains(gone), "{gone} is in the fixture: {text}");
    }
    let fixture: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(fixture["end"]["output"]["matches"], 7);
    assert_eq!(fixture["crossings"].as_array().unwrap().len(), 2);
    // The account's id is a name of a field first, and a text only after that.
    let session = &fixture["crossings"][0]["answer"]["body"]["json"];
    let account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"].as_str().unwrap();
    assert!(account != "b" && session["accounts"].get(account).is_some(), "{session}");
    // The example in the repository is this one. It has other clocks, and a test of its own that loads it.
    let example = repository().join("capabilities/communications/mail-search/tests/fixture.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&example, &text).unwrap();
    }
    let known: Value = serde_json::from_str(&fs::read_to_string(&example).unwrap()).unwrap();
    assert_eq!((&known["arguments"], &known["end"]), (&fixture["arguments"], &fixture["end"]));
}

fn kept() {
    let scratch = Scratch::new();
    scratch.bind(
        "communications-mail-send-test",
        "capability: communications.mail.send.test\n\
         component: components/communications_mail_send_test.wasm\n\
         safety: mutating\napproval: {mode: manual}\n\
         directories: {outbox: {path: state/outbox, access: stage}}\n\
         config: {from: ops@corp.internal, allowed_recipient_domains: [corp.internal]}\n",
    );
    fs::create_dir_all(scratch.path("ops/state/outbox")).unwrap();
    scratch.write("ops/state/outbox/eve.txt", "to: eve@corp.internal\n");
    fs::create_dir_all(scratch.path("ops/state/outbox/eve@corp.internal")).unwrap();
    scratch.write("ops/state/outbox/eve@corp.internal/of-eve.txt", "https://eve:pass@corp.internal/\n");
    let run = ["cap", "run", "communications.mail.send.test", "--to", "eve@corp.internal"];
    scratch.ops(&run).exits(3);
    let key = scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned();
    scratch.ops(&["receipts", "export", &key, "--fixture", "test"]).exits(0);
    let text = fs::read_to_string(scratch.path("test/fixture.json")).unwrap();
    let fixture: Value = serde_json::from_str(&text).unwrap();
    assert!(!text.contains("corp.internal") && !text.contains("eve"), "{text}");
    let names: Vec<_> = fixture["directories"]["outbox"].as_object().unwrap().keys().collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.ends_with(".txt")), "{names:?}");
    assert!(!fixture.to_string().contains("seed"), "{text}");
    let again = scratch.ops(&["receipts", "export", &key, "--fixture", "again", "--keep", "from"]).exits(0);
    assert_eq!(again.stdout, "again/fixture.json\n");
    let again = fs::read_to_string(scratch.path("again/fixture.json")).unwrap();
    assert!(again.contains("ops@corp.internal") && !again.contains("eve@"), "{again}");
}
