//! Making a review, and putting one into the lock.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use ops_policy::binding::Binding;
use ops_policy::diff;
use ops_policy::digest::Digest;
use ops_policy::lock::Lock;
use ops_policy::review::{Review, SignedReview, State, Subject};
use ops_policy::visible::visible;

use crate::pin;
use crate::pinned::{Pinned, binding_file};
use crate::runner::Runner;
use crate::workspace::{APPROVERS, BINDINGS};

/// Plans, and runs, that are named at most as left behind.
const MOST_LEFT_BEHIND: u32 = 100;

/// A review that is ready to be signed.
#[derive(Debug)]
pub struct Reviewing {
    review: Review,
    /// What is reviewed, for people.
    pub shown: String,
}

/// A lock with a review in it, ready to be signed.
#[derive(Debug)]
pub struct Adding {
    lock: Lock,
    /// The lock that was in force when it was made.
    base: Digest,
    texts: BTreeMap<String, String>,
    /// What stays behind with the old lock, for people; empty where nothing does.
    pub left_behind: String,
}

impl Runner {
    /// What a reviewer of a capability is to look at and sign, good for `lifetime` from now.
    ///
    /// # Errors
    ///
    /// For people: there is no such capability, the workspace is not what the lock covers, or a lifetime that no review has.
    pub fn review(&self, name: &str, lifetime: Duration) -> Result<Reviewing, String> {
        let now = Timestamp::now();
        if !self.is_bound(name) {
            return Err(self.unknown_capability(name).message);
        }
        let pinned = self.covered(now)?;
        let lock = pinned.whole().map_err(|refusal| refusal.message)?;
        let subject = lock.subject(name, &binding_file(name)).ok_or_else(|| {
            format!("{name} is not in the lock\n  a review is of what the lock covers: `ops pin` first")
        })?;
        let review = Review::new(subject, now, lifetime).map_err(|error| error.to_string())?;
        let shown = self.shown(&pinned, &lock, &review, now)?;
        Ok(Reviewing { review, shown })
    }

    /// A lock that differs from the one in force in this review alone.
    ///
    /// # Errors
    ///
    /// For people: the workspace is not what the lock covers, or the review does not count for it.
    pub fn add_review(&self, signed: &SignedReview) -> Result<Adding, String> {
        let now = Timestamp::now();
        let pinned = self.covered(now)?;
        let name = &signed.review.subject.capability;
        let mut lock = pinned.whole().map_err(|refusal| refusal.message)?;
        let subject = lock.subject(name, &binding_file(name)).ok_or_else(|| {
            format!("the review is of {}, which is not in the lock\n  `ops pin` adds it", visible(name))
        })?;
        match signed.state(&subject, &pinned.approvers, now) {
            State::Valid(_) => {}
            State::Outdated(_, differs) => {
                let differs: Vec<_> = differs.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "the review of {name} is not of what is pinned: {}\n  have it reviewed as it is now",
                    differs.join("; ")
                ));
            }
            State::Expired(_) => {
                let Review { at, expires, .. } = &signed.review;
                return Err(format!("the review of {name} is good from {at} until {expires}, and not now"));
            }
            State::Unsigned(error) => return Err(not_a_reviewer(name, &error)),
        }
        newer(&signed.review, lock.reviews.get(name).map(|present| &present.review))?;
        lock.counter = lock.counter.saturating_add(1);
        lock.reviews.insert(name.clone(), signed.clone());
        let approvers = pinned.file(self.workspace(), APPROVERS).map_err(|refusal| refusal.message)?;
        Ok(Adding {
            lock,
            base: pinned.lock.digest,
            texts: [(APPROVERS.to_owned(), String::from_utf8_lossy(&approvers).into_owned())].into(),
            left_behind: self.left_behind()?,
        })
    }

    /// The lock in force, where it holds and everything in the workspace is what it covers.
    fn covered(&self, now: Timestamp) -> Result<Pinned, String> {
        let pinned = Pinned::load(self.workspace(), now).map_err(|refusal| refusal.message)?;
        let first = |why: String| {
            format!("{why}\n  a review is of what the lock covers: look at that, and `ops pin` first")
        };
        let lock = &pinned.lock.lock;
        for path in lock.files.keys() {
            pinned.file(self.workspace(), path).map_err(|refusal| first(refusal.message))?;
        }
        for path in pinned.components().map_err(|refusal| refusal.message)?.into_keys() {
            pinned.component_bytes(self.workspace(), path).map_err(|refusal| first(refusal.message))?;
        }
        for name in self.workspace().list(BINDINGS, ".yaml").map_err(|error| error.to_string())? {
            let path = format!("{BINDINGS}/{name}");
            if !lock.files.contains_key(&path) {
                return Err(first(format!("{} is not in the lock", self.workspace().shown(&path))));
            }
        }
        Ok(pinned)
    }

    /// What is reviewed: rights in sentences, imports one by one, every digest, and the review before it.
    fn shown(&self, pinned: &Pinned, lock: &Lock, review: &Review, now: Timestamp) -> Result<String, String> {
        let subject = &review.subject;
        let mut text = self.describe(&subject.capability).map_err(|ending| ending.message)?.rights();
        text.push_str("  imports\n");
        for import in &subject.imports {
            text.push_str(&format!("    {}\n", visible(import)));
        }
        for (what, digest) in [
            ("component", subject.component),
            ("interface", subject.interface),
            ("manifest ", subject.manifest),
            ("binding  ", subject.binding),
        ] {
            text.push_str(&format!("  {what} {digest}\n"));
        }
        let before = lock.component_of(&subject.capability);
        match before.and_then(|component| pinned.review(&subject.capability, component, now)) {
            None => text.push_str("  it was never reviewed before\n"),
            Some(view) => {
                text.push_str(&format!("  the review before it: {}\n", view.text()));
                text.push_str(&self.since(pinned, subject));
            }
        }
        text.push_str(&format!("  good until {}\n", review.expires));
        Ok(text)
    }

    /// What the binding grants now and did not when it was reviewed, or the other way round; nothing where this host has not
    /// kept that binding.
    fn since(&self, pinned: &Pinned, subject: &Subject) -> String {
        let before = pinned.lock.lock.reviews.get(&subject.capability).map(|signed| &signed.review.subject);
        let before = before.filter(|before| before.binding != subject.binding);
        let parsed = |bytes: &[u8]| Binding::parse("the binding", bytes).ok();
        let old = before.and_then(|before| pin::kept(self.workspace(), &before.binding));
        let old = old.and_then(|text| parsed(text.as_bytes()));
        let new = pinned.file(self.workspace(), &binding_file(&subject.capability)).ok();
        let (Some(old), Some(new)) = (old, new.and_then(|bytes| parsed(&bytes))) else {
            return String::new();
        };
        let mut changes = diff::bindings(&old, &new);
        diff::sort(&mut changes);
        let line = |change: &diff::Change| format!("    {:9}  {}\n", change.class.as_str(), change.means);
        changes.iter().map(line).collect()
    }

    /// Plans and runs that rest on the lock in force and are of no use under another.
    fn left_behind(&self) -> Result<String, String> {
        let plans = self.plans().map_err(|ending| ending.message)?;
        let most = usize::try_from(MOST_LEFT_BEHIND).unwrap_or(usize::MAX);
        let waiting = plans.iter().filter(|row| row.status == "waiting" || row.status == "approved");
        let runs = self.runs(true, MOST_LEFT_BEHIND).map_err(|ending| ending.message)?;
        let plans = waiting
            .take(most)
            .map(|row| format!("  plan {} of {} must be made again\n", row.id, row.capability));
        let runs = runs.iter().map(|run| format!("  {} can no longer be resumed, only given up\n", run.key));
        Ok(plans.chain(runs).collect())
    }
}

