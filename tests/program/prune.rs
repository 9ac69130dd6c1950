//! What is erased of old runs, and what is not.

use std::fs;

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::server::{Reply, Server};
use ops_tests::skip::trial;

use crate::replay::{content, names, read, reading};

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| trial(format!("prune::{name}"), None, test);
    vec![
        trial("bodies_and_salts_go_and_receipts_stay", erased),
        trial("what_waits_and_what_is_unknown_stays", waiting),
        trial("the_oldest_make_room", room),
        trial("what_is_larger_than_the_store_is_not_kept", too_large),
        trial("what_belongs_to_no_receipt_goes", orphans),
    ]
}

fn pruned(scratch: &Scratch, words: &[&str]) -> serde_json::Value {
    let words = [&["receipts", "prune", "--json"], words].concat();
    scratch.ops(&words).exits(0).json()["pruned"].clone()
}

/// A server whose answer is too long for the ledger's file, so that bodies are files of the content store.
fn long() -> Server {
    Server::answering(&"x".repeat(100_000))
}

/// Whether a text is anywhere in the ledger's file or in SQLite's log of it.
fn ledger_holds(scratch: &Scratch, text: &str) -> bool {
    ["ledger.db", "ledger.db-wal"].iter().any(|name| {
        let bytes = fs::read(content(scratch).with_file_name(name)).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn erased() {
    let scratch = reading(&Server::answering("good day"), "");
    let run = read(&scratch);
    assert_eq!(pruned(&scratch, &[])["runs"], serde_json::json!([]), "it is younger than the retention");
    let would = pruned(&scratch, &["--older-than", "0s", "--dry-run"]);
    assert_eq!(would["runs"][0], run.as_str());
    scratch.ops(&["receipts", "replay", &run]).exits(0);
    assert!(ledger_holds(&scratch, "good day"), "a dry run erased something");
    let did = pruned(&scratch, &["--older-than", "0s"]);
    assert_eq!((&did["runs"], &did["bytes"], &did["left"]), (&would["runs"], &would["bytes"], &0.into()));

    assert_eq!(names(content(&scratch)), [""; 0]);
    assert!(!ledger_holds(&scratch, "good day"), "its bytes are still on disk");
    let folder = scratch.receipts().pop().unwrap();
    assert_eq!(names(folder), ["receipt.md", "receipt.sigstore.json"]);
    let verified = scratch.ops(&["receipts", "verify", &run]).exits(0);
    assert!(verified.stdout.contains("evidence erased"), "{}", verified.stdout);
    scratch.ops(&["receipts", "show", &run]).exits(0);
    scratch.ops(&["receipts", "replay", &run]).exits(4).says("its evidence was erased");
    assert_eq!(pruned(&scratch, &["--older-than", "0s"])["runs"], serde_json::json!([]));
    scratch.ops(&["receipts", "prune", "--older-than", "soon"]).exits(2).says("such as 30d");

    // A crash after the files and before the row.
    let scratch = reading(&long(), "limits: {output: 1MiB}\n");
    let run = read(&scratch);
    fs::remove_dir_all(content(&scratch).join(&run)).unwrap();
    assert_eq!(pruned(&scratch, &["--older-than", "0s"])["runs"][0], run.as_str());
    scratch.ops(&["receipts", "verify", &run]).exits(0);
}

/// A workspace with a capability that plans two effects at a server.
fn changing(server: &Server) -> Scratch {
    let scratch = Scratch::new();
    scratch.bind(
        "guest-two-effects",
        &format!(
            "capability: test.guest.two-effects\ncomponent: components/guest_two_effects.wasm\n\
             safety: mutating\napproval: {{mode: manual}}\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: task, method: GET, path: /task, effect: read}}\n\
             \x20     - {{id: a, method: POST, path: /a, effect: mutate}}\n\
             \x20     - {{id: b, method: POST, path: /b, effect: mutate}}\n",
            server.origin()
        ),
    );
    scratch
}

fn waiting() {
    let server = Server::start(|_, _| Reply::HangUp);
    let scratch = changing(&server);
    let plan = scratch.ops(&["cap", "run", "test.guest.two-effects"]).exits(3).plan();
    let planned = scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned();
    let all = ["--older-than", "0s"];
    assert_eq!(pruned(&scratch, &all)["runs"], serde_json::json!([]), "its plan waits");

    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(5);
    let did = pruned(&scratch, &all);
    assert_eq!(did["runs"], serde_json::json!([planned]), "the unknown one stays");
    assert_eq!(did["plans"], 0, "the unknown run may still be resumed with its plan");
    assert_eq!(names(content(&scratch)).len(), 1);
}

fn room() {
    let scratch = reading(&Server::answering(&"x".repeat(300_000)), "limits: {output: 1MiB}\n");
    scratch.write("ops/ops.yaml", "workspace: demo\nrecords: {store: 2MiB}\n");
    scratch.pin();
    let runs: Vec<_> = (0..8).map(|_| read(&scratch)).collect();
    let kept = names(content(&scratch));
    assert!(kept.len() < runs.len() && kept.len() > 1, "{kept:?}");
    assert!(kept.contains(runs.last().unwrap()), "the newest stays");
    let held: u64 = kept
        .iter()
        .flat_map(|run| fs::read_dir(content(&scratch).join(run)).unwrap())
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(held <= 2 << 20, "{held}");
    assert!(scratch.ops(&["receipts", "verify", &runs[0]]).exits(0).stdout.contains("evidence erased"));
    scratch.ops(&["receipts", "replay", runs.last().unwrap()]).exits(0);
}

fn too_large() {
    let scratch =
        reading(&Server::answering(&"x".repeat(1_500_000)), "limits: {output: 4MiB, response: 4MiB}\n");
    scratch.write("ops/ops.yaml", "workspace: demo\nrecords: {store: 1MiB}\n");
    scratch.pin();
    let words = ["cap", "run", "test.guest.asks", "--ask", "web/hello"];
    scratch.ops(&words).exits(0).says("bytes of evidence were not kept");
    let run = scratch.last_receipt()["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(names(content(&scratch)), [""; 0]);
    scratch.ops(&["receipts", "verify", &run]).exits(0);
}

fn orphans() {
    let scratch = reading(&long(), "limits: {output: 1MiB}\n");
    let run = read(&scratch);
    // A run that was killed just before its receipt.
    let mut killed = scratch.command();
    killed
        .args(["cap", "run", "test.guest.asks", "--ask", "web/hello"])
        .env("OPS_FAILPOINT", "before-receipt");
    ops_tests::scratch::ran(&mut killed).exits(128 + 9);
    assert_eq!(names(content(&scratch)).len(), 2, "it left nothing");
    let did = pruned(&scratch, &[]);
    assert_eq!((did["orphans"].as_array().unwrap().len(), &did["runs"]), (1, &serde_json::json!([])));
    assert_eq!(names(content(&scratch)), [run.as_str()]);
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}
