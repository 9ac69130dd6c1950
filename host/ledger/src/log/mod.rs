//! The ledger as a transparency log: an RFC 6962 tree over its entries, in the C2SP formats.
//!
//! Guards against a history that is rewritten unseen. Each entry is a [`leaf`]; the tree over all leaves has one
//! root, which a signed [`checkpoint`] states; a [`proof`] shows that an entry is under such a root, and two
//! checkpoints are compared by their trees. [`tiles`] is the form in which the log is handed on.
//!
//! A log that nobody else has a checkpoint of can still be cut off at its end, or replaced as a whole by who holds
//! its keys. So checkpoints are made to be kept elsewhere.

pub mod checkpoint;
pub mod key;
pub mod leaf;
pub mod proof;
pub mod tiles;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{LogKey, LogVerifier};
pub use leaf::{Kind, Leaf};
