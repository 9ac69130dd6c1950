//! What a run changed or would change, and who said yes to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::wire;

/// One change to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EffectRecord {
    /// Its place in the plan, from 1.
    #[serde(with = "wire::integer")]
    pub number: u64,
    /// The guest's own summary; untrusted text.
    pub summary: String,
    /// The service's name.
    pub service: String,
    /// The rule that allowed it; none for an effect on a service that is not bound.
    pub rule: Option<String>,
    /// HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Salted digest of the whole request.
    pub request_digest: Digest,
    /// What became of it.
    pub outcome: EffectOutcome,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The address that was dialled, `ip:port`.
    pub address: Option<String>,
    /// How it can be taken back.
    pub undo: UndoRecord,
}

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOutcome {
    /// Captured; nothing was sent.
    Planned,
    /// Sent and answered.
    Performed,
    /// Perhaps sent, and not answered: nobody knows.
    Started,
    /// In the plan, and surely not sent.
    NotSent,
    /// Captured on a service that is not bound, so that no rule was asked.
    Unchecked,
}

/// How an effect can be taken back, in the guest's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRecord {
    /// In which way.
    pub kind: UndoKind,
    /// The request in short, the step by hand, or why not; untrusted text.
    pub text: String,
}

/// In which way an effect can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoKind {
    /// By a request.
    Request,
    /// By a person.
    ByHand,
    /// Not at all.
    Impossible,
}

/// One change to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// The granted directory's name.
    pub directory: String,
    /// Path in it.
    pub path: String,
    /// What happens to the file.
    pub change: FileChange,
    /// Salted digest of what was there.
    pub before: Option<Digest>,
    /// Salted digest of what comes there.
    pub after: Option<Digest>,
    /// What became of the change.
    pub outcome: FileOutcome,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It is new.
    Create,
    /// It has other contents.
    Replace,
    /// It goes.
    Delete,
    /// A new folder.
    CreateDirectory,
    /// A folder that goes.
    DeleteDirectory,
}

/// What became of a change to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileOutcome {
    /// It stayed in the private copy.
    Staged,
    /// It is in place.
    Committed,
    /// Somebody else had changed the file, and their version was kept.
    Conflict,
}

/// Who said yes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Whether one was needed.
    pub required: bool,
    /// How it was given.
    pub how: ApprovalHow,
    /// Why nobody is asked, where the binding says `auto`.
    pub reason: Option<String>,
    /// Who gave it.
    pub approvers: Vec<Approver>,
}

/// How an approval was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalHow {
    /// Not at all.
    None,
    /// By the binding, for every plan.
    Auto,
    /// By a signature over the plan's hash.
    Signed,
    /// By typing the plan's short hash at a terminal.
    Confirmed,
    /// By a piped yes.
    Piped,
}

/// Somebody who approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name in the approvers' file, or a user name.
    pub principal: String,
    /// The key's fingerprint, where one signed.
    pub fingerprint: Option<String>,
    /// The key's type, where one signed.
    pub kind: Option<String>,
    /// Whether the key attests that somebody touched it.
    pub touch: bool,
    /// When the host took it.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
}

impl EffectOutcome {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Performed => "performed",
            Self::Started => "started",
            Self::NotSent => "not-sent",
            Self::Unchecked => "unchecked",
        }
    }
}

impl FileChange {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::CreateDirectory => "create-directory",
            Self::DeleteDirectory => "delete-directory",
        }
    }
}

impl FileOutcome {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Committed => "committed",
            Self::Conflict => "conflict",
        }
    }
}

impl ApprovalHow {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::None, Self::Auto, Self::Signed, Self::Confirmed, Self::Piped];

    /// The word in JSON, on screens and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Auto => "auto",
            Self::Signed => "signed",
            Self::Confirmed => "confirmed",
            Self::Piped => "piped",
        }
    }
}
