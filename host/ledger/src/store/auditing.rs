//! What an audit reads: the newest receipts of every capability in one pass, and who approved last.
//!
//! Receipts are walked from the newest down by their index, and the walk ends once every capability that is asked about
//! has its share, or after [`MOST_ROWS`]: a ledger of many years does not make an audit slow.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Ledger, LedgerError, parsed, sequence};
use crate::digest::Digest;
use crate::receipt::{ApprovalHow, Status};

/// Receipts that one pass looks at, at most. A capability that last ran before that has no runs in an audit.
pub const MOST_ROWS: u32 = 1_000_000;

/// A receipt of the pass. Its bundle is read by [`Ledger::bundles`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// How the run ended.
    pub status: Status,
    /// The receipt's sequence.
    pub sequence: u64,
}

/// An approval of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestApproval {
    /// The capability whose plan it is.
    pub capability: String,
    /// The plan's id.
    pub plan: String,
    /// Run key of the run that made the plan.
    pub run: String,
    /// How it was given.
    pub how: ApprovalHow,
    /// By whom.
    pub principal: String,
    /// When.
    pub at: Timestamp,
}

impl Ledger {
    /// The newest receipts of each of these capabilities, at most `each`, the newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn newest(&self, capabilities: &BTreeSet<String>, each: u32) -> Result<Vec<Newest>, LedgerError> {
        let mut left: BTreeMap<&str, u32> =
            capabilities.iter().filter(|_| each > 0).map(|name| (name.as_str(), each)).collect();
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT key, capability, status, receipt
                 FROM entries CROSS JOIN runs ON key = entries.run AND receipt = sequence
                 ORDER BY sequence DESC LIMIT ?1",
            )?;
            let mut rows = statement.query([MOST_ROWS])?;
            let mut newest = Vec::new();
            while !left.is_empty() {
                let Some(row) = rows.next()? else { break };
                let capability = row.get_ref(1)?.as_str().unwrap_or_default();
                let Some(more) = left.get_mut(capability) else { continue };
                newest.push(Newest {
                    run: row.get(0)?,
                    capability: capability.to_owned(),
                    status: parsed(row, 2)?,
                    sequence: sequence(row.get(3)?),
                });
                *more -= 1;
                if *more == 0 {
                    left.remove(capability);
                }
            }
            Ok(newest)
        })
    }

    /// The signed bundles of entries, in the order that is asked for. `None` for one that is damaged on disk, or gone.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn bundles(&self, sequences: &[u64]) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT envelope, digest FROM entries WHERE sequence = ?1")?;
            let mut bundles = Vec::with_capacity(sequences.len());
            for number in sequences {
                let mut rows = statement.query([number.cast_signed()])?;
                bundles.push(match rows.next()? {
                    None => None,
                    Some(row) => {
                        let (bundle, digest): (Vec<u8>, Digest) = (row.get(0)?, parsed(row, 1)?);
                        (Digest::of(&bundle) == digest).then_some(bundle)
                    }
                });
            }
            Ok(bundles)
        })
    }

    /// The newest approvals, the newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn newest_approvals(&self, limit: u32) -> Result<Vec<NewestApproval>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT capability, plan, run, how, principal, at FROM approvals JOIN plans ON plans.id = plan
                 ORDER BY entry DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                Ok(NewestApproval {
                    capability: row.get(0)?,
                    plan: row.get(1)?,
                    run: row.get(2)?,
                    how: parsed(row, 3)?,
                    principal: row.get(4)?,
                    at: parsed(row, 5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ReceiptFilter;
    use super::super::sample::Sample;
    use super::*;

    const CAPABILITY: &str = "communications.mail.send.test";

    fn named(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_capability_has_its_newest_and_no_more() {
        let sample = Sample::with_rounds(3);
        let ledger = &sample.ledger;
        let all = ledger.receipts(&ReceiptFilter { capability: None, status: None, limit: 100 }).unwrap();
        let newest = ledger.newest(&named(&[CAPABILITY, "no.such"]), 100).unwrap();
        let keys = |newest: &[Newest]| newest.iter().map(|newest| newest.run.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&newest), all.iter().map(|row| row.run.clone()).collect::<Vec<_>>());
        assert_eq!(keys(&ledger.newest(&named(&[CAPABILITY]), 2).unwrap()), keys(&newest[..2]));
        assert_eq!(ledger.newest(&named(&["no.such"]), 2).unwrap(), []);
        assert_eq!(ledger.newest(&named(&[CAPABILITY]), 0).unwrap(), []);
    }

    #[test]
    fn bundles_come_in_the_order_that_is_asked_for() {
        let sample = Sample::with_rounds(1);
        let newest = sample.ledger.newest(&named(&[CAPABILITY]), 2).unwrap();
        let [first, second] = newest.as_slice() else { panic!("{newest:?}") };
        let bundles = sample.ledger.bundles(&[second.sequence, 1_000_000, first.sequence]).unwrap();
        let stored = |run: &str| Some(sample.ledger.receipt(run).unwrap().bundle);
        assert_eq!(bundles, [stored(&second.run), None, stored(&first.run)]);
    }

    #[test]
    fn approvals_come_the_newest_first() {
        let sample = Sample::with_rounds(3);
        let approvals = sample.ledger.newest_approvals(2).unwrap();
        let plans: Vec<_> = approvals.iter().map(|approval| approval.plan.as_str()).collect();
        assert_eq!(plans, ["p2", "p1"]);
        assert!(
            approvals
                .iter()
                .all(|approval| approval.capability == CAPABILITY && approval.how == ApprovalHow::Signed)
        );
    }
}
