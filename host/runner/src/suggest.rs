//! `ops suggest`: the narrowest binding that would have allowed what past runs did, as a patch for a person to look at.
//! Nothing is changed.
//!
//! In this order: the lock must hold over the binding and the component; the runs are chosen; what they did is read from
//! their recordings, as far as their receipts vouch for these, and else from the receipts alone; `ops_policy::suggest`
//! narrows the binding and proves it; the text of the file is edited; and what the suggestion would have denied in the past
//! runs, those that were not chosen among them, is counted.

mod observe;
mod words;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use ops_ledger::receipt::Status;
use ops_ledger::store::{ReceiptFilter, StoredReceipt};
use ops_policy::rights::Rights;
use ops_policy::suggest::{self, Denied, Suggestion};
use similar::TextDiff;

use self::observe::Run;
use crate::ending::Ending;
use crate::pinned::{Capability, binding_file};
use crate::runner::Runner;

/// The most runs that are looked at.
pub const MOST_RUNS: u32 = 1000;
/// The receipts of a capability that others start that are looked at, at most.
const MOST_STARTED: u32 = 1000;

/// What to suggest.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The capability.
    pub capability: String,
    /// The runs to learn from, by key, its beginning or its last letters; where none is named, the last ones.
    pub from: Vec<String>,
    /// How many past runs are looked at, at most [`MOST_RUNS`].
    pub runs: u32,
}

/// A suggestion.
#[derive(Clone, Debug)]
pub struct Suggested {
    /// The capability.
    pub capability: String,
    /// The binding's file, relative to the folder in which the patch applies.
    pub file: String,
    /// The unified diff; none where there is nothing to narrow.
    pub patch: Option<String>,
    /// Whether the file was written anew, because it could not be edited in place.
    pub is_anew: bool,
    /// Lines of today's file with comments that stand above something that goes.
    pub comments: Vec<u64>,
    /// The runs that it learned from, oldest first.
    pub from: Vec<String>,
    /// Past runs that it did not learn from: how many, by why.
    pub left_out: BTreeMap<String, u64>,
    /// The generalisations, what could not be known, and the proof.
    pub suggestion: Suggestion,
    /// How many past runs were looked at.
    pub past: usize,
    /// What it would have denied in those.
    pub denied: Vec<Denied>,
}

/// The runs to learn from; and of those that are none, how many, by why.
type Chosen<'a> = (Vec<Cow<'a, Run>>, BTreeMap<String, u64>);

impl Runner {
    /// Suggests a narrower binding.
    ///
    /// # Errors
    ///
    /// There is no such capability or run; the lock does not hold; there is no run to learn from; the suggestion did not
    /// stand its last check.
    pub fn suggest(&self, ask: &Ask) -> Result<Suggested, Ending> {
        let name = &ask.capability;
        if !self.is_bound(name) {
            return Err(self.unknown_capability(name));
        }
        let pinned = self.pinned(Timestamp::now())?;
        let capability = pinned.capability(self.workspace(), name)?;
        let text = pinned.file(self.workspace(), &binding_file(name))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let rights = Rights::intersect(&capability.manifest, &capability.binding).map_err(|missing| {
            let list: Vec<_> = missing.iter().map(ToString::to_string).collect();
            Ending::denied("not-granted", list.join("\n"))
        })?;

        let past = self.past(&ask.capability, ask.runs, &rights)?;
        let (chosen, left_out) = self.chosen(ask, &capability, &past, &rights)?;
        let mut observed = observe::together(&chosen);
        observed.started = self.started(&capability, &chosen)?;
        let mut suggestion = suggest::suggest(&capability.binding, &capability.manifest, &observed)
            .map_err(|error| Ending::denied("suggest", error.to_string()))?;
        let written = suggest::rewrite(&text, &capability.binding, &suggestion.binding).ok_or_else(|| {
            Ending::denied("suggest", "the suggested binding cannot be written; please report it")
        })?;

        let denied = suggest::would_deny(
            &capability.binding,
            &suggestion.binding,
            &capability.manifest,
            &observe::together(&past.iter().collect::<Vec<_>>()),
        );
        let file = self.in_repository(&binding_file(name));
        suggestion.unknown.extend(observe::unknown(&chosen));
        Ok(Suggested {
            capability: name.clone(),
            patch: patch(&file, &text, &written.text),
            file,
            is_anew: written.is_anew,
            comments: written.comments,
            from: chosen.iter().map(|run| run.key.clone()).collect(),
            left_out,
            suggestion,
            past: past.len(),
            denied,
        })
    }

