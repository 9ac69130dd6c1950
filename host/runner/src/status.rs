//! What waits for a person.

use jiff::Timestamp;
use serde::Serialize;

use crate::catalogue::Row;
use crate::ending::Ending;
use crate::pinned::Pinned;
use crate::runner::Runner;

/// Runs that are listed at most.
const MAX_LISTED: u32 = 1000;

/// What waits for a person, and what is not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The workspace's folder.
    pub workspace: String,
    /// The host's state folder.
    pub state: String,
    /// The lock, in words.
    pub lock: String,
    /// How many capabilities are bound and runnable.
    pub capabilities: usize,
    /// Plans that wait for an approval, or are approved and wait to be carried out.
    pub plans: Vec<crate::plans::Row>,
    /// Runs that began to change something and of which nobody knows what became. Each blocks its input.
    pub unknown: Vec<Unknown>,
    /// Everything that somebody has to mend.
    pub anomalies: Vec<String>,
}

/// A run that began to change something and of which nobody knows what became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// Since when, RFC 3339.
    pub at: String,
    /// The number of the effect of which nobody knows whether it happened, where there is one.
    pub in_doubt: Option<u64>,
}

impl Runner {
    /// What keeps a capability from running, its component's bytes included.
    fn fault(&self, pinned: &Pinned, row: &Row) -> Option<String> {
        if row.fault.is_some() {
            return row.fault.clone();
        }
        self.vouched(pinned, &row.name).err().map(|refusal| refusal.message)
    }

    /// What waits for a person.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn status(&self) -> Result<Status, Ending> {
        let mut anomalies = Vec::new();
        let (lock, capabilities) = match self.pinned(Timestamp::now()) {
            Ok(pinned) => {
                let lock = &pinned.lock.lock;
                let development = if lock.development { ", for development" } else { "" };
                let rows = self.catalogue().unwrap_or_default();
                let faults: Vec<_> = rows.iter().filter_map(|row| self.fault(&pinned, row)).collect();
                let good = rows.len() - faults.len();
                anomalies.extend(faults);
                (format!("number {}, signed by {}{development}", lock.counter, pinned.signer.principal), good)
            }
            Err(refusal) => {
                anomalies.push(refusal.message);
                ("does not hold".to_owned(), 0)
            }
        };
        let plans =
            self.plans()?.into_iter().filter(|row| row.status == "waiting" || row.status == "approved");
        let unknown: Vec<_> = self
            .runs(true, MAX_LISTED)?
            .into_iter()
            .filter(|run| run.status == "unknown")
            .map(|run| Unknown {
                run: run.key,
                capability: run.capability,
                at: run.at,
                in_doubt: run.in_doubt.first().copied(),
            })
            .collect();
        anomalies.extend(unknown.iter().map(|run| {
            let what = match run.in_doubt {
                Some(number) => format!("nobody knows whether effect {number} happened of {}", run.run),
                None => format!("it stopped half way: {}", run.run),
            };
            format!(
                "{what}; until that is settled, the same input is refused\n  \
                 what to do:  ops runs show {run}",
                run = run.run
            )
        }));
        Ok(Status {
            workspace: self.workspace().root().display().to_string(),
            state: self.workspace().state().display().to_string(),
            lock,
            capabilities,
            plans: plans.collect(),
            unknown,
            anomalies,
        })
    }
}
