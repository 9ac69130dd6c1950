//! A past run is run again from what it saw: with its server gone, after its files have changed, in part. And what
//! cannot be replayed says why, and what was tampered with is noticed.
//!
//! That every other run of this suite does the same again is checked by `ops_tests::replayed`.

use std::fs;
use std::path::PathBuf;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::server::{Reply, Server};
use ops_tests::skip::trial;

const READS: &str = "test.guest.asks";
const CHANGES: &str = "test.guest.two-effects";

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| trial(format!("replay::{name}"), None, test);
    vec![
        trial("a_run_does_the_same_again_offline", offline),
        trial("what_was_tampered_with_is_noticed", tampered),
        trial("digests_only", digests),
        trial("a_component_that_is_gone", component),
    ]
}

/// A workspace with a capability that reads.
pub(crate) fn reading(server: &Server, more: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.bind(
        "guest-asks",
        &format!(
            "capability: {READS}\ncomponent: components/guest_asks.wasm\nsafety: read-only\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: all, method: GET, path: /**, effect: read}}\n{more}",
            server.origin()
        ),
    );
    scratch
}

/// Runs it, and returns the run key.
pub(crate) fn read(scratch: &Scratch) -> String {
    let ran = scratch.ops(&["cap", "run", READS, "--ask", "web/hello", "--json"]).exits(0);
    ran.json()["run_key"].as_str().unwrap().to_owned()
}

/// The folder of the content store.
pub(crate) fn content(scratch: &Scratch) -> PathBuf {
    let state = fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path();
    state.join("content")
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: PathBuf) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn offline() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/task" => Reply::Answer(200, "done".into()),
        target => Reply::Answer(200, format!("it was {target}")),
    });
    let scratch = reading(&server, "");
    let read = read(&scratch);
    scratch.bind(
        "guest-two-effects",
        &format!(
            "capability: {CHANGES}\ncomponent: components/guest_two_effects.wasm\nsafety: mutating\n\
             approval: {{mode: manual}}\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: task, method: GET, path: /task, effect: read}}\n\
             \x20     - {{id: a, method: POST, path: /a, effect: mutate}}\n\
             \x20     - {{id: b, method: POST, path: /b, effect: mutate}}\n",
            server.origin()
        ),
    );
    let plan = scratch.ops(&["cap", "run", CHANGES]).exits(3).plan();
    let planned = scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let applied = scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned();

    let (seen, receipts) = (server.seen().len(), scratch.receipts().len());
    for (run, phase) in [
        (&read, "read: 1 answer, 0 effects, output: same"),
        (&planned, "plan: 2 answers, 2 effects, output: same"),
        (&applied, "apply: 3 answers, 2 effects, output: same"),
    ] {
        let ran = scratch.ops(&["receipts", "replay", run]).exits(0);
        assert_eq!(ran.stdout, format!("{phase}\n"));
    }
    let all = scratch.ops(&["receipts", "replay", "--all"]).exits(0);
    assert_eq!(all.stdout.lines().filter(|line| line.starts_with("same ")).count(), 3, "{}", all.stdout);
    assert_eq!(scratch.ops(&["receipts", "replay", "--all", "--quiet"]).exits(0).stdout, "");
    assert_eq!(server.seen().len(), seen, "a replay asked the server");
    assert_eq!(scratch.receipts().len(), receipts, "a replay left a receipt");
    scratch.ops(&["receipts", "replay", "CAP-1999"]).exits(2);

    // The seeds of the guest's random bytes stay with the host.
    for folder in scratch.receipts() {
        assert!(!folder.join("recording.json").exists(), "{}", folder.display());
    }
    let verified = scratch.ops(&["receipts", "verify", &read]).exits(0);
    assert!(
        verified.stdout.contains("recording.json: not checked: the host keeps it"),
        "{}",
        verified.stdout
    );
}

fn tampered() {
    let server = Server::answering(&"x".repeat(100_000));
    let scratch = reading(&server, "limits: {output: 1MiB}\n");
    scratch.breaks("files of the content store are changed");
    let run = read(&scratch);
    let folder = content(&scratch).join(&run);
    let blob = names(folder.clone()).into_iter().find(|name| name.starts_with("blob-")).expect("no blob");
    let change = |name: &str, from: &[u8], to: &[u8]| {
        let bytes = fs::read(folder.join(name)).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let changed = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        fs::write(folder.join(name), changed).unwrap();
        bytes
    };
    let replay = || scratch.ops(&["receipts", "replay", &run]);
    replay().exits(0);
    for (name, from, to, says) in [
        (blob.as_str(), "x", "y", "was changed"),
        ("recording.json", "hello", "jello", "recording.json is not the one that the receipt was made over"),
        ("evidence.json", "recording.json", "recording.jsom", "not the file that the receipt was made over"),
    ] {
        let before = change(name, from.as_bytes(), to.as_bytes());
        replay().exits(4).says(says);
        fs::write(folder.join(name), before).unwrap();
    }
    scratch.ops(&["receipts", "replay", "--all"]).exits(0);
    fs::remove_file(folder.join(&blob)).unwrap();
    replay().exits(4).says("is gone");
    let all = scratch.ops(&["receipts", "replay", "--all", "--quiet"]).exits(4);
    assert!(all.stdout.starts_with(&format!("not replayed  {run}  damaged:")), "{}", all.stdout);
}

fn digests() {
    let server = Server::answering("good day");
    let scratch = reading(&server, "record: digests\n");
    let run = read(&scratch);
    assert_eq!(names(content(&scratch)), [""; 0]);
    let folder = scratch.receipts().pop().unwrap();
    assert_eq!(names(folder), ["evidence.json", "receipt.md", "receipt.sigstore.json"]);
    let verified = scratch.ops(&["receipts", "verify", &run]).exits(0);
    assert!(verified.stdout.contains("evidence output.json: not checked: not kept"), "{}", verified.stdout);
    scratch.ops(&["receipts", "replay", &run]).exits(4).says("its bodies were not kept");
}

fn component() {
    let server = Server::answering("good day");
    let scratch = reading(&server, "");
    let run = read(&scratch);
    let component = scratch.path("ops/components/guest_asks.wasm");
    let elsewhere = scratch.path("ops/components/guest_asks-1.wasm");
    fs::rename(&component, &elsewhere).unwrap();
    scratch.ops(&["receipts", "replay", &run]).exits(0);
    fs::remove_file(&elsewhere).unwrap();
    // What was compiled of it is there still.
    scratch.ops(&["receipts", "replay", &run]).exits(0);
    fs::remove_dir_all(content(&scratch).with_file_name("cache")).unwrap();
    scratch.ops(&["receipts", "replay", &run]).exits(4).says("is not on this host any more");
}
