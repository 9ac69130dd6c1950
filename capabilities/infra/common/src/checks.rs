//! The rows of a report.

use schemars::JsonSchema;
use serde::Serialize;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    check: String,
    result: Outcome,
    /// What was seen, what is wrong, or why it was not made.
    why: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// It was made, and all is well.
    Pass,
    /// It was made, and something is wrong.
    Fail,
    /// It was not made. That is no pass.
    Skipped,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// No check failed.
    Ok,
    /// At least one failed.
    Failed,
}

/// The checks so far, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Notes a check that was made: what is well, or what is wrong.
    pub fn made(&mut self, check: &str, seen: Result<String, String>) {
        let (result, why) = match seen {
            Ok(why) => (Outcome::Pass, why),
            Err(why) => (Outcome::Fail, why),
        };
        self.0.push(Check { check: check.to_owned(), result, why });
    }

    /// Notes a check that could not be made.
    pub fn skipped(&mut self, check: &str, why: &str) {
        self.0.push(Check { check: check.to_owned(), result: Outcome::Skipped, why: why.to_owned() });
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        let count = self.0.iter().filter(|check| check.result == outcome).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Whether none failed.
    pub fn status(&self) -> Status {
        if self.count(Outcome::Fail) == 0 { Status::Ok } else { Status::Failed }
    }

    /// The rows.
    pub fn rows(&self) -> Vec<Check> {
        self.0.clone()
    }
}
