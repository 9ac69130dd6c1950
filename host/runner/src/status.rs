//! What waits for a person, and what is not right.
//!
//! Loops and gaps are read by the capabilities that list them, each in a run of its own with a receipt: the front end runs
//! them, where their bindings are for reading only, and hands in what came of it. An open one is work, not an anomaly; a list that cannot be had is one. So is a
//! verify that did not pass; one that is old or was never run is only shown, as nothing says how often it should run.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use ops_ledger::receipt::Status as Ended;
use ops_ledger::store::ReceiptFilter;
use ops_policy::manifest::Safety;
use serde::Serialize;
use serde_json::Value;

use crate::ending::{self, Ending};
use crate::own::OUTPUT;
use crate::pinned::{Pinned, binding_file};
use crate::receipt::Report;
use crate::runner::Runner;

/// Runs that are listed at most.
const MAX_LISTED: u32 = 1000;
/// The capabilities that list loops and gaps, each with the list's name in its output.
pub const LISTS: [(&str, &str); 2] = [("loops.list", "loops"), ("gaps.list", "gaps")];
/// The capabilities whose last run says whether the workspace was verified.
const VERIFY: [&str; 2] = ["verify.run", "verify.core.run"];
/// Words of a status that stand for work that is over.
const OVER: [&str; 5] = ["closed", "fixed", "accepted", "complete", "reparented"];

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
    /// Loops that are not closed.
    pub loops: Listed,
    /// Gaps that are not closed.
    pub gaps: Listed,
    /// The last verify of the workspace, where there was one.
    pub last_verify: Option<Verify>,
    /// Everything that somebody has to mend.
    pub anomalies: Vec<String>,
}

/// What came of listing loops or gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// `listed`, `not-bound` where no such capability is bound here, or `failed`.
    pub state: ListState,
    /// The run that listed them.
    pub run: Option<String>,
    /// How many are open; more than are listed, where the capability cut its list.
    pub count: u64,
    /// Those that are open, in the capability's order.
    pub open: Vec<Item>,
}

/// Whether a list could be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListState {
    /// It was had.
    Listed,
    /// No capability is bound that lists them.
    #[default]
    NotBound,
    /// The run did not get there.
    Failed,
}

/// An open loop or gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its status, in the capability's words.
    pub status: String,
    /// How severe or urgent it is, where the list says so.
    pub weight: Option<String>,
    /// What it is about, where the list says so.
    pub title: Option<String>,
}

/// The last verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verify {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// How it ended; `done` where everything that it looked at passed.
    pub status: String,
    /// When, RFC 3339.
    pub at: String,
    /// How long ago, in seconds.
    pub age: u64,
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

/// What status and doctor both look at.
pub(crate) struct Basis {
    /// The lock, in words.
    pub(crate) lock: String,
    /// How many capabilities can run.
    pub(crate) capabilities: usize,
    /// What keeps the lock from holding, or a capability from running.
    pub(crate) faults: Vec<String>,
    /// Runs of which nobody knows what became.
    pub(crate) unknown: Vec<Unknown>,
}

impl Runner {
    /// Whether one of [`LISTS`] is bound here, and the lock vouches for it.
    pub fn lists(&self, capability: &str) -> bool {
        self.is_bound(capability)
            && self
                .pinned(Timestamp::now())
                .is_ok_and(|pinned| pinned.names().is_ok_and(|names| names.contains(&capability.to_owned())))
            && self.more_than_lists(capability).is_none()
    }

    /// Why one of [`LISTS`] is not run here although it is bound: looking at the status must change nothing.
    fn more_than_lists(&self, capability: &str) -> Option<String> {
        let pinned = self.pinned(Timestamp::now()).ok()?;
        // A binding that cannot be used is told of as what it is.
        let binding = pinned.bound(self.workspace(), capability).ok()?.binding;
        let what = match (binding.safety, binding.starts.is_empty()) {
            (Safety::ReadOnly, true) => return None,
            (Safety::ReadOnly, false) => "may start others".to_owned(),
            (safety, _) => format!("is {}", safety.as_str()),
        };
        let file = self.workspace().shown(&binding_file(capability));
        Some(format!(
            "{capability} is not run for the status, which only reads: by its binding it {what}\n  what to do:  mend \
             {file}, then `ops pin`"
        ))
    }

