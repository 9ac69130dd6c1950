//! What the capabilities of gaps, loops and handoffs share.
//!
//! The records are files that people write too. So they are read strictly, changed by the line, and what comes out is
//! read again and compared before it is staged: exactly the meant fields changed, or nothing does.

pub mod acceptance;
pub mod closing;
pub mod evidence;
pub mod finding;
pub mod gap;
pub mod gaps;
pub mod handoff;
pub mod scope;
pub mod surgery;
pub mod time;
pub mod word;
mod yaml;

pub use finding::Finding;
