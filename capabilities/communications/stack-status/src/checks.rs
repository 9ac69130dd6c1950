//! The rows of a report.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Outcome, count};

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Check {
    check: String,
    result: Outcome,
    /// What was seen, what is wrong, or why it was not made.
    why: String,
}

/// The checks so far, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Notes a check that was made: what is well, or what is wrong.
    pub(crate) fn made(&mut self, check: impl Into<String>, seen: Result<String, String>) {
        let (result, why) = match seen {
            Ok(why) => (Outcome::Ok, why),
            Err(why) => (Outcome::Failed, why),
        };
        self.0.push(Check { check: check.into(), result, why });
    }

    /// Notes a check that could not be made.
    pub(crate) fn skipped(&mut self, check: impl Into<String>, why: impl Into<String>) {
        self.0.push(Check { check: check.into(), result: Outcome::Skipped, why: why.into() });
    }

    /// How many ended so.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        count(self.0.iter().filter(|check| check.result == outcome).count())
    }

    pub(crate) fn rows(self) -> Vec<Check> {
        self.0
    }
}
