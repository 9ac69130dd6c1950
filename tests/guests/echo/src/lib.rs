//! Honest: returns what it was given. It asks nothing of the world, so it imports no interface of ours; the benches
//! run it.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is echoed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A text.
    text: String,
    /// How many times it is returned.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 100))]
    times: u32,
}

/// What came back.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The text, as often as it was asked for.
    texts: Vec<String>,
    /// The setting `greeting`, where there is one.
    greeting: Option<String>,
}

/// The settings.
#[derive(Deserialize)]
struct Config {
    greeting: Option<String>,
}

fn once() -> u32 {
    1
}

#[capability(
    name = "test.guest.echo",
    summary = "Returns its input and its config.",
    safety = "read-only",
    needs(config("greeting", optional, "A text that is returned as it is."))
)]
fn echo(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let config: Config = ctx.config()?;
    let texts = (0..input.times).map(|_| input.text.clone()).collect();
    Ok(Output { texts, greeting: config.greeting })
}
