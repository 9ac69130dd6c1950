//! What is wrong with a record, where, and what to do about it.

use std::fmt;

use ops_guest::Failure;

/// One fault in a file of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the workspace, such as `gaps/operational.gaps.yaml`.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Finding {
    /// A fault at a line.
    pub fn new(file: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: u64::try_from(line).unwrap_or(u64::MAX),
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.what, self.fix)
    }
}

impl From<Finding> for Failure {
    fn from(finding: Finding) -> Self {
        Self::Failed(finding.to_string())
    }
}
