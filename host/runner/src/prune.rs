//! What is erased of old runs: bodies, salts and recordings, never a receipt.
//!
//! First what is older than the retention in `ops.yaml`, then the oldest while the store holds more than it may. Of a
//! run, first the content store's folder goes, then the exported copies, then the ledger's row that tells of it, with the
//! bodies in it; a crash between two of these leaves the row, by which the next one goes on. A run whose outcome nobody knows, and one
//! whose plan waits, keep what they have.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use ops_ledger::store::Kept;
use ops_ledger::{content, runlock};
use ops_policy::settings::Records;
use serde::Serialize;

use crate::ending::Ending;
use crate::runner::Runner;

/// Runs that are looked at in one go.
const MAX_RUNS: u32 = 1_000_000;
/// Runs that make room for another one at most, so that no run waits long.
const MAX_ROOM: u32 = 100;

/// How long what the store held is known, with what this process has added. Others may add to it meanwhile.
const KNOWN: Duration = Duration::from_secs(1);

/// What the store held at some time, and what was added here since, in bytes.
pub(crate) struct Held {
    at: Instant,
    bytes: u64,
}

/// What was erased, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The run keys, oldest first.
    pub runs: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Folders of the content store that belong to no receipt: their runs died before it.
    pub orphans: Vec<String>,
    /// Documents of plans that nobody can carry out any more.
    pub plans: u64,
    /// Bytes that are left.
    pub left: u64,
}

impl Runner {
    /// Erases what is older than `older_than`, else than the retention, and what the store has no room for.
    ///
    /// # Errors
    ///
    /// The lock does not vouch for `ops.yaml`, or something cannot be read or erased. What was erased stays so; the
    /// next prune goes on.
    pub fn prune(&self, older_than: Option<Duration>, dry_run: bool) -> Result<Pruned, Ending> {
        let now = Timestamp::now();
        let records = self.pinned(now)?.settings.records;
        let age = SignedDuration::try_from(older_than.unwrap_or(records.retention))
            .map_err(|error| Ending::usage(error.to_string()))?;
        let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let mut pruned = Pruned { left: self.ledger().kept_bytes()?, ..Pruned::default() };
        for kept in self.ledger().erasable(MAX_RUNS)? {
            if kept.at >= before && pruned.left <= records.store {
                break;
            }
            if !dry_run {
                self.erase(&kept).map_err(failed)?;
            }
            pruned.left = pruned.left.saturating_sub(kept.bytes);
            pruned.bytes = pruned.bytes.saturating_add(kept.bytes);
            pruned.runs.push(kept.run);
        }
        pruned.orphans = self.orphans(dry_run)?;
        pruned.plans = self.ledger().erase_plans(before, dry_run)?;
        if !dry_run && (!pruned.runs.is_empty() || pruned.plans > 0) {
            self.ledger().empty_log().map_err(failed)?;
        }
        Ok(pruned)
    }

    /// Erases the oldest runs until `needed` more bytes fit into the store. Returns whether they do.
    pub(crate) fn make_room(&self, records: Records, needed: u64) -> Result<bool, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let fits = |held: u64| held.saturating_add(needed) <= records.store;
        let mut known = self.held().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_mut().filter(|known| known.at.elapsed() < KNOWN && fits(known.bytes)) {
            known.bytes += needed;
            return Ok(true);
        }
        let mut held = self.ledger().kept_bytes().map_err(|error| text(&error))?;
        if needed > records.store || fits(held) {
            *known = Some(Held { at: Instant::now(), bytes: held.saturating_add(needed) });
            return Ok(needed <= records.store);
        }
        *known = None;
        drop(known);
        for kept in self.ledger().erasable(MAX_ROOM).map_err(|error| text(&error))? {
            if fits(held) {
                break;
            }
            self.erase(&kept)?;
            held = held.saturating_sub(kept.bytes);
        }
        Ok(fits(held))
    }

    fn erase(&self, kept: &Kept) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let run = &kept.run;
        content::erase(self.workspace().state(), run).map_err(|error| text(&error))?;
        if self.exported(run).is_dir() {
            self.export_erased(run)?;
        }
        self.ledger().erased(run).map_err(|error| text(&error))
    }

    /// Erases what runs have left in the content store that died before their receipt. A run that is under way holds
    /// its lock, and one that has ended since has its row.
    fn orphans(&self, dry_run: bool) -> Result<Vec<String>, Ending> {
        let state = self.workspace().state();
        let mut orphans = Vec::new();
        for run in content::runs(state).map_err(failed)? {
            if runlock::is_alive(state, &run).map_err(failed)? || !self.ledger().is_orphan(&run)? {
                continue;
            }
            if !dry_run {
                content::erase(state, &run).map_err(failed)?;
            }
            orphans.push(run);
        }
        orphans.sort();
        Ok(orphans)
    }
}

fn failed(error: impl std::fmt::Display) -> Ending {
    Ending::denied("prune", format!("not all could be erased: {error}\n  mend that, then run it again"))
}
