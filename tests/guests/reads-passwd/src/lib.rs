//! Hostile: reads the host's password file, by its name and by climbing out of a granted directory.
//!
//! What must stop it: no folder but the granted ones exists in the guest, and a path cannot leave its folder. The run
//! ends `done`, and `read` is empty for every path.

use std::collections::BTreeMap;
use std::fs;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The content by path, for the paths that could be read.
    read: BTreeMap<String, String>,
    /// The error by path, for the others.
    refused: BTreeMap<String, String>,
}

#[capability(
    name = "test.guest.reads-passwd",
    summary = "Reads files of the host.",
    safety = "read-only",
    needs(directory("box", read, optional))
)]
fn reads_passwd(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let climbing = ctx.directory("box").join("../../../../../../../../etc/passwd");
    let climbing = climbing.to_string_lossy();
    let paths = [
        "/etc/passwd",
        "etc/passwd",
        "../../etc/passwd",
        "/proc/self/environ",
        "/proc/self/root/etc/passwd",
        &climbing,
    ];
    let mut output = Output { read: BTreeMap::new(), refused: BTreeMap::new() };
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => output.read.insert(path.to_owned(), text),
            Err(error) => output.refused.insert(path.to_owned(), error.to_string()),
        };
    }
    Ok(output)
}
