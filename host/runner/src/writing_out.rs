//! The folders for people of read-only runs, written beside the runs by a host that stays: `receipts/sessions/R<run key>/`.
//!
//! They are derived from the ledger and can be made again, so no caller waits for one. They are written while no run
//! comes, or one in a while where they always do. Those beyond the 4,096th that waits are left out; whoever asks
//! for such a receipt makes its folder then, and `ops ledger rebuild` makes all.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::runner::Runner;

/// Folders that wait at most; as many are written at the end of the host.
const MOST: usize = 4_096;
/// Nothing runs where nothing has run for so long.
const QUIET: Duration = Duration::from_millis(5);
/// How long a folder waits for that.
const PATIENCE: Duration = Duration::from_millis(100);

/// The runs whose folders wait, and the runs that are under way.
#[derive(Default)]
pub(crate) struct Waiting {
    queue: Mutex<Queue>,
    changed: Condvar,
    running: AtomicUsize,
    /// How many runs have begun.
    begun: AtomicU64,
    /// How many had when it was quiet last. While it stays so many, one folder is written after the other.
    quiet: AtomicU64,
}

#[derive(Default)]
struct Queue {
    keys: VecDeque<String>,
    /// Whether somebody writes what waits.
    is_served: bool,
}

/// Counts a run as under way until it is dropped.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread that writes. Dropping it writes what waits, and waits for that.
pub struct WritingOut {
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    pub(crate) fn under_way(&self) -> UnderWay<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.running)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody will write the folder, or it is left to whoever asks for it.
    fn takes(&self, key: &str) -> bool {
        let mut queue = self.queue();
        if queue.is_served && queue.keys.len() < MOST {
            queue.keys.push_back(key.to_owned());
            // Where others wait, whoever writes looks at the clock, and a wake-up would cost each run something.
            if queue.keys.len() == 1 {
                self.changed.notify_one();
            }
        }
        queue.is_served
    }

    /// The next one, once nothing runs or it has waited long enough. `None` at the end.
    fn next(&self) -> Option<String> {
        let queue = self.queue();
        let waited = self.changed.wait_while(queue, |queue| queue.is_served && queue.keys.is_empty());
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        let (began, mut seen) = (Instant::now(), self.quiet.load(Ordering::Relaxed));
        while queue.is_served && began.elapsed() < PATIENCE {
            let begun = self.begun.load(Ordering::Relaxed);
            if self.running.load(Ordering::Relaxed) == 0 && seen == begun {
                self.quiet.store(begun, Ordering::Relaxed);
                break;
            }
            seen = begun;
            let waited = self.changed.wait_timeout_while(queue, QUIET, |queue| queue.is_served);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        queue.keys.pop_front()
    }
}

impl Runner {
    /// Writes a receipt's folder, or has it written soon. `None` where it is not written yet.
    pub(crate) fn write_out(&self, key: &str) -> Result<Option<PathBuf>, String> {
        if self.waiting().takes(key) { Ok(None) } else { self.export(key).map(Some) }
    }

    /// Has the folders of receipts written beside the runs from here on, for a host that stays. `fault` hears, for
    /// people, of one that could not be written.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub fn write_out_soon(&self, fault: impl Fn(String) + Send + 'static) -> std::io::Result<WritingOut> {
        let (runner, waiting) = (self.clone(), self.waiting().clone());
        let write = move || {
            while let Some(key) = runner.waiting().next() {
                if let Err(error) = runner.export(&key) {
                    fault(format!("the folder of {key} was not written: {error}"));
                }
            }
        };
        waiting.queue().is_served = true;
        match std::thread::Builder::new().name("ops-write-out".to_owned()).spawn(write) {
            Ok(thread) => Ok(WritingOut { waiting, thread: Some(thread) }),
            Err(error) => {
                waiting.queue().is_served = false;
                Err(error)
            }
        }
    }
}

impl Drop for WritingOut {
    fn drop(&mut self) {
        self.waiting.queue().is_served = false;
        self.waiting.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> Waiting {
        let waiting = Waiting::default();
        waiting.queue().is_served = true;
        waiting
    }

    #[test]
    fn nobody_waits_for_what_nobody_writes() {
        assert!(!Waiting::default().takes("a"));
        let waiting = served();
        assert!(
            (0..=MOST).all(|key| waiting.takes(&key.to_string())),
            "one left out is not written at once either"
        );
        assert_eq!(waiting.queue().keys.len(), MOST);
    }

    #[test]
    fn what_waits_is_written_at_the_end_whatever_still_runs() {
        let waiting = served();
        assert!(waiting.takes("a") && waiting.takes("b"));
        let _running = waiting.under_way();
        waiting.queue().is_served = false;
        assert_eq!(waiting.next().as_deref(), Some("a"));
        assert_eq!(waiting.next().as_deref(), Some("b"));
        assert_eq!(waiting.next(), None);
    }

    #[test]
    fn once_it_is_quiet_nothing_is_waited_for() {
        let waiting = served();
        drop(waiting.under_way());
        assert!((0..MOST).all(|key| waiting.takes(&key.to_string())));
        let noted = || waiting.quiet.load(Ordering::Relaxed) == waiting.begun.load(Ordering::Relaxed);
        assert!(!noted(), "one has run since");
        assert!((0..MOST).all(|key| waiting.next() == Some(key.to_string()) && noted()));
    }

    #[test]
    fn a_folder_does_not_wait_for_runs_without_end() {
        let waiting = served();
        let _running = waiting.under_way();
        assert!(waiting.takes("a"));
        assert_eq!(waiting.next().as_deref(), Some("a"));
        drop(waiting.under_way());
        assert_eq!(waiting.running.load(Ordering::Relaxed), 1);
    }
}
