//! `gate.registry.yaml`: the gates that there are, and what each of them is.
//!
//! Where a gate belongs is not said here: that is the topology's word alone.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::file::{self, At};
use crate::form::{self, Words};
use crate::{Finding, Version};

/// The file beside the bindings.
pub const NAME: &str = "gate.registry.yaml";

/// The least and the longest time that a gate may take.
const BUDGET: std::ops::RangeInclusive<u64> = 10..=600_000;

/// The gates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the gates, for example `platform`; never a person.
    #[schemars(with = "String")]
    pub owner: At<String>,
    /// The gates. Each id stands here once, retired ones too: an id is never used again.
    #[schemars(length(min = 1, max = 1000))]
    pub gates: Vec<Gate>,
}

/// One gate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// `D` and a number.
    #[schemars(with = "String", regex(pattern = r"^D[0-9]{1,5}$"))]
    pub id: At<String>,
    /// A short name, for example `registry-parity`.
    #[schemars(with = "String")]
    pub name: At<String>,
    /// Whether it is in use.
    #[serde(default)]
    pub status: Status,
    /// What kind of truth it holds, which decides when it is run.
    pub class: Class,
    /// How bad it is where it fails.
    pub severity: Severity,
    /// How long it may take. A gate that takes longer is an error, whatever it found.
    pub budget: Budget,
    /// The read-only capability that checks it.
    #[schemars(with = "String")]
    pub capability: At<String>,
    /// What that capability is called with.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// What it holds, in a sentence.
    pub description: String,
    /// What to do where it fails, in a sentence.
    pub fix: String,
}

/// Whether a gate is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is assigned and run.
    #[default]
    Active,
    /// It is not, and its id is kept.
    Retired,
}

/// What kind of truth a gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// What must hold at any time. `verify.run fast` runs these of the core.
    Invariant,
    /// What gets old by itself.
    Freshness,
    /// What is worth knowing. Only `verify.core.run`, packs, `verify.domain.run` and a release run these.
    Advisory,
}

/// How bad it is where a gate fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can wait.
    Low,
    /// It should not wait long.
    Medium,
    /// Mend it first.
    High,
    /// Nothing that runs here can be relied on.
    Critical,
}

/// How long a gate may take: a number and `ms` or `s`, from 10 ms to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = r"^[1-9][0-9]*(ms|s)$"))]
pub struct Budget(Duration);

impl Budget {
    /// The time in milliseconds.
    pub fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (digits, unit) = match text.strip_suffix("ms") {
            Some(digits) => (digits, 1),
            None => (text.strip_suffix('s').unwrap_or_default(), 1000),
        };
        let number: Option<u64> = digits.parse().ok().filter(|_| !digits.starts_with(['+', '0']));
        let time = number.and_then(|number| number.checked_mul(unit)).filter(|time| BUDGET.contains(time));
        time.map(|time| Self(Duration::from_millis(time))).ok_or_else(|| {
            let form = "a budget is a number and `ms` or `s`, from 10ms to 600s";
            serde::de::Error::custom(format!("{text:?} is no budget: {form}"))
        })
    }
}

impl Registry {
    /// Reads the contract's text.
    ///
    /// # Errors
    /// What is wrong with it, at its line.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let registry: Self = file::read(NAME, text)?;
        match registry.wrong() {
            None => Ok(registry),
            Some(wrong) => Err(file::wrong(NAME, wrong)),
        }
    }

    fn wrong(&self) -> Option<file::Wrong<'_>> {
        let ids = || self.gates.iter().map(|gate| &gate.id);
        form::not_in_form(Words::Name, [&self.owner])
            .or_else(|| form::not_in_form(Words::Gate, ids()))
            .or_else(|| form::not_in_form(Words::Name, self.gates.iter().map(|gate| &gate.name)))
            .or_else(|| form::not_in_form(Words::Capability, self.gates.iter().map(|gate| &gate.capability)))
            .or_else(|| form::twice("the gate", ids()))
    }

    /// The gate of this id.
    pub fn gate(&self, id: &str) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.id.value == id)
    }

    /// The gates that are in use.
    pub fn active(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.status == Status::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "schema_version: \"1.0\"\nowner: platform\ngates:\n  - id: D63\n    name: registry-parity\n    \
        class: invariant\n    severity: high\n    budget: 2s\n    capability: gates.registry.check\n    \
        arguments: {gate: D63}\n    description: Names agree.\n    fix: Name what is there.\n";

    #[test]
    fn each_rule_is_told_at_its_line() {
        let good = Registry::parse(GOOD).unwrap();
        assert_eq!(good.gates[0].budget.milliseconds(), 2000);
        assert_eq!(good.active().count(), 1);
        assert!(good.gate("D63").is_some() && good.gate("D6").is_none());
        for (from, to, line, what) in [
            ("owner: platform", "owner: \"@someone\"", 2, "owners are roles"),
            ("id: D63", "id: d63", 4, "is not the id of a gate"),
            ("name: registry-parity", "name: Registry parity", 5, "is not a word"),
            ("class: invariant", "class: eternal", 6, "expected one of `invariant`, `freshness`, `advisory`"),
            ("severity: high", "severity: bad", 7, "expected one of `low`, `medium`, `high`, `critical`"),
            ("budget: 2s", "budget: 2m", 8, "is no budget"),
            ("budget: 2s", "budget: 5ms", 8, "is no budget"),
            ("budget: 2s", "budget: 601s", 8, "is no budget"),
            ("gates.registry.check", "registry", 9, "is not the name of a capability"),
            ("    fix: Name what is there.\n", "", 11, "the field `fix` is missing"),
        ] {
            let found = Registry::parse(&GOOD.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(found.line == line && found.what.contains(what), "{to}: {found:?}");
        }
        let gate = GOOD.split_once("gates:\n").unwrap().1;
        let found = Registry::parse(&format!("{GOOD}{gate}")).map(|_| ()).unwrap_err();
        assert_eq!((found.line, found.what.as_str()), (13, "the gate `D63` stands there twice"));
    }
}
