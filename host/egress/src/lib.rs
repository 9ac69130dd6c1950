//! The one way out: resolves, checks, dials, encrypts, adds the credential and sends.
//!
//! Nothing else in `ops` opens a connection. What may be sent was decided before (`ops_policy` matched a rule and
//! rebuilt the request); this crate sees to it that the request arrives at the origin that the binding names and
//! nowhere else, that the credential goes to that origin only, and that the answer is bounded and holds no secret.
//!
//! One request takes these steps, each in the module of its name:
//!
//! 1. [`wire`] rebuilds the request; a malformed one ends here, before any name is looked up;
//! 2. [`resolve`] looks the name up, once;
//! 3. [`address`] drops every address that the binding does not allow;
//! 4. [`dial`] connects to exactly one of the addresses that are left;
//! 5. [`tls`] checks the server's certificate for the origin's host;
//! 6. [`send`] writes the request, reads the answer within its limits and scrubs it.
//!
//! There is no pool, no redirect, no proxy, no retry and no second credential: one call of [`send::Egress::send`]
//! is at most one connection and one request.

pub mod address;
pub mod dial;
mod exchange;
mod meter;
pub mod resolve;
pub mod scrub;
pub mod secret;
pub mod send;
pub mod tls;
pub mod wire;
