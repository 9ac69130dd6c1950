//! What is allowed: bindings, rules, locks, plans and approvers, as pure values and functions.
//!
//! Nothing here does I/O, waits, or knows of an engine: bytes come in, a value or a refusal comes out. So every
//! decision of the host can be tested, fuzzed and read without running anything.

pub mod address;
pub mod approval;
pub mod approvers;
pub mod binding;
pub mod body;
pub mod decide;
pub mod diff;
pub mod digest;
pub mod explain;
pub mod finding;
pub mod grant_path;
mod header;
pub mod interface;
mod json;
pub mod limits;
pub mod lock;
pub mod manifest;
pub mod message;
pub mod name;
pub mod origin;
pub mod path;
mod pattern;
pub mod plan;
mod query;
pub mod review;
pub mod right;
pub mod rights;
pub mod rule;
pub mod scalar;
pub mod service;
pub mod settings;
pub mod sign;
pub mod suggest;
pub mod target_lock;
pub mod visible;
pub mod yaml;