    /// The last runs of a capability, whatever became of them, oldest first.
    fn past(&self, capability: &str, runs: u32, rights: &Rights) -> Result<Vec<Run>, Ending> {
        let filter = ReceiptFilter {
            capability: Some(capability.to_owned()),
            status: None,
            limit: runs.min(MOST_RUNS),
        };
        let mut room = observe::MOST_BYTES;
        let mut past = Vec::new();
        for row in self.ledger().receipts(&filter)? {
            past.push(self.observe(&self.ledger().receipt(&row.run)?, rights, &mut room)?);
        }
        past.reverse();
        Ok(past)
    }

    /// The runs to learn from, and why others are none.
    fn chosen<'a>(
        &self,
        ask: &Ask,
        capability: &Capability,
        past: &'a [Run],
        rights: &Rights,
    ) -> Result<Chosen<'a>, Ending> {
        let mut candidates = Vec::new();
        let mut room = observe::MOST_BYTES;
        for key in ask.from.iter().take(MOST_RUNS as usize) {
            let stored: StoredReceipt = self.ledger().receipt(key)?;
            let (run, of) = (&stored.summary.run, &stored.summary.capability);
            if *of != ask.capability {
                return Err(Ending::usage(format!("{run} is a run of {of}, and not of {}", ask.capability)));
            }
            if let Some(known) = past.iter().find(|known| known.key == *run) {
                candidates.push(Cow::Borrowed(known));
            } else {
                candidates.push(Cow::Owned(self.observe(&stored, rights, &mut room)?));
            }
        }
        if ask.from.is_empty() {
            candidates = past.iter().map(Cow::Borrowed).collect();
        }
        let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
        candidates.retain(|run| match unfit(run, capability) {
            Some(why) => {
                *left_out.entry(why).or_default() += 1;
                false
            }
            None => true,
        });
        if candidates.is_empty() {
            let why: Vec<_> = left_out.iter().map(|(why, count)| format!("{count}: {why}")).collect();
            let why = if why.is_empty() { "it has none".to_owned() } else { why.join("; ") };
            return Err(Ending::usage(format!(
                "there is no run of {} to learn from: {why}\n  run it as it is meant to be used, then ask again",
                ask.capability
            )));
        }
        Ok((candidates, left_out))
    }

    /// The capabilities that the host started on the word of these runs.
    fn started(&self, capability: &Capability, chosen: &[Cow<'_, Run>]) -> Result<BTreeSet<String>, Ending> {
        let mut started = BTreeSet::new();
        for name in &capability.binding.starts {
            let filter = ReceiptFilter { capability: Some(name.clone()), status: None, limit: MOST_STARTED };
            for row in self.ledger().receipts(&filter)? {
                let stored = self.ledger().receipt(&row.run)?;
                let by = self.read_receipt(&stored)?.run.started_by;
                if by.is_some_and(|by| chosen.iter().any(|run| run.key == by)) {
                    started.insert(name.clone());
                    break;
                }
            }
        }
        Ok(started)
    }

    /// A file of the workspace as the repository around it knows it, or else the folder that the workspace lies in.
    fn in_repository(&self, relative: &str) -> String {
        let root = self.workspace().root();
        let repository = root.ancestors().find(|folder| folder.join(".git").exists());
        let folder = repository.or(root.parent()).unwrap_or(Path::new(""));
        let path = root.strip_prefix(folder).unwrap_or(root).join(relative);
        path.to_string_lossy().into_owned()
    }
}

/// Why a run is none to learn from.
fn unfit(run: &Run, capability: &Capability) -> Option<String> {
    if !matches!(run.status, Status::Done | Status::Planned | Status::Partial) {
        return Some(format!("ended as {}", run.status.word()));
    }
    match &run.component {
        Some(component) if *component == capability.component_digest.hex() => None,
        Some(_) => Some("ran another component than the one that is pinned now".to_owned()),
        None => Some("ran no component".to_owned()),
    }
}

/// The difference as `patch -p1` and `git apply` take it.
fn patch(file: &str, old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let diff = TextDiff::from_lines(old, new);
    Some(diff.unified_diff().context_radius(3).header(&format!("a/{file}"), &format!("b/{file}")).to_string())
}
