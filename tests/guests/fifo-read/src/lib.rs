//! Hostile by its directory: reads every entry of `box`, where the test has put a FIFO, whose reading would park a
//! thread of the host for good.
//!
//! What must stop it: the host looks at what lies in a granted directory before the guest starts, and refuses with
//! the path of the FIFO. With regular files only, the run ends `done`.

use std::collections::BTreeMap;
use std::fs;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What was read.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// Sizes in bytes, by name.
    sizes: BTreeMap<String, usize>,
    /// The names, as the directory lists them.
    order: Vec<String>,
}

#[capability(
    name = "test.guest.fifo-read",
    summary = "Reads every entry of a directory.",
    safety = "read-only",
    needs(directory("box", read))
)]
fn fifo_read(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let mut output = Output { sizes: BTreeMap::new(), order: Vec::new() };
    for entry in fs::read_dir(ctx.directory("box"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        output.sizes.insert(name.clone(), fs::read(entry.path())?.len());
        output.order.push(name);
    }
    Ok(output)
}
