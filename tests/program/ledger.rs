//! The ledger as a log: good after everything that a workspace sees, and not good after what it must not see.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use ops_tests::scratch::Scratch;
use ops_tests::skip;

use crate::verify::applied;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        skip::trial("ledger::it_is_good_whatever_happened", None, it_is_good_whatever_happened),
        skip::trial("ledger::what_is_derived_comes_back", None, what_is_derived_comes_back),
        skip::trial("ledger::an_older_copy_signs_no_second_history", None, an_older_copy_signs_nothing),
        skip::trial("ledger::a_lost_key_is_not_replaced", None, a_lost_key_is_not_replaced),
        skip::trial("ledger::a_proof_needs_no_workspace", None, a_proof_needs_no_workspace),
    ]
}

const SEND: [&str; 5] = ["cap", "run", "communications.mail.send.test", "--to", "a@example.test"];

fn good(scratch: &Scratch) {
    let checked = scratch.ops(&["ledger", "verify"]).exits(0);
    assert!(checked.stderr.contains("the ledger is good"), "{}", checked.stderr);
}

/// A plan that was carried out, one that was rejected, a dry run, a stale plan, and a run that the lock stopped.
fn it_is_good_whatever_happened() {
    let scratch = applied();
    good(&scratch);
    let rejected = scratch.ops(&SEND).exits(3).plan();
    scratch.ops(&["plan", "reject", &rejected]).exits(0);
    scratch.ops(&[SEND.as_slice(), &["--dry-run"]].concat()).exits(0);
    scratch.ops(&["ledger", "checkpoint"]).exits(0);

    let stale = scratch.ops(&SEND).exits(3).plan();
    fs::write(scratch.path("ops/state/outbox/foreign"), "x").unwrap();
    scratch.ops(&["plan", "approve", &stale, "--key", "key", "--apply"]).exits(3);
    good(&scratch);

    fs::write(scratch.path("ops/bindings/communications.mail.send.test.yaml"), "capability: x\n").unwrap();
    scratch.ops(&SEND).exits(4);
    scratch.ops(&["ledger", "checkpoint"]).exits(0);
    good(&scratch);
    let report = scratch.ops(&["ledger", "verify", "--json"]).exits(0).json();
    assert_eq!(report["checkpoints"], 2, "{report}");
    assert!(report["entries"].as_u64().unwrap() >= 9, "{report}");
}

fn what_is_derived_comes_back() {
    let scratch = applied();
    scratch.ops(&["ledger", "checkpoint"]).exits(0);
    let log = scratch.path("receipts/log");
    let before = fs::read(log.join("tile/0/000.p/4")).unwrap();
    fs::remove_dir_all(scratch.path("receipts")).unwrap();
    scratch.ops(&["ledger", "rebuild"]).exits(0).says("3 files of the log, 2 receipts' folders");
    assert_eq!(fs::read(log.join("tile/0/000.p/4")).unwrap(), before);
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    good(&scratch);
}

fn an_older_copy_signs_nothing() {
    let scratch = applied();
    let state = state(&scratch);
    let older = scratch.path("older.db");
    // The program leaves its newest writes in the log beside the file; both make the copy.
    let files = ["ledger.db", "ledger.db-wal"];
    for name in files {
        fs::copy(state.join(name), older.with_extension(name)).unwrap();
    }
    scratch.ops(&[SEND.as_slice(), &["--dry-run"]].concat()).exits(0);
    scratch.ops(&["ledger", "checkpoint"]).exits(0);
    let kept = scratch.path("kept");
    fs::copy(scratch.path("receipts/log/checkpoint"), &kept).unwrap();

    fs::remove_file(state.join("ledger.db-shm")).unwrap();
    for name in files {
        fs::copy(older.with_extension(name), state.join(name)).unwrap();
    }
    scratch.ops(&["ledger", "checkpoint"]).exits(1).says("states another history");
    scratch.ops(&["ledger", "rebuild"]).exits(1).says("states another history");
    scratch.ops(&["ledger", "verify"]).exits(1).says("the ledger was cut off or replaced");
    fs::remove_dir_all(scratch.path("receipts/log")).unwrap();
    good(&scratch);
    let since = ["ledger", "verify", "--since", kept.to_str().unwrap()];
    scratch.ops(&since).exits(1).says("its end was cut off");
}

fn a_lost_key_is_not_replaced() {
    let scratch = applied();
    scratch.ops(&["ledger", "checkpoint"]).exits(0);
    fs::remove_file(state(&scratch).join("log.key")).unwrap();
    scratch.ops(&["ledger", "checkpoint"]).exits(1).says("log.key");
    scratch.ops(&["ledger", "key"]).exits(1).says("log.key");
    scratch.ops(&["ledger", "verify"]).exits(1).says("put the key back from a backup");
    assert!(!state(&scratch).join("log.key").exists());
}

fn a_proof_needs_no_workspace() {
    let (here, there) = (applied(), Scratch::without_workspace());
    let save = |name: &str, words: &[&str]| {
        fs::write(there.path(name), here.ops(words).exits(0).stdout).unwrap();
    };
    save("host.pem", &["receipts", "key"]);
    save("log.vkey", &["ledger", "key"]);
    let receipt = here.last_receipt();
    let key = receipt["run"]["id"].as_str().unwrap();
    save("proof.json", &["receipts", "prove", key]);
    let verify = ["receipts", "verify", "proof.json", "--host-key", "host.pem", "--log-key", "log.vkey"];
    there.ops(&verify).exits(0);
    let unpinned = there.ops(&verify[..5]).exits(1);
    assert!(unpinned.stdout.contains("log key: BAD"), "{}", unpinned.stdout);
    there.ops(&verify[..3]).exits(2);

    save("log.vkey", &["ledger", "key"]);
    let other = applied();
    fs::write(there.path("log.vkey"), other.ops(&["ledger", "key"]).exits(0).stdout).unwrap();
    let refused = there.ops(&verify).exits(1);
    assert!(refused.stdout.contains("log: BAD: "), "{}", refused.stdout);
}

/// The state folder of the only workspace here.
fn state(scratch: &Scratch) -> PathBuf {
    find(&scratch.path("state")).expect("a ledger.db")
}

fn find(folder: &Path) -> Option<PathBuf> {
    if folder.join("ledger.db").exists() {
        return Some(folder.to_path_buf());
    }
    let entries = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).find_map(|path| find(&path))
}
