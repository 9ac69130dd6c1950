//! `D67`: generated files are what would be generated now.

use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure, records};

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let sync = records::sync(ctx)?;
    // Nothing can be generated then, and D401 tells why, so that one mistake fails one gate.
    let broken = sync.files.is_empty() && !sync.differences.is_empty();
    if broken && records::registry(ctx)?.iter().any(|bound| bound.fault.is_some()) {
        return Ok(look.skipped("nothing can be generated while a binding cannot run: see D401"));
    }
    if !sync.files.is_empty() {
        look.saw(format!("{} generated files", sync.files.len()));
    }
    for found in sync.differences {
        look.found(Finding::new(found.file, found.line, found.what, found.fix));
    }
    Ok(look.report())
}
