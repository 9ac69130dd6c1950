//! Two processes at once on one workspace: nobody is turned away without need, nothing happens twice, and the ledger has
//! every run, in one order without a gap.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ran};
use ops_tests::skip::trial;
use ops_tests::torture::job::Job;
use ops_tests::torture::machines::Machines;
use ops_tests::torture::say;
use ops_tests::torture::site::{Site, approve};

/// Runs that change something, one in so many: their commits wait for the disk, with the ledger locked.
const CHANGES_ONE_IN: usize = 25;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("torture::contention::two_processes_one_ledger", None, one_ledger),
        trial("torture::contention::the_same_input_at_once", None, same_input),
        trial("torture::contention::one_run_at_a_time_per_target", None, one_target),
    ]
}

/// Two processes make runs, while a third signs checkpoints.
fn one_ledger() {
    let each = if std::env::var_os("TORTURE").is_some() { 10_000 } else { 500 };
    let machines = Machines::start();
    let scratch = workspace(&machines);
    let began = Instant::now();
    let (keys, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let checkpoints = std::thread::scope(|scope| {
        let signer = scope.spawn(|| checkpoints(&scratch, &over));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (scratch, keys) = (&scratch, &keys);
                scope.spawn(move || {
                    for number in 0..each {
                        let key = one_run(scratch, worker, number);
                        keys.lock().unwrap().push(key);
                    }
                })
            })
            .collect();
        let ended = workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a run was turned away");
        signer.join().expect("no checkpoint")
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

    // The whole check holds every checkpoint against every later one; here some are held against the last once more.
    scratch.ops(&["ledger", "verify"]).exits(0);
    for checkpoint in checkpoints.iter().step_by(checkpoints.len().div_ceil(5)) {
        scratch.ops(&["ledger", "verify", "--since", checkpoint.to_str().unwrap()]).exits(0);
    }
    say(&format!(
        "2 x {each} runs at once, {changes} with changes, and {} checkpoints, in {:.1} s",
        checkpoints.len(),
        took.as_secs_f32()
    ));
}

/// Signs checkpoints until it is over. Returns the files that they are in.
fn checkpoints(scratch: &Scratch, over: &AtomicBool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let note = scratch.ops(&["ledger", "checkpoint"]).exits(0).stdout;
        let file = scratch.path(&format!("checkpoint-{}", files.len()));
        fs::write(&file, note).unwrap();
        files.push(file);
        std::thread::sleep(Duration::from_millis(200));
    }
    files
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
    let run = if number.is_multiple_of(CHANGES_ONE_IN) {
        // The same input at the same time would be refused, and rightly.
        make(scratch, ["POST/item", "PUT/item"][worker])
    } else {
        ran(scratch.command().args(["cap", "run", "test.guest.echo", "--text", &text, "--json"]))
    };
    run.exits(0).json()["run_key"].as_str().unwrap().to_owned()
}

fn make(scratch: &Scratch, what: &str) -> Ran {
    ran(scratch.command().args(["cap", "run", "test.guest.changes", "--change", what, "--json"]))
}

/// Two runs that would do the same: one of them is refused while the other is under way, and says so in a receipt.
fn same_input() {
    const EACH: usize = 20;
    let machines = Machines::start();
    let scratch = workspace(&machines);
    let runs: Vec<Ran> = std::thread::scope(|scope| {
        let workers = [(); 2]
            .map(|()| scope.spawn(|| (0..EACH).map(|_| make(&scratch, "POST/item")).collect::<Vec<_>>()));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut done = 0;
    for run in runs {
        match run.code {
            0 => done += 1,
            4 => {
                let run = run.says("is under way");
                let key = run.json()["run_key"].as_str().unwrap().to_owned();
                scratch.ops(&["receipts", "verify", &key]).exits(0);
            }
            _ => panic!("{run:?}"),
        }
    }
    assert_eq!(machines.done().len(), done);
    say(&format!("2 x {EACH} runs with one input: {done} done, the others refused with a receipt"));
}

/// While one run works on a target, another one for the same target waits or is refused.
fn one_target() {
    let site = Site::with("lock: \"pool/{note}\"\nlimits: {requests: 10000}\n");
    let plans = ["one", "other"].map(|machine| site.plan(&Job::machine(machine, "shared")));
    site.machines.keep_busy(Some("one"));
    let mut first = start(&site, &plans[0]);
    while site.machines.done().is_empty() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it did anything");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut second = start(&site, &plans[1]);
    // One that waits for the first is let through after a while; one that is refused ends before.
    let patience = Instant::now() + Duration::from_secs(1);
    while second.try_wait().unwrap().is_none() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(site.machines.done().len(), 1, "two runs worked on one target");
    site.machines.keep_busy(None);
    let first = Ran::of(&first.wait_with_output().unwrap()).exits(0);
    let second = Ran::of(&second.wait_with_output().unwrap());

    let mut machines = vec!["one"];
    if second.code == 0 {
        machines.push("other");
    } else if second.code == 3 {
        // It waited, and then the folder of notes was not the one that its plan saw.
        second.says("nothing was changed");
    } else {
        let key = second.exits(4).json()["run_key"].as_str().unwrap().to_owned();
        let receipt = site.ops(&["receipts", "show", &key, "--json"]).exits(0).stdout;
        assert!(receipt.contains("\"locked\""), "{receipt}");
        assert_ne!(first.json()["run_key"], key);
    }
    let wanted: Vec<String> =
        machines.into_iter().flat_map(|machine| Job::machine(machine, "shared").changes).collect();
    let done: Vec<String> = site.machines.done().into_iter().map(|change| change.what).collect();
    assert_eq!(done, wanted);
}

fn start(site: &Site, plan: &str) -> Child {
    site.command(&approve(plan)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}
