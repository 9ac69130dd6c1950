//! `ops diff`.

use clap::Args;
use ops_policy::diff::Class;

use super::Json;

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The old version: a component, a binding, an ops.yaml, a list of approvers, a lock, a workspace's folder, or a git
    /// revision [default: the lock in force].
    #[arg(value_name = "OLD")]
    pub(crate) old: Option<String>,
    /// The new version, of the same kind; locks, folders and revisions can be compared with each other [default: the
    /// workspace as it is].
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<String>,
    /// Exit 1 if there is a difference as grave as this.
    #[arg(long, value_name = "CLASS")]
    pub(crate) fail_on: Option<Gravity>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// From which class on a difference counts, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Gravity {
    /// Something is possible that was not.
    Widened,
    /// Or the same is called otherwise, or something is different and neither more nor less.
    Moved,
    /// Or something is no longer possible.
    Narrowed,
    /// Or a text differs, and no right.
    Unchanged,
}

impl Gravity {
    /// The class from which on a difference counts.
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Widened => Class::Widened,
            Self::Moved => Class::Moved,
            Self::Narrowed => Class::Narrowed,
            Self::Unchanged => Class::Unchanged,
        }
    }
}
