//! What the capabilities that run gates share: which gates a scope has ([`scope`]), how they are run ([`run`]), and what
//! may be said of them afterwards ([`conclusion`]). A library and no component.

pub mod conclusion;
pub mod run;
pub mod scope;

pub use conclusion::{Output, Row, Seen};
pub use scope::Scope;

use gates_common::Finding;
use gates_common::profiles::{self, Profiles};
use gates_common::registry::{self, Registry};
use gates_common::topology::{self, Topology};
use ops_guest::{Ctx, Failure};

/// The contracts that say which gates there are and where they belong.
pub struct Gates {
    /// The gates.
    pub registry: Registry,
    /// Their domains.
    pub topology: Topology,
}

impl Gates {
    /// Reads both contracts.
    ///
    /// # Errors
    /// `NotGranted` where the binding grants them not, `Failed` with file and line where one cannot be read.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        let registry = Registry::parse(&ctx.contract(registry::NAME)?).map_err(|found| unreadable(&found))?;
        let topology = Topology::parse(&ctx.contract(topology::NAME)?).map_err(|found| unreadable(&found))?;
        Ok(Self { registry, topology })
    }
}

/// Reads the packs.
///
/// # Errors
/// As [`Gates::of`].
pub fn packs(ctx: &Ctx) -> Result<Profiles, Failure> {
    Profiles::parse(&ctx.contract(profiles::NAME)?).map_err(|found| unreadable(&found))
}

fn unreadable(found: &Finding) -> Failure {
    Failure::failed(format!("{}, line {}: {}; {}", found.file, found.line, found.what, found.fix))
}
