//! A review: a person's signed word that they have looked at one capability as it is pinned.
//!
//! What is signed is a short text ([`Review::text`]) that names the component, its interface and imports, its manifest
//! and the binding, by digest; the lock keeps the review with its signature, so that nobody has to be asked again who
//! looked at what. A review says nothing of `ops.yaml`, of contracts or of certificates: the lock covers those.
//!
//! Whether a review counts is asked in this order ([`SignedReview::state`]): the signature, by a key that the
//! approvers of this moment let sign reviews; what it is about, against what is pinned now; the time. A review that
//! nobody who counts has signed is never said to be about anything.

mod error;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::approvers::{Approver, Approvers, MAX_SIGNATURE, SignatureError};
use crate::digest::Digest;
use crate::name;
use crate::visible::{clip, visible};

pub use error::ReviewError;

/// The namespace of a review's signature.
pub const NAMESPACE: &str = "ops-review";
/// The longest that a review is good: a leap year of 366 days.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// Length of a file with one signed review, in bytes.
pub const MAX_FILE: usize = 256 * 1024;
/// Imports of one component.
const MAX_IMPORTS: usize = 1024;
/// Length of one import's name, in bytes.
const MAX_IMPORT: usize = 256;
/// How far the clock of who signed may be ahead of the one that checks.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What a review is about: one capability, as the lock has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The workspace's name, so that a review made in one is not one in another.
    pub workspace: String,
    /// The capability's name.
    pub capability: String,
    /// Digest of the component's bytes.
    pub component: Digest,
    /// Digest of the component's whole interface, with types.
    pub interface: Digest,
    /// Digest of the manifest's canonical JSON.
    pub manifest: Digest,
    /// Digest of the binding's bytes.
    pub binding: Digest,
    /// The interfaces that the component imports, with their versions.
    pub imports: BTreeSet<String>,
}

/// What a reviewer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// What was looked at.
    pub subject: Subject,
    /// When, in whole seconds.
    #[serde(with = "time")]
    pub at: Timestamp,
    /// Until when that is good, in whole seconds; at most [`LONGEST`] after `at`.
    #[serde(with = "time")]
    pub expires: Timestamp,
}

/// A review and the signature over its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReview {
    /// What it says.
    pub review: Review,
    /// The armoured SSH signature over [`Review::text`], namespace [`NAMESPACE`].
    pub signature: String,
}

/// Whether a review counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Valid(Approver),
    /// Something else is pinned now than what was looked at.
    Outdated(Approver, Vec<Difference>),
    /// It is not good any more, or not yet.
    Expired(Approver),
    /// Nobody who may review now has signed it.
    Unsigned(SignatureError),
}

/// One thing that is not as it was when it was looked at. Its text is a few words without hidden characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The workspace has another name.
    Workspace,
    /// The component has other bytes.
    Component {
        /// Those that were looked at.
        from: Digest,
        /// Those that are pinned.
        to: Digest,
    },
    /// The component imports other interfaces.
    Imports {
        /// What it did not import.
        added: Vec<String>,
        /// What it imports no more.
        gone: Vec<String>,
    },
    /// The component says something else of itself.
    Manifest,
    /// The binding has other bytes.
    Binding {
        /// Those that were looked at.
        from: Digest,
        /// Those that are pinned.
        to: Digest,
    },
}

impl Review {
    /// A review of `subject` that begins now and is good for `lifetime`.
    ///
    /// # Errors
    ///
    /// What [`Review::check`] refuses; a lifetime of less than a second or more than [`LONGEST`].
    pub fn new(subject: Subject, now: Timestamp, lifetime: Duration) -> Result<Self, ReviewError> {
        let at = Timestamp::from_second(now.as_second()).map_err(|_| ReviewError::Times)?;
        let lifetime = i64::try_from(lifetime.as_secs())
            .map(SignedDuration::from_secs)
            .map_err(|_| ReviewError::Times)?;
        let expires = at.checked_add(lifetime).map_err(|_| ReviewError::Times)?;
        let review = Self { subject, at, expires };
        review.check()?;
        Ok(review)
    }

    /// The text that is signed: what was looked at, by name and digest, and until when that is good.
    pub fn text(&self) -> String {
        let Subject { workspace, capability, component, interface, manifest, binding, imports } =
            &self.subject;
        let mut text = format!(
            "ops-review v1\nworkspace {workspace}\ncapability {capability}\ncomponent {component}\n\
             interface {interface}\nmanifest {manifest}\nbinding {binding}\n"
        );
        for import in imports {
            let _ = writeln!(text, "import {import}");
        }
        let _ = write!(text, "reviewed at {}\ngood until {}\n", self.at, self.expires);
        text
    }

    /// Whether each value of it stands on a line of its text by itself, and its times are in order.
    ///
    /// # Errors
    ///
    /// The first that is not so.
    pub fn check(&self) -> Result<(), ReviewError> {
        let subject = &self.subject;
        name::check_word(&subject.workspace).map_err(|why| ReviewError::Name(why.to_string()))?;
        name::check(&subject.capability).map_err(|why| ReviewError::Name(why.to_string()))?;
        if subject.imports.len() > MAX_IMPORTS {
            return Err(ReviewError::Imports);
        }
        for import in &subject.imports {
            if import.is_empty() || import.len() > MAX_IMPORT || visible(import) != *import {
                return Err(ReviewError::Import(clip(&visible(import), 80)));
            }
        }
        let whole = |time: Timestamp| time.subsec_nanosecond() == 0;
        let lifetime = self.expires.duration_since(self.at);
        let longest = SignedDuration::try_from(LONGEST).unwrap_or(SignedDuration::MAX);
        if !whole(self.at) || !whole(self.expires) || !lifetime.is_positive() || lifetime > longest {
            return Err(ReviewError::Times);
        }
        Ok(())
    }
}

