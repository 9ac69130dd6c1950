//! Places at which a test can end the host's process at once, as a power cut or `kill -9` would.
//!
//! `OPS_FAILPOINT=effect-started` kills at the first time that the place is reached, `OPS_FAILPOINT=effect-started:3` at
//! the third. It is there in builds with debug assertions only: a release has no such switch.

/// Every place, in the order in which a run reaches them.
pub const NAMES: &[&str] = &[
    "staged",
    "before-intent",
    "intent-committed",
    "effect-started",
    "effect-sent",
    "effect-performed",
    "guest-ended",
    "commit-recorded",
    "files-committed",
    "before-receipt",
    "receipt-committed",
    "exported",
    "recovery-begun",
    "resume-intended",
];

/// Ends the process here, if a test wants that.
#[cfg(debug_assertions)]
pub fn reach(name: &'static str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static REACHED: AtomicU64 = AtomicU64::new(0);
    debug_assert!(NAMES.contains(&name), "{name} is not listed");
    let Ok(wanted) = std::env::var("OPS_FAILPOINT") else { return };
    let (wanted, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted == name && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == time.parse().unwrap_or(1) {
        // If the signal cannot be sent, the test that waits for this end fails.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Does nothing: a release cannot be killed from outside by its environment.
#[cfg(not(debug_assertions))]
pub fn reach(_name: &'static str) {}
