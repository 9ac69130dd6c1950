//! `D67`: generated files are what would be generated now.

use gates_common::workspace::Sync;
use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure};

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let sync = Sync::of(ctx)?;
    if !sync.files.is_empty() {
        look.saw(format!("{} generated files", sync.files.len()));
    }
    for found in sync.differences {
        look.found(Finding::new(found.file, found.line, found.what, found.fix));
    }
    Ok(look.report())
}
