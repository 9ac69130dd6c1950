//! Hostile: prints 100 MB to each of stdout and stderr, then returns as if nothing had been.
//!
//! What must stop it: nothing has to. The host keeps a little, counts the rest and lets it end `done`; what it printed
//! never reaches the host's own stdout.

use std::io::Write;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LINE: &[u8] = &[b'x'; 1000];
const LINES: u32 = 100_000;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// That it came to its end.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    printed: u64,
}

#[capability(
    name = "test.guest.prints",
    summary = "Prints 100 MB to each of stdout and stderr.",
    safety = "read-only"
)]
fn prints(_: &Ctx, _: Input) -> Result<Output, Failure> {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    for _ in 0..LINES {
        out.write_all(LINE)?;
        err.write_all(LINE)?;
    }
    out.flush()?;
    Ok(Output { printed: 2 * u64::from(LINES) * LINE.len() as u64 })
}
