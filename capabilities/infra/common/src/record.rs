//! The two files that `infra.core.baseline.record` writes from a run of `infra.core.smoke`: the baseline, which is what
//! was seen, and the drift matrix, which holds it against what the contract declares.
//!
//! `docs/schemas/infra-core-baseline.schema.json` and `docs/schemas/infra-core-drift-matrix.schema.json` are made from
//! these types. Nothing in the files depends on when they were written, so writing them again from the same run changes
//! nothing.

use ops_guest::{Failure, read_contract};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::baseline::{Baseline, RuntimeType};
use crate::form::Version;
use crate::probe::Outcome;
use crate::smoke::{self, Smoke, SystemReport, SystemResult};
use crate::system::System;

/// The longest reason, in characters.
const REASON: usize = 300;
/// The order in which fields are written, of a file and of its entries: what it is about first.
const ORDER: [&str; 17] = [
    "schema_version",
    "date",
    "smoke_run",
    "system",
    "check",
    "authority",
    "runtime_type",
    "declared",
    "observed",
    "verdict",
    "result",
    "why",
    "evidence",
    "drift",
    "not_observed",
    "systems",
    "rows",
];

/// What was seen of infra-core in one run of the smoke test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The version of this form.
    pub schema_version: Version,
    /// The day of the run, UTC.
    pub date: String,
    /// The run of `infra.core.smoke`.
    pub smoke_run: String,
    /// What it came to.
    pub result: smoke::Result,
    /// What was seen of each system.
    pub systems: Vec<SeenSystem>,
}

/// What was seen of one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenSystem {
    /// Which one.
    pub system: System,
    /// Where the truth about it is kept, by the contract.
    pub authority: String,
    /// Who runs it, by the contract.
    pub runtime_type: RuntimeType,
    /// What came of it.
    pub result: SystemResult,
    /// Why.
    pub why: String,
    /// The run of its probe.
    pub evidence: Option<String>,
}

/// What was declared, what was seen, and whether they agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The version of this form.
    pub schema_version: Version,
    /// The day of the run, UTC.
    pub date: String,
    /// The run of `infra.core.smoke`.
    pub smoke_run: String,
    /// How many rows are `drift`.
    pub drift: u64,
    /// How many rows are `not-observed`.
    pub not_observed: u64,
    /// A row for each check that the contract declares.
    pub rows: Vec<DriftRow>,
}

/// One declared check of one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftRow {
    /// The system.
    pub system: System,
    /// The check.
    pub check: String,
    /// What the contract declares of it.
    pub declared: Declaration,
    /// What was seen: the outcome of the check, or `missing` where the probe did not make it.
    pub observed: Observed,
    /// Whether the two agree.
    pub verdict: DriftVerdict,
    /// The run of the probe.
    pub evidence: Option<String>,
}

/// What the contract declares of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Declaration {
    /// It is made, and goes well.
    Ok,
}

/// What was seen of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// It was made, and all is well.
    Ok,
    /// It was made, and something is wrong.
    Failed,
    /// It was not made, because another one failed before it.
    Skipped,
    /// It was not made, because the system is not bound.
    NotBound,
    /// The probe did not make it.
    Missing,
}

/// Whether what was seen is what was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriftVerdict {
    /// It is.
    AsDeclared,
    /// It is not.
    Drift,
    /// Nobody looked. That is no agreement.
    NotObserved,
}

