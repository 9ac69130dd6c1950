//! Helpers of the whole-program tests: a scratch workspace, the program `ops` as a person calls it, and a small
//! server on loopback that writes down what it is sent.
//!
//! Nothing here looks inside the host: tests see what a user sees, that is exit codes, both streams, files, and the
//! receipts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "this crate holds tests only; a panic is how a test fails"
)]

pub mod agent;
pub mod fuzz;
pub mod peak;
pub mod replayed;
pub mod scratch;
pub mod server;
pub mod skip;
pub mod tls;
pub mod torture;
pub mod users;
