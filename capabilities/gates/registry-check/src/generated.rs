//! `D67`: generated files are what would be generated now.

use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure, records};

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let sync = records::sync(ctx)?;
    if !sync.files.is_empty() {
        look.saw(format!("{} generated files", sync.files.len()));
    }
    for found in sync.differences {
        look.found(Finding::new(found.file, found.line, found.what, found.fix));
    }
    Ok(look.report())
}
