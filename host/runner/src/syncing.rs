//! Read-only runs are answered before the disk has their receipts. In a host that goes on living, nobody else comes
//! along to sync them, so a thread of its own does, soon after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::runner::Runner;

/// How long receipts may gather before they are synced together. With the sync itself it stays below the 50 ms that a
/// receipt may wait for the disk.
const GATHER: Duration = Duration::from_millis(20);
/// How long it takes at most until the thread hears that it shall end.
const LOOK: Duration = Duration::from_millis(100);

/// The thread. Dropping it syncs what is left, and ends it.
pub struct Syncing {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Runner {
    /// Begins to sync what is committed without waiting for the disk. `fault` is told what the disk says, each time.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn sync_soon(&self, fault: impl Fn(String) + Send + 'static) -> std::io::Result<Syncing> {
        let over = Arc::new(AtomicBool::new(false));
        let (ledger, is_over) = (self.ledger().clone(), over.clone());
        let sync = move || {
            loop {
                let ends = is_over.load(Ordering::Acquire);
                if ledger.wait_unsynced(if ends { Duration::ZERO } else { LOOK }) {
                    std::thread::sleep(if ends { Duration::ZERO } else { GATHER });
                    if let Err(error) = ledger.sync() {
                        fault(format!("receipts of read-only runs may not be on disk: {error}"));
                    }
                }
                if ends {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("ops-sync".to_owned()).spawn(sync)?;
        Ok(Syncing { over, thread: Some(thread) })
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