impl Reviewing {
    /// The text to sign, namespace [`ops_policy::review::NAMESPACE`].
    pub fn text(&self) -> String {
        self.review.text()
    }

    /// The review with its signature, if that is by somebody who may review.
    ///
    /// # Errors
    ///
    /// For people: it is not.
    pub fn signed(&self, runner: &Runner, signature: String) -> Result<SignedReview, String> {
        let now = Timestamp::now();
        let signed = SignedReview { review: self.review.clone(), signature };
        let pinned = Pinned::load(runner.workspace(), now).map_err(|refusal| refusal.message)?;
        let name = &self.review.subject.capability;
        signed.verify(&pinned.approvers, now).map_err(|error| not_a_reviewer(name, &error))?;
        Ok(signed)
    }
}

impl Adding {
    /// The number of the new lock.
    pub fn counter(&self) -> u64 {
        self.lock.counter
    }

    /// The bytes to sign, namespace `ops-lock`.
    ///
    /// # Errors
    ///
    /// The lock is too large.
    pub fn body(&self) -> Result<Vec<u8>, String> {
        self.lock.body().map_err(|error| error.to_string())
    }

    /// Writes the lock, if the signature is by an approver of locks. Returns who that is.
    ///
    /// # Errors
    ///
    /// For people: it is not, somebody else has pinned meanwhile, or the lock cannot be written.
    pub fn commit(&self, runner: &Runner, signature: &str) -> Result<String, String> {
        let workspace = runner.workspace();
        let pinned = Pinned::load(workspace, Timestamp::now()).map_err(|refusal| refusal.message)?;
        if pinned.lock.digest != self.base {
            return Err(
                "the lock is not written: another one was put in place meanwhile; begin again".to_owned()
            );
        }
        pin::put(workspace, &self.lock, signature, &self.texts)
    }
}

/// Refuses a review that is older than the one it would replace: somebody has looked since, perhaps for a shorter time
/// or in another's place, and whoever kept an old file must not undo that.
fn newer(review: &Review, present: Option<&Review>) -> Result<(), String> {
    match present {
        Some(present) if review.at < present.at => Err(format!(
            "the review of {} is older than the one in the lock: it is of {}, and that one of {}\n  have it reviewed anew",
            visible(&review.subject.capability),
            review.at,
            present.at
        )),
        _ => Ok(()),
    }
}

fn not_a_reviewer(name: &str, error: &dyn std::fmt::Display) -> String {
    format!(
        "the review of {} does not count: {error}\n  a reviewer's line of the approvers file has `ops-review` among its \
         namespaces, and is pinned",
        visible(name)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn review(at: i64, days: u64) -> Review {
        let digest = Digest::of(b"x");
        let subject = Subject {
            workspace: "demo".into(),
            capability: "a.b".into(),
            component: digest,
            interface: digest,
            manifest: digest,
            binding: digest,
            imports: BTreeSet::new(),
        };
        let lifetime = Duration::from_secs(days * 24 * 3600);
        Review::new(subject, Timestamp::from_second(at).unwrap(), lifetime).unwrap()
    }

    #[test]
    fn an_older_review_replaces_no_newer_one() {
        let present = review(1_000, 30);
        for at in [1_000, 1_001] {
            assert_eq!(newer(&review(at, 1), Some(&present)), Ok(()));
        }
        let refused = newer(&review(999, 366), Some(&present)).unwrap_err();
        assert!(refused.contains("older than the one in the lock"), "{refused}");
        assert_eq!(newer(&review(999, 366), None), Ok(()));
    }
}