/// Both files of a run.
///
/// # Errors
/// `Failed` where the run has no row for a system of the contract.
pub fn files(contract: &Baseline, run: &str, date: &str, smoke: &Smoke) -> Result<(Seen, Drift), Failure> {
    let (mut systems, mut rows) = (Vec::new(), Vec::new());
    for declared in &contract.systems {
        let system = declared.system;
        let Some(seen) = smoke.systems.iter().find(|report| report.system == system) else {
            return Err(Failure::failed(format!("the run {run} says nothing of {system}")));
        };
        systems.push(SeenSystem {
            system,
            authority: declared.authority.clone(),
            runtime_type: declared.runtime_type,
            result: seen.result,
            why: one_line(&seen.why),
            evidence: seen.run.clone(),
        });
        rows.extend(declared.smoke.checks.iter().map(|check| row(system, check, seen, smoke)));
    }
    let (date, smoke_run) = (date.to_owned(), run.to_owned());
    let count = |verdict| {
        let found = rows.iter().filter(|row| row.verdict == verdict).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    };
    let drift = Drift {
        schema_version: Version::One,
        date: date.clone(),
        smoke_run: smoke_run.clone(),
        drift: count(DriftVerdict::Drift),
        not_observed: count(DriftVerdict::NotObserved),
        rows,
    };
    Ok((Seen { schema_version: Version::One, date, smoke_run, result: smoke.result, systems }, drift))
}

fn row(system: System, check: &str, seen: &SystemReport, smoke: &Smoke) -> DriftRow {
    let found = smoke.checks.iter().find(|row| row.system == system && row.check == check);
    let observed = match found.map(|row| row.result) {
        Some(Outcome::Ok) => Observed::Ok,
        Some(Outcome::Failed) => Observed::Failed,
        Some(Outcome::Skipped) => Observed::Skipped,
        Some(Outcome::NotBound) => Observed::NotBound,
        None => Observed::Missing,
    };
    let verdict = match observed {
        Observed::Ok => DriftVerdict::AsDeclared,
        Observed::Failed | Observed::Missing => DriftVerdict::Drift,
        Observed::Skipped | Observed::NotBound => DriftVerdict::NotObserved,
    };
    DriftRow {
        system,
        check: check.to_owned(),
        declared: Declaration::Ok,
        observed,
        verdict,
        evidence: seen.run.clone(),
    }
}

/// A reason may quote what a service said. In a file that people read it is one line of what can be shown.
fn one_line(text: &str) -> String {
    let shown =
        |letter: char| !letter.is_control() && !matches!(letter, '\u{feff}' | '\u{2028}' | '\u{2029}');
    let text = text.chars().map(|letter| if shown(letter) { letter } else { ' ' });
    text.take(REASON).collect()
}

/// Writes one of the files as YAML, under these lines of comment, and reads it again: what cannot be read back is not
/// written.
///
/// # Errors
/// `Failed` where what was written is not what was meant.
pub fn to_yaml<T>(name: &str, comments: &[&str], file: &T) -> Result<String, Failure>
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq,
{
    let mut text = String::new();
    for comment in comments {
        text.push_str("# ");
        text.push_str(comment);
        text.push('\n');
    }
    for (name, value) in in_order(&serde_json::to_value(file)?) {
        match value {
            Value::Array(entries) if !entries.is_empty() => {
                text.push_str(&format!("{name}:\n"));
                entries.iter().for_each(|entry| write_entry(&mut text, entry));
            }
            value => text.push_str(&format!("{name}: {}\n", scalar(value))),
        }
    }
    match read_contract::<T>(name, &text)? == *file {
        true => Ok(text),
        false => Err(Failure::failed(format!("{name} cannot be written as YAML without loss"))),
    }
}

/// The fields of a map, in the order in which they are written.
fn in_order(map: &Value) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = map.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name));
    fields
}

/// An entry of a list: a map with plain values, one to a line.
fn write_entry(text: &mut String, entry: &Value) {
    for (number, (name, value)) in in_order(entry).into_iter().enumerate() {
        let lead = if number == 0 { "  - " } else { "    " };
        text.push_str(&format!("{lead}{name}: {}\n", scalar(value)));
    }
}

/// A value on one line. Words stand as they are; every other text is quoted as in JSON, which is YAML too.
fn scalar(value: &Value) -> String {
    let is_word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
                .contains(&text.to_ascii_lowercase().as_str())
    };
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        value => value.to_string(),
    }
}
