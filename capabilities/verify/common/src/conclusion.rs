//! What may be said of the gates that were run.
//!
//! `10/10 PASS` is the text of an [`AllPassed`], and there is one way to make that: from rows that all passed, of which
//! there is at least one, each with the key of its run.

use std::fmt;
use std::num::NonZeroUsize;

use gates_common::registry::Class;
use gates_common::{Finding, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use crate::scope::Scope;

/// What was found of one gate.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The gate's id.
    pub gate: String,
    /// What came of it.
    pub result: Verdict,
    /// Its name.
    pub name: String,
    /// How long it took.
    pub milliseconds: u64,
    /// Whether that was longer than its budget; left out where it was not.
    #[serde(default, skip_serializing_if = "is_not")]
    pub over_budget: bool,
    /// The key of its run; its receipt has the same name.
    pub run_key: Option<String>,
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

impl Row {
    /// The row of a gate that was not run.
    pub(crate) fn not_run(gate: &str, name: &str, result: Verdict) -> Self {
        let (gate, name) = (gate.to_owned(), name.to_owned());
        Self { gate, name, result, milliseconds: 0, over_budget: false, run_key: None }
    }
}

/// One finding, with the gate that found it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Found {
    /// The gate's id.
    pub gate: String,
    /// The file, relative to the workspace, or what else to look at.
    pub file: String,
    /// The line, from 1; 0 where no one line is to blame.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Found {
    pub(crate) fn of(gate: &str, finding: Finding) -> Self {
        let Finding { file, line, what, fix } = finding;
        Self { gate: gate.to_owned(), file, line, what, fix }
    }
}

/// One thing that a gate looked at and found in order, or why it looked at nothing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Seen {
    /// The gate's id.
    pub gate: String,
    /// What it says of it.
    pub looked_at: String,
}

/// Proof that every gate ran and passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllPassed(NonZeroUsize);

impl AllPassed {
    /// Of these rows, if it is so.
    pub fn of(rows: &[Row]) -> Option<Self> {
        let passed = |row: &Row| row.result == Verdict::Pass && row.run_key.is_some() && !row.over_budget;
        rows.iter().all(passed).then(|| NonZeroUsize::new(rows.len()))?.map(Self)
    }
}

impl fmt::Display for AllPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} PASS", self.0, self.0)
    }
}

/// What came of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Every gate ran and passed.
    Pass,
    /// A gate failed, or could not be checked.
    Fail,
    /// No gate failed, and not all were run.
    Incomplete,
}

/// How many gates failed, by what that means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailureClass {
    /// What must hold does not.
    pub deterministic: usize,
    /// Something got old.
    pub freshness: usize,
    /// Something is worth knowing.
    pub advisory: usize,
    /// It could not be checked, or not in time.
    pub error: usize,
}

/// What is said of a scope.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Output {
    /// What was verified, for example `fast` or `fast and domain aof`.
    pub scope: String,
    /// In one line, for example `10/10 PASS`.
    pub summary: String,
    /// What came of it.
    #[schemars(extend("x-ops-fails-on" = ["FAIL", "INCOMPLETE"]))]
    pub result: Outcome,
    /// How many gates the scope has.
    pub total: usize,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many had nothing to look at. They count as no pass.
    pub skipped: usize,
    /// How many could not be checked, or not in time.
    pub errors: usize,
    /// Whether `--force` was given. There is nothing that it could pass over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<bool>,
    /// The domains that the scope was made of.
    pub domains: Vec<String>,
    /// The gates that failed or could not be checked.
    pub failing_gate_ids: Vec<String>,
    /// What their failure means.
    pub failure_class: FailureClass,
    /// What each gate says that it looked at.
    pub looked_at: Vec<Seen>,
    /// Each gate.
    pub gates: Vec<Row>,
    /// What is not in order.
    pub findings: Vec<Found>,
}

