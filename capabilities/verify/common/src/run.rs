//! Running the gates of a scope: several at a time, each a run with a receipt of its own.
//!
//! An answer is believed as far as it goes: it must be that of the gate that was asked, come from a run with a key, and
//! a pass must say what was looked at. A gate that took longer than its budget is an error, whatever it found.

use gates_common::registry::{self, Gate};
use gates_common::{Finding, Report, Verdict};
use ops_guest::{Call, Ctx, Failure, InvokeError, Invoked};
use serde_json::Value;

use crate::Gates;
use crate::conclusion::{Found as Told, Output, Row, Seen};
use crate::scope::{Found, Scope, find};

/// The most calls that a run may make.
const CALLS: usize = 256;

/// Runs the gates of a scope.
///
/// # Errors
/// `Failed` where there are more gates than one run may call.
pub fn run(ctx: &Ctx, gates: &Gates, scope: &Scope) -> Result<Output, Failure> {
    if scope.ids.len() > CALLS {
        return Err(Failure::failed(format!(
            "{} has {} gates, and one run calls at most {CALLS}; run its domains one by one: `ops cap run verify.domain.run DOMAIN`",
            scope.name,
            scope.ids.len()
        )));
    }
    let found: Vec<_> = scope.ids.iter().map(|id| (id.as_str(), find(gates, id))).collect();
    let active = found.iter().filter_map(|(_, found)| match found {
        Found::Active(gate) => Some(*gate),
        Found::Retired(_) | Found::Missing => None,
    });
    let calls: Vec<_> = active
        .map(|gate| Call {
            capability: gate.capability.value.clone(),
            arguments: Value::Object(gate.arguments.clone()),
        })
        .collect();
    let mut answers = ctx.invoke(&calls)?.into_iter();
    let (mut rows, mut seen, mut findings) = (vec![], vec![], vec![]);
    for (id, found) in found {
        let (row, saw, told) = match found {
            Found::Active(gate) => answered(gate, answers.next()),
            Found::Retired(gate) => {
                (Row::not_run(id, &gate.name.value, Verdict::Skipped), vec![], vec![retired(gate)])
            }
            Found::Missing => (Row::not_run(id, "", Verdict::Error), vec![], vec![missing(id)]),
        };
        rows.push(row);
        seen.extend(saw.into_iter().map(|looked_at| Seen { gate: id.to_owned(), looked_at }));
        findings.extend(told.into_iter().map(|finding| Told::of(id, finding)));
    }
    let classes = |id: &str| gates.registry.gate(id).map(|gate| gate.class);
    Ok(Output::of(scope, rows, seen, findings, classes))
}

/// The row of a gate that was called, what it looked at, and its findings.
fn answered(gate: &Gate, answer: Option<Invoked>) -> (Row, Vec<String>, Vec<Finding>) {
    let mut row = Row::not_run(&gate.id.value, &gate.name.value, Verdict::Error);
    let Some(answer) = answer else {
        return (row, vec![], vec![at(gate, "it was not called".to_owned(), "run it again")]);
    };
    row.milliseconds = answer.milliseconds;
    row.over_budget = answer.milliseconds > gate.budget.milliseconds();
    row.run_key = answer.run.clone();
    let report = match believed(gate, &answer) {
        Ok(report) => report,
        Err(finding) => return (row, vec![], vec![finding]),
    };
    let mut findings = report.findings;
    row.result = report.result;
    if row.over_budget {
        row.result = Verdict::Error;
        let (took, budget) = (answer.milliseconds, gate.budget.milliseconds());
        let what = format!("it took {took} ms, and its budget is {budget} ms");
        findings.push(at(gate, what, "find out what made it slow, or give it a larger budget"));
    }
    (row, report.looked_at, findings)
}

/// The gate's own report, if it is one.
fn believed(gate: &Gate, answer: &Invoked) -> Result<Report, Finding> {
    let name = &gate.capability.value;
    let look = match &answer.run {
        Some(run) => format!("look at its run: `ops receipts show {run}`"),
        None => "it has no receipt: run it by itself".to_owned(),
    };
    let report: Report = answer.output().map_err(|error| match error {
        InvokeError::NotGranted(why) => {
            at(gate, why, "name it under `invoke` in the binding of this capability, then `ops pin`")
        }
        InvokeError::Failed(why) => at(gate, format!("`{name}` gave no answer: {why}"), &look),
    })?;
    let proves = || report.looked_at.iter().any(|saw| !saw.is_empty()) && report.findings.is_empty();
    let wrong = if report.gate != gate.id.value {
        format!("`{name}` answered for {}", report.gate)
    } else if report.result == Verdict::Pass && !proves() {
        format!("`{name}` says pass, and not what it looked at")
    } else if answer.run.is_none() {
        format!("`{name}` answered without a run that anybody can look up")
    } else {
        return Ok(report);
    };
    Err(at(gate, wrong, "correct the gate's arguments, or its capability"))
}

fn at(gate: &Gate, what: String, fix: &str) -> Finding {
    Finding::new(file(), gate.capability.referenced.line(), what, fix)
}

fn retired(gate: &Gate) -> Finding {
    let what = "it is retired, so it was not run";
    Finding::new(file(), gate.id.referenced.line(), what, "take it out of the topology")
}

fn missing(id: &str) -> Finding {
    let what = format!("there is no gate `{id}`");
    Finding::new(file(), 0, what, "register it, or take it out of the topology")
}

fn file() -> String {
    format!("bindings/{}", registry::NAME)
}
