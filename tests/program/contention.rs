//! Two processes at once on one workspace: nobody is turned away, and the ledger has every run, in one order without a
//! gap.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, ran};
use ops_tests::skip::trial;
use ops_tests::torture::machines::Machines;
use ops_tests::torture::{rounds, say};

/// Runs that change something, one in so many: their commits wait for the disk, with the ledger locked.
const CHANGES_ONE_IN: usize = 25;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("contention::two_processes_one_ledger", None, one_ledger)]
}

fn one_ledger() {
    let each = if std::env::var_os("TORTURE").is_some() { rounds(0).max(500) } else { 500 };
    let machines = Machines::start();
    let scratch = workspace(&machines);
    let began = Instant::now();
    let keys = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (scratch, keys) = (&scratch, &keys);
            scope.spawn(move || {
                for number in 0..each {
                    let key = one_run(scratch, worker, number);
                    keys.lock().unwrap().push(key);
                }
            });
        }
    });
    let took = began.elapsed();

    let keys = keys.into_inner().unwrap();
    let runs = keys.len();
    let keys: BTreeSet<String> = keys.into_iter().collect();
    assert_eq!((runs, keys.len()), (2 * each, 2 * each), "two runs had one key");
    let changes = 2 * each.div_ceil(CHANGES_ONE_IN);
    assert_eq!(machines.done().len(), changes);

    // Each receipt has a place of its own, and together with the intents they fill all places up to the last.
    let list = scratch.ops(&["receipts", "list", "--json", "--top", "1000000"]).exits(0).json();
    let list = list["receipts"].as_array().unwrap();
    let listed: BTreeSet<String> = list.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, keys, "the ledger has other runs than were made");
    let places: BTreeSet<u64> = list.iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert_eq!((places.len(), places.last()), (runs, Some(&((runs + changes) as u64))), "there is a gap");
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);

    say(&format!("2 x {each} runs at once, {changes} with changes, in {:.1} s", took.as_secs_f32()));
}

fn workspace(machines: &Machines) -> Scratch {
    let scratch = Scratch::new();
    scratch.place("guest-echo");
    scratch.write_binding(
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch.place("guest-changes");
    scratch.write_binding(&format!(
        "capability: test.guest.changes\n\
         component: components/guest_changes.wasm\n\
         safety: mutating\n\
         approval: {{mode: auto, reason: what is changed is a stand-in}}\n\
         services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
         \x20     - {{id: make, method: POST, path: /item, effect: mutate}}\n\
         \x20     - {{id: put, method: PUT, path: /item, effect: mutate}}\n\
         \x20     - {{id: keyed, method: POST, path: /keyed, effect: mutate}}\n",
        machines.origin()
    ));
    scratch.pin();
    scratch
}

/// One run, done. Returns its key.
fn one_run(scratch: &Scratch, worker: usize, number: usize) -> String {
    let text = format!("{worker}-{number}");
    let mut command = scratch.command();
    if number % CHANGES_ONE_IN == 0 {
        // The same input at the same time would be refused, and rightly.
        let change = ["POST/item", "PUT/item"][worker];
        command.args(["cap", "run", "test.guest.changes", "--change", change, "--json"]);
    } else {
        command.args(["cap", "run", "test.guest.echo", "--text", &text, "--json"]);
    }
    let run = ran(&mut command).exits(0);
    run.json()["run_key"].as_str().unwrap().to_owned()
}
