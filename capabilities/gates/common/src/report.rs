//! What a gate answers.
//!
//! `pass` says what was looked at: a gate that looked at nothing is an error, never a pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most findings of one gate that are told; what is beyond is counted.
const TOLD: usize = 50;

/// What came of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All that was looked at is in order.
    Pass,
    /// Something is not.
    Fail,
    /// There was nothing that it could look at. It counts as no pass.
    Skipped,
    /// It could not be checked.
    Error,
}

/// One thing that is not in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The file, relative to the workspace; or what else is to be looked at, such as `the ledger`.
    pub file: String,
    /// The line, from 1; 0 where no one line is to blame.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Finding {
    /// A finding.
    pub fn new(file: impl Into<String>, line: u64, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.into(), line, what: what.into(), fix: fix.into() }
    }
}

/// What a gate answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The gate's id.
    pub gate: String,
    /// What came of it.
    #[schemars(extend("x-ops-fails-on" = ["fail", "error"]))]
    pub result: Verdict,
    /// What was looked at and found in order, or why there was nothing to look at.
    pub looked_at: Vec<String>,
    /// What is not in order.
    pub findings: Vec<Finding>,
}

/// One gate's look at the workspace, while it goes on.
#[derive(Clone, Debug)]
pub struct Look {
    gate: String,
    looked_at: Vec<String>,
    findings: Vec<Finding>,
}

impl Look {
    /// The look of this gate.
    pub fn of(gate: impl Into<String>) -> Self {
        Self { gate: gate.into(), looked_at: vec![], findings: vec![] }
    }

    /// This was looked at, for example `10 gates of gate.registry.yaml`.
    pub fn saw(&mut self, what: impl Into<String>) {
        self.looked_at.push(what.into());
    }

    /// This is not in order.
    pub fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// How many findings there are so far.
    pub fn count(&self) -> usize {
        self.findings.len()
    }

    /// Takes the contract, or keeps what is wrong with it as a finding.
    pub fn take<T>(&mut self, read: Result<T, Finding>) -> Option<T> {
        read.map_err(|finding| self.found(finding)).ok()
    }

    /// The answer.
    pub fn report(self) -> Report {
        let Self { gate, looked_at, mut findings } = self;
        let result = match (findings.is_empty(), looked_at.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Pass,
            (true, true) => {
                let what = "the gate looked at nothing, which proves nothing";
                findings.push(Finding::new("the gate", 0, what, "give it something to look at"));
                Verdict::Error
            }
        };
        let more = findings.len().saturating_sub(TOLD);
        if more > 0 {
            findings.truncate(TOLD);
            let what = format!("and {more} more of them");
            findings.push(Finding::new("", 0, what, "mend these, then run the gate again"));
        }
        Report { gate, result, looked_at, findings }
    }

    /// The answer of a gate that has nothing to look at, and why.
    pub fn skipped(self, why: impl Into<String>) -> Report {
        Report { gate: self.gate, result: Verdict::Skipped, looked_at: vec![why.into()], findings: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_needs_evidence_and_no_finding() {
        let finding = || Finding::new("ops.yaml", 3, "soft", "make it hard");
        let look = |saw: bool, found: usize| {
            let mut look = Look::of("D1");
            if saw {
                look.saw("a file");
            }
            (0..found).for_each(|_| look.found(finding()));
            look.report()
        };
        assert_eq!(look(true, 0).result, Verdict::Pass);
        assert_eq!(look(true, 1).result, Verdict::Fail);
        assert_eq!(look(false, 1).result, Verdict::Fail);
        assert_eq!(look(false, 0).result, Verdict::Error);
        assert_eq!(Look::of("D1").skipped("nothing is bound").result, Verdict::Skipped);
    }

    #[test]
    fn many_findings_are_counted() {
        let mut look = Look::of("D1");
        (0..TOLD + 7).for_each(|line| look.found(Finding::new("x", line as u64, "wrong", "mend")));
        let report = look.report();
        assert_eq!(report.findings.len(), TOLD + 1);
        assert_eq!(report.findings[TOLD].what, "and 7 more of them");
    }
}
