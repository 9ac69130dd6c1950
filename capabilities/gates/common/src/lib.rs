//! What gates and those who run them share.
//!
//! The four contracts that say which gates there are ([`registry`]), where they belong ([`topology`]), which are run
//! together ([`profiles`]) and what documents a domain has ([`impact`]); and what a gate answers ([`report`]). A library
//! and no component.

mod file;
mod form;
pub mod impact;
pub mod profiles;
pub mod registry;
pub mod report;
pub mod topology;

pub use file::{At, line_of, read};
pub use form::{Version, Words};
pub use report::{Finding, Look, Report, Verdict};
