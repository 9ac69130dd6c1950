//! Calling other capabilities.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::raw::ops::capability::invoke as wire;
use crate::{Ctx, Failure, host};

/// A call of another capability, read-only and named in the binding's `invoke:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub capability: String,
    /// Its arguments, a JSON object.
    pub arguments: Value,
}

impl Call {
    /// A call with these arguments, which become a JSON object.
    ///
    /// # Errors
    /// `Failed` if they cannot be written as JSON.
    pub fn new(capability: impl Into<String>, arguments: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self { capability: capability.into(), arguments: serde_json::to_value(arguments)? })
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoked {
    /// The key of its run, where it came to one: evidence that anybody can look up.
    pub run: Option<String>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Its output. A capability whose own check failed has an output that says so.
    pub outcome: Result<Value, InvokeError>,
}

/// Why a call has no output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// The binding does not name the capability, or it is not read-only.
    NotGranted(String),
    /// It ran, or was to run, and has no output.
    Failed(String),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl Invoked {
    /// The output as a type of the caller's.
    ///
    /// # Errors
    /// Why there is no output, or why it is not of that type.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, InvokeError> {
        let output = self.outcome.clone()?;
        serde_json::from_value(output)
            .map_err(|error| InvokeError::Failed(format!("its output is not what was expected: {error}")))
    }
}

impl Ctx {
    /// Calls other capabilities, several at a time. The answers come in the order of the calls.
    ///
    /// Each call is a run with a receipt of its own. In the apply phase the answers are those of the plan.
    ///
    /// # Errors
    /// `Failed` if an answer is no JSON, which no capability gives.
    pub fn invoke(&self, calls: &[Call]) -> Result<Vec<Invoked>, Failure> {
        let wire: Vec<_> = calls
            .iter()
            .map(|call| wire::Call {
                capability: call.capability.clone(),
                arguments: call.arguments.to_string(),
            })
            .collect();
        host::invoke(self, &wire).into_iter().map(invoked).collect()
    }
}

fn invoked(answer: wire::Answer) -> Result<Invoked, Failure> {
    let outcome = match answer.outcome {
        Ok(output) => Ok(serde_json::from_str(&output)?),
        Err(wire::CallError::NotGranted(why)) => Err(InvokeError::NotGranted(why)),
        Err(wire::CallError::Failed(why)) => Err(InvokeError::Failed(why)),
    };
    Ok(Invoked { run: answer.run, milliseconds: answer.milliseconds, outcome })
}