impl SignedReview {
    /// Reads the file that `ops review sign --to FILE` writes. `file` is its name for messages.
    ///
    /// # Errors
    ///
    /// It is too large, is not the text that [`SignedReview::render`] writes, or says what no review may say.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ReviewError> {
        let malformed = |why: String| ReviewError::File { file: file.to_owned(), why };
        if bytes.len() > MAX_FILE {
            return Err(malformed(format!("a review has at most {MAX_FILE} bytes")));
        }
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| malformed(clip(&visible(&error.to_string()), 300)))?;
        if read.render()? != bytes {
            return Err(malformed("it is not as `ops review sign --to FILE` writes it".to_owned()));
        }
        Ok(read)
    }

    /// The file: pretty JSON that ends in a line feed.
    ///
    /// # Errors
    ///
    /// What [`SignedReview::check`] refuses.
    pub fn render(&self) -> Result<Vec<u8>, ReviewError> {
        self.check()?;
        let mut file = serde_json::to_vec_pretty(self)
            .map_err(|error| ReviewError::File { file: "the review".to_owned(), why: error.to_string() })?;
        file.push(b'\n');
        Ok(file)
    }

    /// Whether it is well made; its signature is not looked at.
    ///
    /// # Errors
    ///
    /// What [`Review::check`] refuses, and a signature that is too long.
    pub fn check(&self) -> Result<(), ReviewError> {
        if self.signature.len() > MAX_SIGNATURE {
            return Err(ReviewError::Signature);
        }
        self.review.check()
    }

    /// Who signed it, if that is somebody who may review at the time `now`.
    ///
    /// # Errors
    ///
    /// A signature that does not count, and why.
    pub fn verify(&self, approvers: &Approvers, now: Timestamp) -> Result<Approver, SignatureError> {
        approvers.verify(NAMESPACE, self.review.text().as_bytes(), &self.signature, now)
    }

    /// Whether it counts at the time `now` for what is pinned.
    pub fn state(&self, pinned: &Subject, approvers: &Approvers, now: Timestamp) -> State {
        let reviewer = match self.verify(approvers, now) {
            Ok(reviewer) => reviewer,
            Err(error) => return State::Unsigned(error),
        };
        let differs = differences(&self.review.subject, pinned);
        if !differs.is_empty() {
            return State::Outdated(reviewer, differs);
        }
        let early = self.review.at.duration_since(now) > SKEW;
        if early || self.review.expires <= now {
            return State::Expired(reviewer);
        }
        State::Valid(reviewer)
    }
}

impl State {
    /// The word for it: `valid`, `outdated`, `expired` or `unsigned`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::Outdated(..) => "outdated",
            Self::Expired(_) => "expired",
            Self::Unsigned(_) => "unsigned",
        }
    }

    /// Who reviewed, where somebody who counts did.
    pub fn reviewer(&self) -> Option<&Approver> {
        match self {
            Self::Valid(reviewer) | Self::Outdated(reviewer, _) | Self::Expired(reviewer) => Some(reviewer),
            Self::Unsigned(_) => None,
        }
    }
}

/// What is pinned now and was not looked at. The interface's digest follows from the component's, and from the
/// imports; where only it differs, that is another component.
pub fn differences(reviewed: &Subject, pinned: &Subject) -> Vec<Difference> {
    let mut found = Vec::new();
    // A capability of another name is another workspace's, as the lock keeps reviews by name.
    if reviewed.workspace != pinned.workspace || reviewed.capability != pinned.capability {
        found.push(Difference::Workspace);
    }
    if reviewed.component != pinned.component || reviewed.interface != pinned.interface {
        found.push(Difference::Component { from: reviewed.component, to: pinned.component });
    }
    if reviewed.imports != pinned.imports {
        let without =
            |all: &BTreeSet<String>, known: &BTreeSet<String>| all.difference(known).cloned().collect();
        found.push(Difference::Imports {
            added: without(&pinned.imports, &reviewed.imports),
            gone: without(&reviewed.imports, &pinned.imports),
        });
    }
    if reviewed.manifest != pinned.manifest {
        found.push(Difference::Manifest);
    }
    if reviewed.binding != pinned.binding {
        found.push(Difference::Binding { from: reviewed.binding, to: pinned.binding });
    }
    found
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace => f.write_str("it was made for another workspace or capability"),
            Self::Component { from, to } => {
                write!(f, "the component is {} and was {}", to.short(), from.short())
            }
            Self::Imports { added, gone } => {
                let list = |names: &[String]| visible(&names.join(", "));
                match (added.as_slice(), gone.as_slice()) {
                    (added, []) => write!(f, "it now imports {} too", list(added)),
                    ([], gone) => write!(f, "it no longer imports {}", list(gone)),
                    (added, gone) => {
                        write!(f, "it now imports {}, and no longer {}", list(added), list(gone))
                    }
                }
            }
            Self::Manifest => f.write_str("the manifest is another one"),
            Self::Binding { from, to } => {
                write!(f, "the binding is {} and was {}", to.short(), from.short())
            }
        }
    }
}
