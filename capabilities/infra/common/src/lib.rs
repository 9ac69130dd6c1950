//! What the infrastructure capabilities share. For virtual machines: the three contracts that say which there are to be,
//! the checks of what was agreed in them, and how to speak to a Proxmox VE server. For the four systems that everything
//! else rests on: the contracts of their baseline and of what is done when one fails, and the form in which they are
//! reported on and recorded.
//!
//! A library and no component. Each capability takes what it calls, and imports no more than that.

pub mod agreed;
pub mod baseline;
pub mod checks;
mod form;
pub mod network;
pub mod placement;
pub mod probe;
pub mod profile;
pub mod pve;
pub mod record;
pub mod recovery;
pub mod relocation;
pub mod smoke;
pub mod system;

pub use form::Version;
