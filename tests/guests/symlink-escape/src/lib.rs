//! Hostile: tries to plant symlinks that lead out of its directory, and to read through them.
//!
//! What must stop it: no link is made (`refused` says `not permitted` for each, `read` is empty), so there is nothing
//! to follow and nothing to stage.

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
    /// The content by target, for the links that could be followed.
    read: BTreeMap<String, String>,
    /// The error by target, for the others.
    refused: BTreeMap<String, String>,
}

#[capability(
    name = "test.guest.symlink-escape",
    summary = "Plants a symlink that leads out of its directory and follows it.",
    safety = "mutating",
    needs(directory("box", stage))
)]
fn symlink_escape(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let folder = ctx.directory("box");
    let mut output = Output { read: BTreeMap::new(), refused: BTreeMap::new() };
    for (number, target) in
        ["/etc/passwd", "../../../etc/passwd", "../../../../../../../../etc/passwd"].into_iter().enumerate()
    {
        let link = folder.join(format!("link-{number}"));
        #[expect(deprecated, reason = "the only function for symlinks that is stable on wasm")]
        let read = fs::soft_link(target, &link).and_then(|()| fs::read_to_string(&link));
        match read {
            Ok(text) => output.read.insert(target.to_owned(), text),
            Err(error) => output.refused.insert(target.to_owned(), error.to_string()),
        };
    }
    Ok(output)
}
