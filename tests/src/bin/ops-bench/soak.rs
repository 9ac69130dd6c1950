//! Half the peak rate for a long time: what a server takes up has to stay, and the ledger has to hold after it.
//!
//! An hour leaves millions of receipts. The ledger has them all, in a folder that is named where the RAM disk is too small; the
//! folders of receipts, which can be made again, are removed as they come.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::amount::short;
use crate::client::{Client, ECHO, Protocol};
use crate::site::{self, Site};
use crate::system::{Taken, taken};

const IN_FLIGHT: usize = 8;
/// Calls of which the peak rate is taken.
const PEAK: usize = 10_000;
/// What is due goes out together, this long after the last was answered.
const PULSE: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);
/// How much more memory the last tenth may take than the second one.
const GROWTH: f64 = 1.1;
/// What may come and go at any moment: a descriptor or a thread of a call in flight.
const PASSING: usize = 2 * IN_FLIGHT;

/// One of the numbers of a sample.
type Count = fn(&Taken) -> usize;

/// Soaks a server for this long, with its ledger in that folder. Returns whether it held, having said so.
pub(crate) fn soak(time: Duration, state: Option<&Path>) -> bool {
    let site = match state {
        Some(state) => Site::with_state_in(state, &[site::ECHO]),
        None => Site::new(&[site::ECHO]),
    };
    let tidy = Tidy::start(site.path("receipts/sessions"));
    let mut client = Client::start(site.ops(&["mcp", "serve"]), Protocol::V2025);
    client.in_flight(ECHO, PEAK / 10, IN_FLIGHT);
    let peak = PEAK as f64 / client.in_flight(ECHO, PEAK, IN_FLIGHT).as_secs_f64();
    let rate = peak / 2.0;
    println!("peak {peak:.0} calls/s; {rate:.0} calls/s for {} s", time.as_secs());

    let began = Instant::now();
    let (mut calls, mut samples) = (0, Vec::new());
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * rate) as usize;
        if due > calls {
            client.in_flight(ECHO, due - calls, IN_FLIGHT);
            calls = due;
        }
        if began.elapsed() >= SECOND * samples.len() as u32 {
            samples.push(taken(client.pid()));
        }
        std::thread::sleep(PULSE);
    }
    let kept = calls as f64 / began.elapsed().as_secs_f64();
    client.finish();
    tidy.end();

    let (mut text, mut holds) = verdict(&samples);
    if kept < 0.95 * rate {
        holds = false;
        let _ = writeln!(text, "only {kept:.0} calls/s were answered");
    }
    // It exits with 1 where anything is found, and that ends this with what it said.
    site.run(&["ledger", "verify"]);
    let size = size(&site.state()) as f64 / 1024.0 / 1024.0;
    println!(
        "{calls} calls in {:.0} s, each with its receipt\n{text}state        {} MiB, {} KiB a call\nops ledger verify: nothing found",
        time.as_secs_f64(),
        short(size),
        short(size * 1024.0 / calls as f64)
    );
    println!("{}", if holds { "it holds" } else { "it does not hold" });
    holds
}

/// Removes the folders of receipts, as somebody does who looks after a host.
struct Tidy {
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Tidy {
    fn start(sessions: PathBuf) -> Self {
        let (end, ends) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while ends.recv_timeout(SECOND).is_err_and(|error| error == mpsc::RecvTimeoutError::Timeout) {
                for entry in fs::read_dir(&sessions).into_iter().flatten().flatten() {
                    // One whose name begins with a dot is being made.
                    if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                        let _ = fs::remove_dir_all(entry.path());
                    }
                }
            }
        });
        Self { end, thread }
    }

    fn end(self) {
        drop(self.end);
        self.thread.join().unwrap();
    }
}

/// How many bytes lie in a folder and those in it.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        about => about.map_or(0, |about| about.len()),
    });
    sizes.sum()
}

/// What came of the samples, in words, and whether nothing grows: the last tenth beside the second one, since in the
/// first one caches fill.
fn verdict(samples: &[Taken]) -> (String, bool) {
    let tenth = samples.len() / 10;
    assert!(tenth > 0, "a soak takes at least ten seconds");
    let (early, late) = (&samples[tenth..2 * tenth], &samples[samples.len() - tenth..]);
    let mean = |part: &[Taken]| part.iter().map(|taken| taken.memory).sum::<f64>() / part.len() as f64;
    let most = |part: &[Taken], of: Count| part.iter().map(of).max().unwrap_or_default();
    let (mut text, mut holds) = (String::new(), true);
    let mut line = |what: &str, unit: &str, early: f64, late: f64, limit: f64| {
        let held = late <= limit;
        holds &= held;
        let word = if held { "flat" } else { "grows" };
        let _ =
            writeln!(text, "{what:12} {} {unit} early, {} {unit} late: {word}", short(early), short(late));
    };
    line("memory", "MiB", mean(early), mean(late), mean(early) * GROWTH);
    let counts: [(&str, Count); 3] = [
        ("descriptors", |taken| taken.descriptors),
        ("threads", |taken| taken.threads),
        ("processes", |taken| taken.children),
    ];
    for (what, of) in counts {
        let (early, late) = (most(early, of), most(late, of));
        line(what, "", early as f64, late as f64, (early + PASSING) as f64);
    }
    (text, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_does_not_hold() {
        let flat = Taken { memory: 50.0, descriptors: 40, threads: 12, children: 8 };
        let grown = |change: fn(&mut Taken, usize)| {
            let samples: Vec<_> = (0..100)
                .map(|second| {
                    let mut taken = flat;
                    change(&mut taken, second);
                    taken
                })
                .collect();
            verdict(&samples)
        };
        // What fills at the beginning, and what comes and goes, is nothing.
        assert!(grown(|_, _| ()).1);
        assert!(grown(|taken, second| taken.memory += second.min(9) as f64).1);
        assert!(grown(|taken, second| taken.descriptors += second % 10).1);
        for (what, change) in [
            ("memory", (|taken, second| taken.memory += second as f64 / 10.0) as fn(&mut Taken, usize)),
            ("descriptors", |taken, second| taken.descriptors += second / 4),
            ("threads", |taken, second| taken.threads += second / 4),
            ("processes", |taken, second| taken.children += second / 4),
        ] {
            let (text, holds) = grown(change);
            assert!(!holds, "{text}");
            let line = text.lines().find(|line| line.ends_with("grows")).unwrap();
            assert!(line.starts_with(what), "{text}");
        }
    }
}