impl Output {
    pub(crate) fn of(
        scope: &Scope,
        rows: Vec<Row>,
        looked_at: Vec<Seen>,
        findings: Vec<Found>,
        class: impl Fn(&str) -> Option<Class>,
    ) -> Self {
        let count = |result| rows.iter().filter(|row| row.result == result).count();
        let [passed, failed, skipped, errors] =
            [Verdict::Pass, Verdict::Fail, Verdict::Skipped, Verdict::Error].map(count);
        let (result, summary) = match AllPassed::of(&rows) {
            Some(all) => (Outcome::Pass, all.to_string()),
            None if failed + errors > 0 || rows.is_empty() => (Outcome::Fail, told(&rows, "FAIL")),
            None => (Outcome::Incomplete, told(&rows, "INCOMPLETE")),
        };
        let failing = |row: &&Row| matches!(row.result, Verdict::Fail | Verdict::Error);
        Self {
            scope: scope.name.clone(),
            summary,
            result,
            total: rows.len(),
            passed,
            failed,
            skipped,
            errors,
            forced: None,
            domains: scope.domains.clone(),
            failing_gate_ids: rows.iter().filter(failing).map(|row| row.gate.clone()).collect(),
            failure_class: classes(&rows, class),
            looked_at,
            gates: rows,
            findings,
        }
    }
}

/// A summary that is no pass.
fn told(rows: &[Row], word: &str) -> String {
    let passed = rows.iter().filter(|row| row.result == Verdict::Pass).count();
    match rows {
        [] => format!("no gate was run: {word}"),
        rows => format!("{word}: {passed} of {} passed", rows.len()),
    }
}

fn classes(rows: &[Row], class: impl Fn(&str) -> Option<Class>) -> FailureClass {
    let mut counts = FailureClass::default();
    for row in rows {
        match (row.result, class(&row.gate)) {
            (Verdict::Pass | Verdict::Skipped, _) => {}
            (Verdict::Error, _) | (Verdict::Fail, None) => counts.error += 1,
            (Verdict::Fail, Some(Class::Invariant)) => counts.deterministic += 1,
            (Verdict::Fail, Some(Class::Freshness)) => counts.freshness += 1,
            (Verdict::Fail, Some(Class::Advisory)) => counts.advisory += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(result: Verdict) -> Row {
        Row { run_key: Some("CAP-1".into()), ..Row::not_run("D1", "name", result) }
    }

    #[test]
    fn only_what_ran_and_passed_is_all_passed() {
        let pass = || row(Verdict::Pass);
        assert_eq!(AllPassed::of(&[pass(), pass()]).unwrap().to_string(), "2/2 PASS");
        for other in [
            row(Verdict::Fail),
            row(Verdict::Skipped),
            row(Verdict::Error),
            Row { run_key: None, ..pass() },
            Row { over_budget: true, ..pass() },
        ] {
            assert_eq!(AllPassed::of(&[pass(), other]), None);
        }
        assert_eq!(AllPassed::of(&[]), None);
    }

    /// Over every mixture of three results: the word PASS stands in a summary if and only if all passed.
    #[test]
    fn no_other_summary_says_pass() {
        let all = [Verdict::Pass, Verdict::Fail, Verdict::Skipped, Verdict::Error];
        let scope = Scope { name: "fast".into(), domains: vec![], ids: vec![] };
        for (a, b, c) in all.iter().flat_map(|a| all.iter().flat_map(move |b| all.map(|c| (*a, *b, c)))) {
            let rows = vec![row(a), row(b), row(c)];
            let output = Output::of(&scope, rows, vec![], vec![], |_| Some(Class::Invariant));
            let passed = [a, b, c].iter().all(|result| *result == Verdict::Pass);
            assert_eq!(output.summary.contains("PASS"), passed, "{}", output.summary);
            assert_eq!(output.result == Outcome::Pass, passed);
            assert_eq!(output.passed + output.failed + output.skipped + output.errors, 3);
            let bad = |result: &Verdict| matches!(result, Verdict::Fail | Verdict::Error);
            let expected = if [a, b, c].iter().any(bad) { Outcome::Fail } else { Outcome::Incomplete };
            assert!(passed || output.result == expected, "{a:?} {b:?} {c:?}");
        }
        let nothing = Output::of(&scope, vec![], vec![], vec![], |_| None);
        assert_eq!((nothing.result, nothing.summary.as_str()), (Outcome::Fail, "no gate was run: FAIL"));
    }
}
