//! What a component says of itself.
//!
//! A manifest gives no right. It is asked for once, when a capability is bound or pinned, kept in the lock, and
//! read from nowhere else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a capability may do to the outside world at most. The order is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// It changes nothing.
    ReadOnly,
    /// It changes things, in a way that can be mended.
    Mutating,
    /// It destroys things.
    Destructive,
}

impl Safety {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Mutating => "mutating",
            Self::Destructive => "destructive",
        }
    }
}

/// What one rule of a service lets happen. The order is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleEffect {
    /// Nothing changes.
    Read,
    /// Something changes.
    Mutate,
    /// Something is lost.
    Destroy,
}

impl RuleEffect {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mutate => "mutate",
            Self::Destroy => "destroy",
        }
    }
}

/// What is done with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Files are read.
    Read,
    /// Files are changed in a private copy; the host shows and commits the difference.
    Stage,
}

impl Access {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Stage => "stage",
        }
    }
}

/// What the author says a request to a service looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleNeed {
    /// HTTP method.
    pub method: String,
    /// Path pattern, as in a binding.
    pub path: String,
    /// What such a request does.
    pub effect: RuleEffect,
    /// Query keys that it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// Header fields that it sets, besides those that are always allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// One thing that a capability needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NeedKind {
    /// A service.
    Service {
        /// The name that requests use.
        name: String,
        /// The requests that it makes.
        rules: Vec<RuleNeed>,
    },
    /// A directory, opened as `/<name>`.
    Directory {
        /// The name.
        name: String,
        /// What is done there.
        access: Access,
    },
    /// A contract file, readable as `/contracts/<name>`.
    Contract {
        /// The file's name.
        name: String,
    },
    /// A capability that it invokes.
    Invoke {
        /// The capability's name, or `family.**` for every one whose name begins with `family.`.
        name: String,
    },
    /// A setting.
    Config {
        /// The key in the binding's `config`.
        key: String,
        /// What it means.
        meaning: String,
    },
}

/// A need, and whether the capability does something useful without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// What is needed.
    pub need: NeedKind,
    /// Whether the capability works without it.
    pub optional: bool,
}

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The capability's name.
    pub name: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// The component's version, semver.
    pub version: String,
    /// What it may do at most.
    pub safety: Safety,
    /// JSON Schema of the arguments.
    pub input: Value,
    /// JSON Schema of the output.
    pub output: Value,
    /// What it needs.
    pub needs: Vec<Need>,
}

/// Names of arguments that are the host's own flags.
const RESERVED: [&str; 6] = ["json", "dry_run", "execute", "help", "plan_id", "trace_checks"];

impl Manifest {
    /// Checks that the arguments can be flags: an object with properties whose names are small letters, digits and
    /// underscores, at most 40 bytes long, and none of the host's own.
    ///
    /// # Errors
    ///
    /// For people: what the author has to change.
    pub fn check_arguments(&self) -> Result<(), String> {
        let properties = match (self.input.get("type"), self.input.get("properties")) {
            (Some(Value::String(kind)), properties) if kind == "object" => properties,
            _ => return Err("its input schema is not that of an object".into()),
        };
        let names = properties.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        for name in names {
            let plain =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if !plain || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > 40 {
                return Err(format!(
                    "the argument `{}` cannot be a flag; use small letters, digits and underscores",
                    crate::visible::clip(&crate::visible::visible(name), 60)
                ));
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(format!("the argument `{name}` has the name of one of the host's own flags"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_must_be_able_to_be_flags() {
        let check = |input: Value| {
            let manifest = Manifest {
                name: "a.b".into(),
                summary: String::new(),
                version: String::new(),
                safety: Safety::ReadOnly,
                input,
                output: json!({}),
                needs: vec![],
            };
            manifest.check_arguments()
        };
        assert_eq!(check(json!({"type": "object"})), Ok(()));
        assert_eq!(check(json!({"type": "object", "properties": {"vm_id": {}, "a1": {}}})), Ok(()));
        for input in [
            json!(true),
            json!({"type": "string"}),
            json!({"type": "object", "properties": {"json": {}}}),
            json!({"type": "object", "properties": {"dry_run": {}}}),
            json!({"type": "object", "properties": {"plan_id": {}}}),
            json!({"type": "object", "properties": {"a-b": {}}}),
            json!({"type": "object", "properties": {"1a": {}}}),
            json!({"type": "object", "properties": {"": {}}}),
            json!({"type": "object", "properties": {"a\u{202e}": {}}}),
        ] {
            assert!(check(input.clone()).is_err(), "{input}");
        }
    }
}
