//! One run at a time for each target, where a binding says so (`lock:`).
//!
//! The target's lock is a `flock` on a file of the state folder, held from the moment when the run knows its arguments
//! until it ends, however it ends, and what it had started has ended too. Whoever comes meanwhile waits a little and is then refused, with the key of the run
//! that has it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ops_policy::digest::Digest;
use ops_policy::visible;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde_json::Value;

use crate::ending::Ending;
use crate::run::{Decided, Run};
use crate::workspace::private_folder;

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest run key that is shown of a holder, in bytes.
const MAX_HOLDER: u64 = 300;

/// A target that this run has for itself. Dropping it gives it free.
#[derive(Debug)]
pub(crate) struct Target {
    // Held for its lock.
    _file: File,
}

impl Run<'_> {
    /// Takes the target that the binding names for these arguments, where it names one. A dry run changes nothing and
    /// waits for nobody.
    pub(crate) fn hold_target(&mut self, decided: &Decided) -> Result<(), Ending> {
        let capability = &decided.resolved.capability;
        let Some(lock) = capability.binding.lock.as_ref().filter(|_| !self.record.dry_run) else {
            return Ok(());
        };
        let wrong = |why: String| Ending::denied("binding", format!("lock: {why}"));
        let arguments: Value =
            serde_json::from_str(&decided.input.arguments).map_err(|error| wrong(error.to_string()))?;
        let target = lock.resolve(&arguments).map_err(wrong)?;
        let folder = self.runner.workspace().state().join("targets");
        private_folder(&folder).map_err(|error| wrong(error.to_string()))?;
        let file = folder.join(Digest::of(target.as_bytes()).hex());
        let cancel = self.order.cancel.clone();
        let held = hold(&file, &self.key, decided.limits().wait, || *cancel.borrow())
            .map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        match held {
            Ok(held) => self.target = Some(held),
            Err(_) if *cancel.borrow() => return Err(Ending::interrupted()),
            Err(holder) => {
                return Err(Ending::denied(
                    "locked",
                    format!(
                        "`{}` is held by {}, and only one run at a time may work on it (the binding's lock)\n  \
                         nothing was changed; try again when that run has ended",
                        visible::visible(&target),
                        visible::clip(&visible::visible(&holder), 200),
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Takes a target's lock, waiting a bounded time. The inner error is who has it.
fn hold(
    path: &Path,
    run: &str,
    patience: Duration,
    cancelled: impl Fn() -> bool,
) -> std::io::Result<Result<Target, String>> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let begun = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if begun.elapsed() < patience && !cancelled() => {
                std::thread::sleep(PAUSE);
            }
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                file.take(MAX_HOLDER).read_to_string(&mut holder)?;
                return Ok(Err(if holder.is_empty() { "another run".into() } else { holder }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(run.as_bytes())?;
    Ok(Ok(Target { _file: file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_other_hears_who() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target");
        let take = |run: &str| hold(&path, run, Duration::ZERO, || false).unwrap();
        let first = take("R1").unwrap();
        assert_eq!(take("R2").unwrap_err(), "R1");
        drop(first);
        let second = take("R2-longer").unwrap();
        assert_eq!(take("R3").unwrap_err(), "R2-longer");
        drop(second);
        take("R").unwrap();
    }

    #[test]
    fn a_wait_ends_when_somebody_cancels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target");
        let _first = hold(&path, "R1", Duration::ZERO, || false).unwrap().unwrap();
        assert_eq!(hold(&path, "R2", Duration::MAX, || true).unwrap().unwrap_err(), "R1");
    }
}
