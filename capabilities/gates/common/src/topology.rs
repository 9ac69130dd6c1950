//! `gate.execution.topology.yaml`: which domains there are, and where each gate belongs. It alone says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::{self, At};
use crate::form::{self, Words};
use crate::{Finding, Version};

/// The file beside the bindings.
pub const NAME: &str = "gate.execution.topology.yaml";

/// Domains and gates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for it, for example `platform`; never a person.
    #[schemars(with = "String")]
    pub owner: At<String>,
    /// The gates that `verify.core.run` runs.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub core: Vec<At<String>>,
    /// The domains.
    #[schemars(length(min = 1, max = 200))]
    pub domains: Vec<Domain>,
    /// Where each active gate belongs, each once.
    pub assignments: Vec<Assignment>,
    /// All domains, in the order in which a release goes through them.
    #[schemars(with = "Vec<String>")]
    pub release: Vec<At<String>>,
}

/// One domain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its name.
    #[schemars(with = "String")]
    pub id: At<String>,
    /// Other names that people type for it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub aliases: Vec<At<String>>,
    /// What it is, in a sentence.
    pub description: String,
    /// How much depends on it.
    pub criticality: Criticality,
    /// The domains that it rests on.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub depends_on: Vec<At<String>>,
    /// Its capabilities: those whose names begin so. The longest prefix of all domains decides.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub capability_prefixes: Vec<At<String>>,
    /// Its files: those whose paths in the repository begin so.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub path_triggers: Vec<At<String>>,
}

/// How much depends on a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Nearly everything.
    Critical,
}

/// Where a gate belongs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The gate.
    #[schemars(with = "String")]
    pub gate: At<String>,
    /// The domain that answers for it.
    #[schemars(with = "String")]
    pub primary: At<String>,
    /// Other domains that run it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub secondary: Vec<At<String>>,
}

impl Topology {
    /// Reads the contract's text. Whether it agrees with the registry is for the gate `D127`.
    ///
    /// # Errors
    /// What is wrong with it, at its line.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let topology: Self = file::read(NAME, text)?;
        match topology.wrong() {
            None => Ok(topology),
            Some(wrong) => Err(file::wrong(NAME, wrong)),
        }
    }

    fn wrong(&self) -> Option<file::Wrong<'_>> {
        let names = || self.domains.iter().flat_map(|domain| [&domain.id].into_iter().chain(&domain.aliases));
        let prefixes = || self.domains.iter().flat_map(|domain| &domain.capability_prefixes);
        form::not_in_form(Words::Name, [&self.owner])
            .or_else(|| form::not_in_form(Words::Name, names()))
            .or_else(|| form::not_in_form(Words::Gate, &self.core))
            .or_else(|| form::twice("the domain", names()))
            .or_else(|| form::twice("the prefix", prefixes()))
            .or_else(|| form::twice("the core gate", &self.core))
            .or_else(|| form::twice("the domain of the release", &self.release))
    }

    /// The domain of this name or alias.
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        let is_called = |domain: &&Domain| {
            domain.id.value == name || domain.aliases.iter().any(|alias| alias.value == name)
        };
        self.domains.iter().find(is_called)
    }

    /// The names of all domains, for an error.
    pub fn names(&self) -> String {
        self.domains.iter().map(|domain| domain.id.value.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The domain of a capability: that of the longest prefix.
    pub fn domain_of(&self, capability: &str) -> Option<&Domain> {
        let length = |domain: &Domain| {
            let fits = |prefix: &&At<String>| covers(&prefix.value, capability);
            domain.capability_prefixes.iter().filter(fits).map(|prefix| prefix.value.len()).max()
        };
        let fitting = self.domains.iter().filter_map(|domain| Some((length(domain)?, domain)));
        fitting.max_by_key(|(length, _)| *length).map(|(_, domain)| domain)
    }

    /// The gates of a domain, in the order of the file: those that it answers for, and those that it runs.
    pub fn gates_of<'a>(&'a self, domain: &'a str) -> impl Iterator<Item = &'a str> {
        let runs = move |assignment: &&Assignment| {
            assignment.primary.value == domain
                || assignment.secondary.iter().any(|secondary| secondary.value == domain)
        };
        self.assignments.iter().filter(runs).map(|assignment| assignment.gate.value.as_str())
    }
}

/// Whether a name is the prefix or lies below it, part by part.
fn covers(prefix: &str, name: &str) -> bool {
    let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "schema_version: \"1.0\"\nowner: platform\ncore: [D1]\ndomains:\n  - {id: infra, aliases: [infra-core], \
        description: Machines., criticality: high, capability_prefixes: [infra]}\n  - {id: core, description: All., \
        criticality: critical, capability_prefixes: [infra.core, ops]}\nassignments:\n  - {gate: D1, primary: core, \
        secondary: [infra]}\nrelease: [core, infra]\n";

    #[test]
    fn names_gates_and_prefixes() {
        let topology = Topology::parse(GOOD).unwrap();
        for (name, domain) in [("infra-core", Some("infra")), ("core", Some("core")), ("corp", None)] {
            assert_eq!(topology.domain(name).map(|domain| domain.id.value.as_str()), domain);
        }
        for (capability, domain) in [
            ("infra.vm.provision", Some("infra")),
            ("infra.core.smoke", Some("core")),
            ("infra.corel.x", Some("infra")),
            ("infrared.x", None),
        ] {
            let found = topology.domain_of(capability).map(|domain| domain.id.value.as_str());
            assert_eq!(found, domain, "{capability}");
        }
        assert_eq!(topology.gates_of("infra").collect::<Vec<_>>(), ["D1"]);
    }

    #[test]
    fn each_rule_is_told_at_its_line() {
        for (from, to, line, what) in [
            (
                "criticality: high",
                "criticality: huge",
                5,
                "expected one of `low`, `medium`, `high`, `critical`",
            ),
            ("core: [D1]", "core: [x]", 3, "is not the id of a gate"),
            ("core: [D1]", "core: [D1, D1]", 3, "stands there twice"),
            ("id: core", "id: infra-core", 6, "the domain `infra-core` stands there twice"),
            ("infra.core, ops", "infra, ops", 6, "the prefix `infra` stands there twice"),
            ("release: [core, infra]", "release: [core, core]", 9, "stands there twice"),
        ] {
            let found = Topology::parse(&GOOD.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(found.line == line && found.what.contains(what), "{to}: {found:?}");
        }
    }
}
