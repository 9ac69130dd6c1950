//! What can be wrong with a review before anybody asks who signed it.

use super::{LONGEST, MAX_IMPORTS};

/// Why a review is refused as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The workspace's or the capability's name is none.
    #[error("a review names a workspace and a capability: {0}")]
    Name(String),
    /// More imports than a component has.
    #[error("a review names at most {MAX_IMPORTS} imports")]
    Imports,
    /// An import's name is no line of text.
    #[error("a review names the import `{0}`, which is empty, too long, or has characters that nobody sees")]
    Import(String),
    /// The times are out of order, too far apart, or not in whole seconds.
    #[error(
        "a review is good for at least a second and at most {} days, in whole seconds",
        LONGEST.as_secs() / (24 * 3600)
    )]
    Times,
    /// The signature is longer than one can be.
    #[error("a review's signature is too long to be one")]
    Signature,
    /// A file that is no review.
    #[error("{file}: not a signed review: {why}")]
    File {
        /// The file, as the caller named it.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}
