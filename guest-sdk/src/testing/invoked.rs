//! Capabilities that a capability calls, in the world of a test.

use serde_json::Value;

use crate::raw::ops::capability::invoke as calls;
use crate::{InvokeError, Invoked};

/// A capability that may be called.
pub(crate) struct Invocable {
    name: String,
    answer: Box<dyn Fn(&Value) -> Invoked>,
}

impl Invocable {
    pub(super) fn new(name: &str, answer: impl Fn(&Value) -> Invoked + 'static) -> Self {
        Self { name: name.to_owned(), answer: Box::new(answer) }
    }

    /// What it answers to a call, if it is the one that is called.
    pub(super) fn answer(&self, call: &calls::Call) -> Option<calls::Answer> {
        if self.name != call.capability {
            return None;
        }
        let arguments = serde_json::from_str(&call.arguments).expect("arguments are JSON");
        let Invoked { run, milliseconds, outcome } = (self.answer)(&arguments);
        let outcome = match outcome {
            Ok(output) => Ok(output.to_string()),
            Err(InvokeError::NotGranted(why)) => Err(calls::CallError::NotGranted(why)),
            Err(InvokeError::Failed(why)) => Err(calls::CallError::Failed(why)),
        };
        Some(calls::Answer { run, milliseconds, outcome })
    }
}

impl Invoked {
    /// An output, for the world of a test: after a millisecond, by a run of this key.
    pub fn with(run: &str, output: Value) -> Self {
        Self { run: Some(run.to_owned()), milliseconds: 1, outcome: Ok(output) }
    }

    /// No output, for the world of a test: the run of this key failed.
    pub fn failed(run: &str, why: &str) -> Self {
        let outcome = Err(InvokeError::Failed(why.to_owned()));
        Self { run: Some(run.to_owned()), milliseconds: 1, outcome }
    }
}

/// An answer as a fixture holds it.
pub(super) fn of_fixture(given: &Value) -> calls::Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = match (given.get("output"), given.get("not_granted")) {
        (Some(output), _) => Ok(output.to_string()),
        (None, Some(why)) => Err(calls::CallError::NotGranted(text(why))),
        (None, None) => Err(calls::CallError::Failed(text(&given["failed"]))),
    };
    calls::Answer {
        run: given["run"].as_str().map(str::to_owned),
        milliseconds: given["milliseconds"].as_u64().unwrap_or(0),
        outcome,
    }
}
