//! `docs.impact.contract.yaml`: which documents a change in a domain reaches.
//!
//! Only what a gate can look at is named here: pages that `ops sync` makes, and guides in the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::{self, At};
use crate::form::{self, Words};
use crate::{Finding, Version};

/// The file beside the bindings.
pub const NAME: &str = "docs.impact.contract.yaml";

/// The folder of the guides, in the workspace.
pub const GUIDES: &str = "skills";

/// Documents by domain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for it, for example `platform`; never a person.
    #[schemars(with = "String")]
    pub owner: At<String>,
    /// The documents of each domain that has capabilities, each domain once.
    #[schemars(length(min = 1, max = 200))]
    pub routes: Vec<Route>,
}

/// The documents of one domain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The domain.
    #[schemars(with = "String")]
    pub domain: At<String>,
    /// The capabilities whose generated pages are read first.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub pages: Vec<At<String>>,
    /// Guides below `skills/` of the workspace, such as `infra-core/README.md`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub guides: Vec<At<String>>,
}

impl Impact {
    /// Reads the contract's text.
    ///
    /// # Errors
    /// What is wrong with it, at its line.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let impact: Self = file::read(NAME, text)?;
        match impact.wrong() {
            None => Ok(impact),
            Some(wrong) => Err(file::wrong(NAME, wrong)),
        }
    }

    fn wrong(&self) -> Option<file::Wrong<'_>> {
        let domains = || self.routes.iter().map(|route| &route.domain);
        let empty = self.routes.iter().find(|route| route.pages.is_empty());
        let mut guides = self.routes.iter().flat_map(|route| &route.guides);
        let outside = guides.find(|guide| !is_inside(&guide.value));
        form::not_in_form(Words::Name, [&self.owner])
            .or_else(|| form::not_in_form(Words::Name, domains()))
            .or_else(|| {
                form::not_in_form(Words::Capability, self.routes.iter().flat_map(|route| &route.pages))
            })
            .or_else(|| form::twice("the domain", domains()))
            .or_else(|| {
                let what = |route: &Route| format!("the domain `{}` names no page", route.domain.value);
                empty.map(|route| (&route.domain, what(route), "name the capability to read of first"))
            })
            .or_else(|| {
                let what = |guide: &At<String>| format!("`{}` is not a path below skills/", guide.value);
                outside.map(|guide| (guide, what(guide), "write it as `infra-core/README.md`"))
            })
    }
}

/// Whether a path stays in the folder that it is relative to.
fn is_inside(path: &str) -> bool {
    path.len() <= 256
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_at_its_line() {
        let good = "schema_version: \"1.0\"\nowner: platform\nroutes:\n  - domain: infra\n    pages: [infra.core.smoke]\n    \
            guides: [infra-core/README.md]\n";
        assert_eq!(Impact::parse(good).unwrap().routes.len(), 1);
        for (from, to, line, what) in [
            ("pages: [infra.core.smoke]", "pages: [smoke]", 5, "is not the name of a capability"),
            ("pages: [infra.core.smoke]", "pages: []", 4, "names no page"),
            ("infra-core/README.md", "../README.md", 6, "is not a path below skills/"),
            ("infra-core/README.md", "/etc/passwd", 6, "is not a path below skills/"),
            ("owner:", "owners:", 2, "unknown field `owners`"),
        ] {
            let found = Impact::parse(&good.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(found.line == line && found.what.contains(what), "{to}: {found:?}");
        }
    }
}
