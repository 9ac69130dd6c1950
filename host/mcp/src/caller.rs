//! Who calls, and which capabilities that is for.

use crate::stub::Role;

use crate::only::Only;

/// Who calls, once that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or the user's; it goes into receipts.
    pub name: String,
    /// What the caller may ask for.
    pub role: Role,
    /// Which capabilities the caller sees.
    pub only: Only,
}
