//! What happened: statements, signatures, the ledger, and how a receipt is checked.
//!
//! This is a lowest layer: it imports nothing of ours and knows of no engine, binding or network. The runner tells
//! it what a run was, was allowed, did and returned; it makes that a signed [`receipt::Receipt`], keeps it in an
//! append-only [`store::Ledger`] that is a transparency [`log`], writes it out for people ([`export`], [`markdown`]) and
//! checks it for anybody ([`verify`]).
//!
//! What a receipt does not prove: a host that holds the key can lie about what it observed.

mod escape;
mod private;
mod wire;

pub mod audit;
pub mod bundle;
pub mod content;
pub mod digest;
pub mod dsse;
pub mod evidence;
pub mod export;
pub mod failpoint;
pub mod key;
pub mod log;
pub mod markdown;
pub mod receipt;
pub mod runlock;
pub mod statement;
pub mod store;
pub mod verify;

pub use private::FileError;

/// A folder as the host's state folder is: mode 0700.
#[cfg(test)]
fn scratch() -> tempfile::TempDir {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().unwrap()
}
