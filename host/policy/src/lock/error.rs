//! What can be wrong with a lock, or with a file that it names.

use super::MAX_FILE;
use crate::approvers::SignatureError;

/// Why a lock, or a file that it should name, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// More bytes than are read or written.
    #[error("the lock has {bytes} bytes; at most {MAX_FILE} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// The armoured signature is not there, or not whole.
    #[error("{file}: the signature after the body is missing or cut off; run `ops pin`")]
    NoSignature {
        /// The lock file.
        file: String,
    },
    /// Something follows the signature.
    #[error("{file}: there is text after the signature; run `ops pin`")]
    Trailing {
        /// The lock file.
        file: String,
    },
    /// The body is not a lock.
    #[error("{file}: {message}")]
    Malformed {
        /// The lock file.
        file: String,
        /// What is wrong, and where.
        message: String,
    },
    /// The signature does not count.
    #[error("the lock's signature is refused: {0}")]
    Signature(#[from] SignatureError),
    /// A file is not in the lock.
    #[error("`{path}` is not in the lock; look at it, then run `ops pin`")]
    NotListed {
        /// The path, relative to the workspace.
        path: String,
    },
    /// A file is not the one that was pinned.
    #[error(
        "`{path}` has changed: it is {found}, the lock says {pinned}; look at the change, then run `ops pin`"
    )]
    Changed {
        /// The path, relative to the workspace.
        path: String,
        /// The first digits of its digest.
        found: String,
        /// The first digits of the pinned digest.
        pinned: String,
    },
    /// An older lock was put in place of a newer one.
    #[error("the lock is number {counter}, but this host has seen number {seen}: an older one was put back")]
    Older {
        /// Its counter.
        counter: u64,
        /// The newest counter that this host has seen.
        seen: u64,
    },
    /// Two locks have the same counter.
    #[error(
        "there are two locks with number {counter}: this one is {found}, this host has seen {seen}; run `ops pin` \
         for a new number"
    )]
    Forked {
        /// The counter of both.
        counter: u64,
        /// The first digits of this file's digest.
        found: String,
        /// The first digits of the digest that this host has seen.
        seen: String,
    },
}