    /// The files that the lock covers and that are not as it has them, bindings of its capabilities aside.
    fn changed_files(&self, pinned: &Pinned) -> Vec<String> {
        let names = match pinned.names() {
            Ok(names) => names,
            Err(refusal) => return vec![refusal.message],
        };
        let bindings: BTreeSet<_> = names.into_iter().map(|name| binding_file(name)).collect();
        let files = pinned.lock.lock.files.keys().filter(|file| !bindings.contains(*file));
        files
            .filter_map(|file| pinned.file(self.workspace(), file).err().map(|refusal| (file, refusal.message)))
            .map(|(file, why)| {
                let file = self.workspace().shown(file);
                format!("{file} is not as the lock has it: {why}\n  what to do:  put it back, or look at it and `ops pin`")
            })
            .collect()
    }

    /// The newest receipt of a verify.
    fn last_verify(&self) -> Result<Option<Verify>, Ending> {
        let mut newest = None;
        for capability in VERIFY {
            let filter = ReceiptFilter { capability: Some(capability.to_owned()), status: None, limit: 1 };
            newest = newest
                .into_iter()
                .chain(self.ledger().receipts(&filter)?)
                .max_by_key(|receipt| receipt.sequence);
        }
        Ok(newest.map(|receipt| {
            let age = Timestamp::now().duration_since(receipt.at).max(SignedDuration::ZERO);
            Verify {
                run: receipt.run,
                capability: receipt.capability,
                status: receipt.status.word().to_owned(),
                at: receipt.at.to_string(),
                age: age.as_secs().unsigned_abs(),
            }
        }))
    }

    /// Where to read what a run found: its output, which a run that broke off does not have.
    fn findings(&self, run: &str) -> String {
        let output = self.exported(run).join(OUTPUT);
        let kept = matches!(self.ledger().body(run, OUTPUT), Ok(Some(_)));
        // A host that stays writes receipts out a little later.
        if kept && (output.is_file() || self.export(run).is_ok()) {
            output.display().to_string()
        } else {
            format!("ops receipts show {run}")
        }
    }

    /// The lock, the capabilities, and the runs that nobody knows about.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub(crate) fn basis(&self) -> Result<Basis, Ending> {
        let pinned = self.pinned(Timestamp::now());
        let (lock, capabilities, faults) = match pinned
            .and_then(|pinned| Ok((self.rows(&pinned, true)?, pinned)))
        {
            Ok((rows, pinned)) => {
                let lock = &pinned.lock.lock;
                let development = if lock.development { ", for development" } else { "" };
                self.remember_components();
                let mut faults: Vec<_> = rows.iter().filter_map(|row| row.fault.clone()).collect();
                let capabilities = rows.len() - faults.len();
                faults.extend(self.changed_files(&pinned));
                let lock =
                    format!("number {}, signed by {}{development}", lock.counter, pinned.signer.principal);
                (lock, capabilities, faults)
            }
            Err(refusal) => ("does not hold".to_owned(), 0, vec![refusal.message]),
        };
        let unknown = self.runs(true, MAX_LISTED)?.into_iter().filter(|run| run.status == "unknown");
        let unknown = unknown.map(|run| Unknown {
            run: run.key,
            capability: run.capability,
            at: run.at,
            in_doubt: run.in_doubt.first().copied(),
        });
        Ok(Basis { lock, capabilities, faults, unknown: unknown.collect() })
    }

    /// What waits for a person. `lists` are the reports of the runs of [`LISTS`], in that order; none of one that is not
    /// bound.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn status(&self, lists: [Option<&Report>; 2]) -> Result<Status, Ending> {
        let Basis { lock, capabilities, faults, unknown } = self.basis()?;
        let mut anomalies = faults;
        anomalies.extend(unknown.iter().map(Unknown::text));
        let plans =
            self.plans()?.into_iter().filter(|row| row.status == "waiting" || row.status == "approved");
        let mut listed = [Listed::default(), Listed::default()];
        for ((listed, (capability, list)), report) in listed.iter_mut().zip(LISTS).zip(lists) {
            let Some(report) = report else {
                if let Some(why) = self.more_than_lists(capability) {
                    listed.state = ListState::Failed;
                    anomalies.push(why);
                }
                continue;
            };
            *listed = Listed::of(report, list);
            if listed.state == ListState::Failed {
                anomalies.push(format!("{capability} lists nothing: {}", report.ending.message));
            }
        }
        let [loops, gaps] = listed;
        let last_verify = self.last_verify()?;
        if let Some(verify) = last_verify.as_ref().filter(|verify| verify.status != Ended::Done.word()) {
            anomalies.push(format!(
                "the last verify did not pass: {} ended `{}`\n  what it found:  {}",
                verify.capability,
                verify.status,
                self.findings(&verify.run)
            ));
        }
        Ok(Status {
            workspace: self.workspace().root().display().to_string(),
            state: self.workspace().state().display().to_string(),
            lock,
            capabilities,
            plans: plans.collect(),
            unknown,
            loops,
            gaps,
            last_verify,
            anomalies,
        })
    }
}

