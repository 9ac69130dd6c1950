//! `gate.domain.profiles.yaml`: packs of gates that are run together. It may not contradict the topology, which the gate
//! `D127` checks.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{self, At};
use crate::form::{self, Words};
use crate::{Finding, Version};

/// The file beside the bindings.
pub const NAME: &str = "gate.domain.profiles.yaml";

/// The pack that `verify.pack.run` runs where none is named.
pub const DEFAULT: &str = "core-operator";

/// The packs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for it, for example `platform`; never a person.
    #[schemars(with = "String")]
    pub owner: At<String>,
    /// The packs.
    #[schemars(length(min = 1, max = 200))]
    pub packs: Vec<Pack>,
}

/// Gates that are run together.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name. It is not that of a domain.
    #[schemars(with = "String")]
    pub name: At<String>,
    /// Who it is for, in a sentence.
    pub description: String,
    /// Whether the core gates are in it.
    #[serde(default)]
    pub core: bool,
    /// The domains whose gates are in it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub domains: Vec<At<String>>,
    /// Of these domains' gates only these; all of them where nothing is listed.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub gates: Vec<At<String>>,
}

impl Profiles {
    /// Reads the contract's text.
    ///
    /// # Errors
    /// What is wrong with it, at its line.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let profiles: Self = file::read(NAME, text)?;
        match profiles.wrong() {
            None => Ok(profiles),
            Some(wrong) => Err(file::wrong(NAME, wrong)),
        }
    }

    fn wrong(&self) -> Option<file::Wrong<'_>> {
        let names = || self.packs.iter().map(|pack| &pack.name);
        let empty = self.packs.iter().find(|pack| !pack.core && pack.domains.is_empty());
        form::not_in_form(Words::Name, [&self.owner])
            .or_else(|| form::not_in_form(Words::Name, names()))
            .or_else(|| form::twice("the pack", names()))
            .or_else(|| {
                let what = |pack: &Pack| format!("the pack `{}` holds nothing", pack.name.value);
                empty.map(|pack| (&pack.name, what(pack), "name a domain, or say `core: true`"))
            })
    }

    /// The pack of this name.
    pub fn pack(&self, name: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.name.value == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_at_its_line() {
        let good = "schema_version: \"1.0\"\nowner: platform\npacks:\n  - {name: a, description: A., core: true}\n  \
            - {name: b, description: B., domains: [infra], gates: [D1]}\n";
        assert!(Profiles::parse(good).unwrap().pack("b").is_some());
        for (from, to, line, what) in [
            ("name: b", "name: a", 5, "the pack `a` stands there twice"),
            ("name: b", "name: B", 5, "is not a word"),
            (", core: true", "", 4, "the pack `a` holds nothing"),
            ("gates: [D1]", "gate: [D1]", 5, "unknown field `gate`"),
        ] {
            let found = Profiles::parse(&good.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(found.line == line && found.what.contains(what), "{to}: {found:?}");
        }
    }
}
