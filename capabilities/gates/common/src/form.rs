//! The form of single values in the contracts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::At;
use crate::file::Wrong;

/// The longest name of a domain, a pack or a role, in bytes.
const WORD: usize = 64;

/// The version of a contract's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// The first one.
    #[serde(rename = "1.0")]
    One,
}

/// What a text must be, for an error.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// The id of a gate.
    Gate,
    /// The name of a domain, a pack or a role.
    Name,
    /// The name of a capability.
    Capability,
}

impl Words {
    /// Whether the text has this form.
    pub fn has(self, text: &str) -> bool {
        match self {
            Self::Gate => {
                let digits = text.strip_prefix('D').unwrap_or_default();
                (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::Name => is_plain(text) && text.len() <= WORD,
            Self::Capability => text.contains('.') && text.len() <= 100 && text.split('.').all(is_plain),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Gate => "the id of a gate: `D` and one to five digits",
            Self::Name => "a word of small letters, digits, hyphens and underscores; owners are roles",
            Self::Capability => "the name of a capability, such as `gates.registry.check`",
        }
    }
}

/// The first of `texts` that has another form.
pub(crate) fn not_in_form<'a>(
    form: Words,
    texts: impl IntoIterator<Item = &'a At<String>>,
) -> Option<Wrong<'a>> {
    let bad = texts.into_iter().find(|text| !form.has(&text.value))?;
    Some((bad, format!("{:?} is not {}", bad.value, form.told()), "write it in that form"))
}

/// The first of `texts` that stands there twice.
pub(crate) fn twice<'a>(what: &str, texts: impl IntoIterator<Item = &'a At<String>>) -> Option<Wrong<'a>> {
    let mut seen = BTreeSet::new();
    let twin = texts.into_iter().find(|text| !seen.insert(text.value.as_str()))?;
    Some((twin, format!("{what} `{}` stands there twice", twin.value), "keep one"))
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (form, good, bad) in [
            (Words::Gate, ["D1", "D99999"], ["D", "D123456", "d1", "D1a"]),
            (Words::Name, ["loop_gap", "infra-core"], ["", "Infra", "@ronny", "1a"]),
            (Words::Capability, ["a.b", "infra.core.smoke"], ["a", "a..b", "A.b", "a.b."]),
        ] {
            assert!(good.iter().all(|text| form.has(text)), "{form:?}");
            assert!(bad.iter().all(|text| !form.has(text)), "{form:?}");
        }
    }
}
