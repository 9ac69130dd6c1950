//! What a receipt of a read-only run costs: statement, signature, transaction, bodies; by one thread and by several,
//! and in a process that has just begun.
//!
//! `cargo bench -p ops-ledger --bench commit --profile dist [FOLDER]` prints a table; FOLDER is where the ledgers lie.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench is for people, and ends at the first fault"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ops_ledger::digest::Digest;
use ops_ledger::evidence::{Evidence, Place};
use ops_ledger::key::HostKey;
use ops_ledger::receipt::Receipt;
use ops_ledger::store::{Bodies, Ledger, SoftReceipt};

const RECEIPT: &str = include_str!("receipt.json");
const OUTPUT: &[u8] = &[b'o'; 1473];
const RECORDING: &[u8] = &[b'r'; 876];
static NUMBER: AtomicU64 = AtomicU64::new(0);

struct Bench {
    ledger: Ledger,
    key: HostKey,
    sample: Receipt,
}

impl Bench {
    fn open(folder: &Path) -> Self {
        Self {
            ledger: Ledger::open(folder).unwrap(),
            key: HostKey::load_or_create(folder).unwrap(),
            sample: serde_json::from_str(RECEIPT).unwrap(),
        }
    }

    fn one(&self) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let run = format!(
            "CAP-20261122-123811__communications.stack.status__R{number:06}{:04}",
            std::process::id() % 10000
        );
        let mut evidence = Evidence::new(&run);
        evidence.add_digest("input", b"{}").unwrap();
        evidence.add_file("output.json", "application/json", OUTPUT, Place::Exported).unwrap();
        evidence.add_file("recording.json", "application/json", RECORDING, Place::Host).unwrap();
        let mut receipt = self.sample.clone();
        receipt.run.id.clone_from(&run);
        receipt.evidence = evidence.records();
        receipt.ledger.id = self.ledger.ledger_id().to_owned();
        let index = evidence.to_bytes().unwrap();
        let mut bodies = Bodies::default();
        for (name, bytes) in
            [("output.json", OUTPUT), ("recording.json", RECORDING), ("evidence.json", &index)]
        {
            bodies.add(name, bytes).unwrap();
        }
        let soft = SoftReceipt { receipt, evidence: Digest::of(&index), bodies, files: 0 };
        self.ledger.commit_soft(soft, &self.key).unwrap();
    }
}

/// What this process has used so far, in steps of 10 ms.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = text.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.map(|field| field.parse::<u64>().unwrap() * 10).sum())
}

fn threads(bench: &Bench, threads: u32, each: u32) {
    let (start, used) = (Instant::now(), cpu());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..each).for_each(|_| bench.one()));
        }
    });
    let (wall, used, all) = (start.elapsed(), cpu() - used, threads * each);
    println!(
        "{threads} threads: {:7.1} us wall, {:7.1} us CPU each, {:8.0} receipts/s",
        wall.as_secs_f64() * 1e6 / f64::from(all),
        used.as_secs_f64() * 1e6 / f64::from(all),
        f64::from(all) / wall.as_secs_f64()
    );
}

/// What a host that stays does beside.
fn sync(ledger: &Ledger, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if ledger.wait_unsynced(Duration::from_millis(100)) {
            std::thread::sleep(Duration::from_millis(20));
            ledger.sync().unwrap();
        }
    }
}

/// A process of its own: opens, commits one.
fn cold(folder: &Path) {
    let start = Instant::now();
    let bench = Bench::open(folder);
    let opened = start.elapsed();
    // While the guest runs.
    bench.ledger.make_ready();
    let ready = Instant::now();
    bench.one();
    println!("{} {}", opened.as_nanos(), (opened + ready.elapsed()).as_nanos());
}

fn processes(folder: &Path, runs: usize) {
    let program = std::env::current_exe().unwrap();
    let mut times = Vec::new();
    for _ in 0..runs {
        let out = std::process::Command::new(&program).arg("--cold").arg(folder).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let both: Vec<f64> =
            text.split_whitespace().map(|number| number.parse::<f64>().unwrap() / 1e3).collect();
        times.push((both[0], both[1]));
    }
    let middle = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        (all[all.len() / 2], all[all.len() * 95 / 100])
    };
    let open = middle(times.iter().map(|both| both.0).collect());
    let whole = middle(times.iter().map(|both| both.1).collect());
    println!(
        "a process: open {:.0} us (95 %: {:.0}), with its first receipt {:.0} us (95 %: {:.0})",
        open.0, open.1, whole.0, whole.1
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, folder] = words.as_slice()
        && flag == "--cold"
    {
        return cold(Path::new(folder));
    }
    if let [flag, number, folder] = words.as_slice()
        && flag == "--one"
    {
        // For a profiler.
        let bench = Bench::open(Path::new(folder));
        bench.ledger.wait_unsynced(Duration::ZERO);
        return (0..number.parse().unwrap()).for_each(|_| bench.one());
    }
    let parent = words.first().map_or_else(std::env::temp_dir, Into::into);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(mode).tempdir_in(parent).unwrap();
    let bench = Bench::open(folder.path());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| sync(&bench.ledger, &over));
        threads(&bench, 1, 500);
        for count in [1, 2, 4, 8] {
            threads(&bench, count, 8000 / count);
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(bench);
    processes(folder.path(), 100);
    let size = |name: &str| folder.path().join(name).metadata().map_or(0, |about| about.len());
    println!("ledger.db {} KiB, its log {} KiB", size("ledger.db") >> 10, size("ledger.db-wal") >> 10);
}