impl Unknown {
    /// For people, with what to do.
    pub(crate) fn text(&self) -> String {
        let what = match self.in_doubt {
            Some(number) => format!("nobody knows whether effect {number} happened of {}", self.run),
            None => format!("it stopped half way: {}", self.run),
        };
        format!(
            "{what}; until that is settled, the same input is refused\n  what to do:  ops runs show {}",
            self.run
        )
    }
}

impl Listed {
    /// What a run of a list came to. `list` is the list's name in its output.
    fn of(report: &Report, list: &str) -> Self {
        let rows = report.output.as_ref().and_then(|output| output.get(list)).and_then(Value::as_array);
        let (Some(ending::Status::Done), Some(rows)) = (report.ending.status, rows) else {
            return Self { state: ListState::Failed, run: report.key.clone(), ..Self::default() };
        };
        let open = rows.iter().map(Item::of).filter(|item| !OVER.contains(&item.status.as_str()));
        let open: Vec<_> = open.collect();
        let said = report.output.as_ref().and_then(|output| output.get("open")).and_then(Value::as_u64);
        let count = said.unwrap_or_default().max(open.len() as u64);
        Self { state: ListState::Listed, run: report.key.clone(), count, open }
    }
}

impl Item {
    /// A row of a list. What it has no words for is left out.
    fn of(row: &Value) -> Self {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| row.get(name).and_then(Value::as_str)).map(str::to_owned)
        };
        Self {
            id: text(&["id", "loop_id"]).unwrap_or_default(),
            status: text(&["status"]).unwrap_or_default(),
            weight: text(&["severity", "priority"]),
            title: text(&["title", "objective"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(ending: Ending, output: Option<Value>) -> Report {
        Report { output, ending, ..Report::usage("gaps.list".into(), Ending::usage("")) }
    }

    #[test]
    fn what_is_over_is_not_listed_and_what_failed_is_not_empty() {
        let output = json!({"open": 120, "gaps": [
            {"id": "GAP-OP-1", "status": "open", "severity": "high", "title": "One."},
            {"id": "GAP-OP-2", "status": "fixed"},
            {"id": "GAP-OP-3", "status": "blocked"},
        ]});
        let listed = Listed::of(&report(Ending::done("done"), Some(output)), "gaps");
        let ids: Vec<_> = listed.open.iter().map(|item| item.id.as_str()).collect();
        assert_eq!((listed.state, ids), (ListState::Listed, vec!["GAP-OP-1", "GAP-OP-3"]));
        assert_eq!((listed.count, listed.open[0].weight.as_deref()), (120, Some("high")));
        for (ending, output) in [
            (Ending::denied("lock", "no"), None),
            (Ending::done("done"), Some(json!({"other": []}))),
            (Ending::denied("lock", "no"), Some(json!({"gaps": []}))),
        ] {
            assert_eq!(Listed::of(&report(ending, output), "gaps").state, ListState::Failed);
        }
    }
}
