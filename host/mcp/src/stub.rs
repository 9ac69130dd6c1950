//! Stands in for what the runner is about to offer; goes away with it.
/// Role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs of read-only capabilities.
    Reader,
    /// Plans as well.
    Proposer,
}
