//! `stability.control.contract.yaml`: the domains that are watched, and what the answers of their probes mean.

use gates_common::{At, Finding, Version, Words, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The file beside the bindings.
pub const NAME: &str = "stability.control.contract.yaml";

/// The longest time after which a verification counts as old, in hours: 30 days.
const HOURS: u32 = 720;

/// What is watched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for it, for example `platform`; never a person.
    #[schemars(with = "String")]
    pub owner: At<String>,
    /// After how many hours the last verification is old.
    #[schemars(with = "u32", range(min = 1, max = 720))]
    pub verify_hours: At<u32>,
    /// The domains, each once.
    #[schemars(length(min = 1, max = 50))]
    pub domains: Vec<Watched>,
}

/// One domain that is watched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// The domain.
    #[schemars(with = "String")]
    pub domain: At<String>,
    /// What is asked about it. The worst answer counts.
    #[schemars(length(min = 1, max = 20))]
    pub probes: Vec<Probe>,
}

/// One probe.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// A read-only capability.
    #[schemars(with = "String")]
    pub capability: At<String>,
    /// What it is called with.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// What its output means. The first that fits counts; an output that fits none is an incident.
    #[schemars(length(min = 1, max = 50))]
    pub meanings: Vec<Meaning>,
}

/// What one value of an output means.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// A field at the top of the output.
    pub field: String,
    /// Its value, a text.
    pub value: String,
    /// How the domain stands then.
    pub status: Status,
}

/// How something stands, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was looked at, and all is well.
    Healthy,
    /// It cannot be looked at here: nothing is bound. That is not healthy.
    NotBound,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or nobody can tell.
    Incident,
}

impl Contract {
    /// Reads the contract's text.
    ///
    /// # Errors
    /// What is wrong with it, at its line.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let contract: Self = read(NAME, text)?;
        match contract.wrong() {
            None => Ok(contract),
            Some((line, what)) => {
                let fix = "correct the line, then `ops pin`";
                Err(Finding::new(format!("bindings/{NAME}"), line, what, fix))
            }
        }
    }

    fn wrong(&self) -> Option<(u64, String)> {
        if !(1..=HOURS).contains(&self.verify_hours.value) {
            return Some((self.verify_hours.referenced.line(), format!("verify_hours is 1 to {HOURS}")));
        }
        if !Words::Name.has(&self.owner.value) {
            return Some((
                self.owner.referenced.line(),
                format!("{:?} is not the name of a role", self.owner.value),
            ));
        }
        for (place, watched) in self.domains.iter().enumerate() {
            let (line, name) = (watched.domain.referenced.line(), &watched.domain.value);
            if self.domains.iter().take(place).any(|other| other.domain.value == *name) {
                return Some((line, format!("the domain `{name}` stands there twice")));
            }
            if watched.probes.is_empty() {
                return Some((
                    line,
                    format!("the domain `{name}` has no probe, so nothing says how it stands"),
                ));
            }
            let none = watched.probes.iter().find(|probe| probe.meanings.is_empty());
            if let Some(probe) = none {
                let what = format!("no output of `{}` means anything", probe.capability.value);
                return Some((probe.capability.referenced.line(), what));
            }
        }
        None
    }
}

impl Probe {
    /// What an output means, where the contract knows it.
    pub fn means(&self, output: &Value) -> Option<&Meaning> {
        let fits =
            |meaning: &&Meaning| output.get(&meaning.field).and_then(Value::as_str) == Some(&meaning.value);
        self.meanings.iter().find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_at_its_line() {
        let good = "schema_version: \"1.0\"\nowner: platform\nverify_hours: 24\ndomains:\n  - domain: infra\n    probes:\n      \
            - capability: infra.core.smoke\n        meanings:\n          - {field: result, value: PASS, status: healthy}\n";
        assert_eq!(Contract::parse(good).unwrap().domains.len(), 1);
        for (from, to, line, what) in [
            ("verify_hours: 24", "verify_hours: 0", 3, "1 to 720"),
            ("owner: platform", "owner: \"@me\"", 2, "is not the name of a role"),
            ("status: healthy", "status: fine", 9, "`healthy`, `not-bound`, `warn`, `incident`"),
            ("field: result", "pointer: /result", 9, "unknown field `pointer`"),
        ] {
            let found = Contract::parse(&good.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(found.line == line && found.what.contains(what), "{to}: {found:?}");
        }
        let domain = good.split_once("domains:\n").unwrap().1;
        assert!(Contract::parse(&format!("{good}{domain}")).unwrap_err().what.contains("stands there twice"));
        let (front, _) = good.split_once("    probes:").unwrap();
        assert!(
            Contract::parse(&format!("{front}    probes: []\n")).unwrap_err().what.contains("has no probe")
        );
    }
}
