//! What the communications capabilities share: the contract of the stack, and how to speak to its mail server.
//!
//! A library and no component. Each capability takes what it calls, and imports no more than that.

mod address;
pub mod contract;
pub mod jmap;

pub use address::address;

use ops_guest::Ctx;
use schemars::JsonSchema;
use serde::Serialize;

/// Which way a capability goes. The binding chooses it: live where it maps the service `mail`, else simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// From the workspace's own files; no server is asked.
    Simulation,
    /// To the mail server.
    Live,
}

impl Lane {
    /// The lane of this run.
    pub fn of(ctx: &Ctx) -> Self {
        if ctx.is_bound(jmap::SERVICE) { Self::Live } else { Self::Simulation }
    }
}
