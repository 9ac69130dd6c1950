//! Hostile: returns JSON that is nested 100,000 deep, to overflow the stack of whoever parses it. It does without the
//! attribute, because a parser of its own would fall over it.
//!
//! What must stop it: the host's parser is bounded in depth. The run fails, and the host goes on.

#[cfg(target_arch = "wasm32")]
use ops_guest::raw::exports::ops::capability::guest::Guest;
use ops_guest::{Failure, Input, Manifest, Safety};

const DEPTH: usize = 100_000;

/// The component.
pub struct DeepJson;

/// What it says of itself.
pub fn manifest() -> Manifest {
    Manifest {
        name: "test.guest.deep-json".to_owned(),
        summary: "Returns JSON that is nested 100,000 deep.".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        safety: Safety::ReadOnly,
        input: r#"{"type": "object", "additionalProperties": false}"#.to_owned(),
        output: "{}".to_owned(),
        needs: vec![],
    }
}

/// What it returns.
pub fn output(_: &Input) -> Result<String, Failure> {
    Ok(format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)))
}

#[cfg(target_arch = "wasm32")]
impl Guest for DeepJson {
    fn describe() -> Manifest {
        manifest()
    }

    fn run(input: Input) -> Result<String, Failure> {
        output(&input)
    }
}

#[cfg(target_arch = "wasm32")]
ops_guest::raw::export!(DeepJson with_types_in ops_guest::raw);
