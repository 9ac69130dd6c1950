//! A component that gains `effects` in a patch version, with the same words in its manifest: everything that looks at it
//! says so, and it does not run.

use std::fs;

use libtest_mimic::Trial;
use ops_policy::lock::SignedLock;
use ops_tests::scratch::{Scratch, guest};
use ops_tests::server::{Reply, Server};
use ops_tests::skip;

/// The guests of these tests.
pub(crate) const GUESTS: [&str; 2] = ["queue-list", "queue-list-upgraded"];

/// The capability.
pub(crate) const QUEUE: &str = "communications.queue.list";
/// What the new version imports and the old one does not.
pub(crate) const EFFECTS: &str = "ops:capability/effects@0.1.0";

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn()| skip::trial(format!("upgrade::{name}"), None, run);
    vec![
        trial("the_two_say_the_same_of_themselves", same_words),
        trial("diff_calls_it_wider", compared),
        trial("pin_names_it_before_the_signature", pinned),
        trial("audit_finds_it", audited),
        trial("it_does_not_start_and_nothing_is_sent", not_run),
        trial("a_review_of_the_version_before_is_not_one_of_this", reviewed),
    ]
}

/// A workspace with the old version, which runs, and the server that it reads.
pub(crate) fn world() -> (Scratch, Server) {
    let server = Server::start(|seen, _| match seen.method.as_str() {
        "GET" => Reply::Answer(200, "alice\nbob\n".into()),
        _ => Reply::Answer(200, "done".into()),
    });
    let scratch = Scratch::new();
    place(&scratch, "queue-list");
    scratch.write_binding(&format!(
        "capability: {QUEUE}\ncomponent: components/queue.wasm\nsafety: read-only\nservices:\n  queue:\n    origin: {}\n    \
         addresses: [127.0.0.1/32]\n    rules:\n      - {{id: queue, method: GET, path: /queue, effect: read}}\n",
        server.origin()
    ));
    scratch.pin();
    (scratch, server)
}

/// Puts a version into the workspace, under the name of all of them.
pub(crate) fn place(scratch: &Scratch, version: &str) {
    fs::copy(guest(&format!("guest-{version}")), scratch.path("ops/components/queue.wasm")).unwrap();
}

fn lock(scratch: &Scratch) -> SignedLock {
    SignedLock::parse("ops.lock", &fs::read(scratch.path("ops/ops.lock")).unwrap()).unwrap()
}

fn same_words() {
    let (scratch, _server) = world();
    let old = lock(&scratch).lock.component_of(QUEUE).unwrap().clone();
    place(&scratch, "queue-list-upgraded");
    scratch.pin();
    let new = lock(&scratch).lock.component_of(QUEUE).unwrap().clone();
    assert_eq!((old.manifest.version.as_str(), new.manifest.version.as_str()), ("1.0.0", "1.0.1"));
    let as_old = ops_policy::manifest::Manifest { version: old.manifest.version.clone(), ..new.manifest };
    assert_eq!(as_old, old.manifest);
    let gained: Vec<_> = new.imports.difference(&old.imports).collect();
    assert_eq!(gained, [EFFECTS]);
    assert!(old.imports.is_subset(&new.imports) && old.interface != new.interface);
}

fn compared() {
    let (scratch, _server) = world();
    let [old, new] = GUESTS.map(|version| guest(&format!("guest-{version}")).display().to_string());
    let ran = scratch.ops(&["diff", &old, &new, "--fail-on", "widened"]).exits(1);
    assert!(
        ran.stdout.contains("widened") && ran.stdout.contains("import ops:capability/effects"),
        "{}",
        ran.stdout
    );
    scratch.ops(&["diff", &new, &old, "--fail-on", "widened"]).exits(0);
    scratch.ops(&["diff", &old, &old, "--fail-on", "unchanged"]).exits(0);
    // The workspace as it is, with the lock in force.
    scratch.ops(&["diff", "--fail-on", "unchanged"]).exits(0);
    place(&scratch, "queue-list-upgraded");
    let ran = scratch.ops(&["diff", "--fail-on", "widened"]).exits(1);
    assert!(ran.stdout.contains("import ops:capability/effects"), "{}", ran.stdout);
    scratch.breaks("its component is another one than was pinned");
}

fn audited() {
    let (scratch, _server) = world();
    let severe = |ran: &ops_tests::scratch::Ran| {
        let audit = ran.json();
        let list = audit["findings"].as_array().unwrap();
        let severe = list.iter().filter(|one| one["severity"] == "high" && one["capability"] == QUEUE);
        severe.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let audit = ["audit", "--format", "json", "--fail-on", "high"];
    assert_eq!(severe(&scratch.ops(&audit).exits(0)), Vec::<String>::new());
    place(&scratch, "queue-list-upgraded");
    scratch.pin();
    assert_eq!(severe(&scratch.ops(&audit).exits(1)), ["import-not-needed"]);
}

fn pinned() {
    let (scratch, _server) = world();
    let before = lock(&scratch);
    place(&scratch, "queue-list-upgraded");
    for words in [&["pin", "--check"][..], &["pin", "--key", "key"]] {
        let ran = scratch.ops(words);
        assert_ne!(ran.code, 0, "{words:?}");
        for part in ["widened", "import ops:capability/effects"] {
            assert!(ran.stderr.contains(part), "{words:?}: {}", ran.stderr);
        }
    }
    assert_eq!(lock(&scratch).digest, before.digest, "nobody has said yes");
    scratch.breaks("its component is another one than was pinned");
}

fn not_run() {
    let (scratch, server) = world();
    let said = scratch.ops(&["cap", "run", QUEUE, "--json"]).exits(0).json();
    assert_eq!(said["data"]["messages"], 2);
    let reads = server.seen().len();
    place(&scratch, "queue-list-upgraded");
    // Before it is pinned the lock refuses it; once it is, what it asks for does.
    let refused = scratch.ops(&["cap", "run", QUEUE, "--json"]).exits(4).json();
    assert_eq!(refused["error"]["code"], "component", "{refused}");
    scratch.pin();
    let ran = scratch.ops(&["cap", "run", QUEUE, "--json"]).exits(4).says(EFFECTS);
    assert_eq!(ran.json()["error"]["code"], "import", "{}", ran.stdout);
    assert_eq!(scratch.last_receipt()["run"]["status"], "denied");
    assert_eq!(server.seen().len(), reads, "something was sent");
}

/// Where a review is required, that is one refusal more; and without one the list says it.
fn reviewed() {
    let (scratch, _server) = world();
    scratch.ops(&["review", "sign", QUEUE, "--key", "key", "--yes"]).exits(0);
    place(&scratch, "queue-list-upgraded");
    drop(scratch.pin().says(&format!("the review of {QUEUE} is outdated by this")).says("it now imports"));
    let list = scratch.ops(&["review", "list", "--json"]).exits(0).json();
    let review = &list["reviews"][0]["review"];
    assert_eq!(review["state"], "outdated", "{list}");
    assert!(review["why"].to_string().contains(&format!("it now imports {EFFECTS} too")), "{list}");
}
