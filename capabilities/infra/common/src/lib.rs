//! What the infrastructure capabilities share: the three contracts that say which virtual machines there are to be, the
//! checks of what was agreed in them, and how to speak to a Proxmox VE server.
//!
//! A library and no component. Each capability takes what it calls, and imports no more than that.

pub mod agreed;
pub mod checks;
mod form;
pub mod network;
pub mod placement;
pub mod profile;
pub mod pve;
pub mod relocation;

pub use form::Version;
