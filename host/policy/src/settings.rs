//! `ops.yaml`: the workspace's own settings.
//!
//! It names the secrets and the origins that each may be sent to, so that a binding alone cannot carry a secret
//! somewhere new; and it bounds how long plans and approvals live. Values of secrets are never in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::binding::Binding;
use crate::grant_path;
use crate::limits;
use crate::name;
use crate::origin::Origin;
use crate::scalar::Scalar;
use crate::yaml::{At, Entries, FileError, Source, Wrong};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// Fields of later versions, refused by name.
const LATER: [&str; 3] = ["records", "agents", "require"];

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The workspace's name.
    pub workspace: String,
    /// The secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// What holds for every approval.
    pub approvals: Approvals,
}

/// Where a secret comes from and where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// `env:NAME` or `file:PATH`; a relative path is relative to the workspace.
    pub from: String,
    /// The origins that it may be sent to; never empty.
    pub origins: Vec<Origin>,
}

/// What holds for every approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How long a plan is good, at most a day.
    pub plan: Duration,
    /// How long an approval is good, at most an hour.
    pub approval: Duration,
    /// Whether the one who asked for a plan may approve it.
    pub own: Own,
    /// How many people have to approve a plan of a destructive capability at least, 1 to 3.
    pub destructive: u8,
}

/// Whether the one who asked for a plan may approve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Own {
    /// Somebody else has to.
    Refused,
    /// Yes.
    Allowed,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { plan: DAY, approval: HOUR, own: Own::Allowed, destructive: 1 }
    }
}

/// A binding sends a secret where `ops.yaml` does not let it go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefused {
    /// `ops.yaml` does not name the secret.
    #[error(
        "service `{service}` uses the secret `{secret}`, which ops.yaml does not name; add under `secrets:` \
         `{secret}: {{from: \"env:NAME\", origins: [\"{origin}\"]}}`"
    )]
    Unknown {
        /// The service.
        service: String,
        /// The secret.
        secret: String,
        /// The service's origin.
        origin: Origin,
    },
    /// The secret may not go to that origin.
    #[error(
        "service `{service}` sends the secret `{secret}` to {origin}, which is not among its `origins` in ops.yaml"
    )]
    Origin {
        /// The service.
        service: String,
        /// The secret.
        secret: String,
        /// The service's origin.
        origin: Origin,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "the settings, a map with `workspace`")]
struct Written {
    workspace: At<String>,
    #[serde(default)]
    secrets: Entries<WrittenSecret>,
    #[serde(default)]
    approvals: WrittenApprovals,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a secret, such as {from: \"env:NAME\", origins: [\"https://host:443\"]}"
)]
struct WrittenSecret {
    from: At<String>,
    origins: At<Vec<At<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {plan: 24h, approval: 1h}")]
struct WrittenApprovals {
    plan: Option<At<Scalar>>,
    approval: Option<At<Scalar>>,
    #[serde(rename = "self")]
    own: Option<Own>,
    destructive: Option<At<u8>>,
}

impl Settings {
    /// Reads `ops.yaml`. `file` is its name for people.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, one at a time, with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let source = Source::new(file, bytes)?;
        let written: Written = source.parse(&LATER)?;
        written.check().map_err(|wrong| source.wrong(wrong))
    }

    /// Checks that each credential of a binding goes where its secret may go.
    ///
    /// # Errors
    ///
    /// The first service with a secret that is not named, or not for its origin.
    pub fn admit(&self, binding: &Binding) -> Result<(), SecretRefused> {
        for (name, service) in &binding.services {
            let Some(credential) = &service.credential else { continue };
            let (origin, secret) = (service.origin.clone(), credential.secret.clone());
            match self.secrets.get(&secret) {
                None => return Err(SecretRefused::Unknown { service: name.clone(), secret, origin }),
                Some(known) if !known.origins.contains(&origin) => {
                    return Err(SecretRefused::Origin { service: name.clone(), secret, origin });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Written {
    fn check(self) -> Result<Settings, Wrong> {
        name::check_word(&self.workspace.value).map_err(|why| Wrong::at(&self.workspace, why))?;
        let mut secrets = BTreeMap::new();
        for (key, secret) in self.secrets.0 {
            name::check_word(&key.value).map_err(|why| Wrong::at(&key, why))?;
            secrets.insert(key.value, secret.check()?);
        }
        Ok(Settings { workspace: self.workspace.value, secrets, approvals: self.approvals.check()? })
    }
}

impl WrittenSecret {
    fn check(self) -> Result<Secret, Wrong> {
        source(&self.from)?;
        if self.origins.value.is_empty() {
            return Err(Wrong::at(
                &self.origins,
                "a secret without origins can be sent nowhere; list at least one",
            ));
        }
        let mut origins = Vec::new();
        for origin in &self.origins.value {
            origins.push(Origin::parse(&origin.value).map_err(|why| Wrong::at(origin, why))?);
        }
        Ok(Secret { from: self.from.value, origins })
    }
}

/// Checks the syntax of a secret's source.
fn source(from: &At<String>) -> Result<(), Wrong> {
    let hint = "write \"env:NAME\" or \"file:PATH\"";
    match from.value.split_once(':') {
        Some(("env", name)) => {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if name.is_empty() || !plain || name.starts_with(|first: char| first.is_ascii_digit()) {
                return Err(Wrong::at(from, format!("`{name}` is not the name of an environment variable")));
            }
            Ok(())
        }
        Some(("file", path)) => {
            let inside = path.strip_prefix('/').unwrap_or(path);
            grant_path::relative(inside).map_err(|why| Wrong::at(from, why))
        }
        Some((kind @ ("systemd" | "infisical"), _)) => {
            Err(Wrong::at(from, format!("secrets from `{kind}:` are not available in this version"))
                .hint(hint))
        }
        _ => Err(Wrong::at(from, "this is no source of a secret").hint(hint)),
    }
}

impl WrittenApprovals {
    fn check(self) -> Result<Approvals, Wrong> {
        let default = Approvals::default();
        let destructive = match self.destructive {
            None => default.destructive,
            Some(count) if (1..=3).contains(&count.value) => count.value,
            Some(count) => return Err(Wrong::at(&count, "the number of approvals is from 1 to 3")),
        };
        Ok(Approvals {
            plan: limits::time(self.plan.as_ref(), default.plan, DAY, "24h")?,
            approval: limits::time(self.approval.as_ref(), default.approval, HOUR, "1h")?,
            own: self.own.unwrap_or(default.own),
            destructive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse("ops/ops.yaml", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_and_least() {
        let settings = parse(
            "workspace: demo\nsecrets:\n  mail-token: {from: \"env:MAIL_TOKEN\", origins: [\"https://mail.example.internal\"]}\n  \
             other: {from: file:/etc/ops/token, origins: [\"https://a.example:8443\"]}\n\
             approvals: {plan: 8h, approval: 30m, self: refused, destructive: 2}\n",
        )
        .unwrap();
        assert_eq!(
            settings.secrets["mail-token"].origins[0].to_string(),
            "https://mail.example.internal:443"
        );
        assert_eq!(settings.approvals.approval, Duration::from_secs(1800));
        assert_eq!((settings.approvals.own, settings.approvals.destructive), (Own::Refused, 2));
        assert_eq!(parse("workspace: demo").unwrap().approvals, Approvals::default());
    }

    #[test]
    fn refused() {
        for (text, message) in [
            ("{}", "the field `workspace` is missing"),
            ("workspace: Demo", "is not a name"),
            ("workspace: demo\nrecords: {retention: 30d}", "`records` is not available in this version"),
            ("workspace: demo\nagents: {}", "`agents` is not available in this version"),
            ("workspace: demo\nrequire: {landlock: true}", "`require` is not available in this version"),
            ("workspace: demo\nsecret: {}", "did you mean `secrets`?"),
            (
                "workspace: demo\nsecrets: {a: {from: \"env:A B\", origins: [\"https://x\"]}}",
                "environment variable",
            ),
            (
                "workspace: demo\nsecrets: {a: {from: \"systemd:x\", origins: [\"https://x\"]}}",
                "not available in this version",
            ),
            (
                "workspace: demo\nsecrets: {a: {from: \"infisical:x\", origins: [\"https://x\"]}}",
                "not available in this version",
            ),
            ("workspace: demo\nsecrets: {a: {from: \"file:../x\", origins: [\"https://x\"]}}", "holds `..`"),
            (
                "workspace: demo\nsecrets: {a: {from: hunter2, origins: [\"https://x\"]}}",
                "no source of a secret",
            ),
            ("workspace: demo\nsecrets: {a: {from: \"env:A\", origins: []}}", "list at least one"),
            ("workspace: demo\nsecrets: {a: {from: \"env:A\", origins: [\"https://*.x\"]}}", "wildcards"),
            ("workspace: demo\nsecrets: {a: {from: \"env:A\"}}", "the field `origins` is missing"),
            ("workspace: demo\nsecrets: {A: {from: \"env:A\", origins: [\"https://x\"]}}", "is not a name"),
            ("workspace: demo\napprovals: {plan: 25h}", "at most 24h"),
            ("workspace: demo\napprovals: {approval: 61m}", "at most 1h"),
            ("workspace: demo\napprovals: {destructive: 0}", "from 1 to 3"),
            (
                "workspace: demo\napprovals: {self: maybe}",
                "unknown word `maybe`, expected one of `refused`, `allowed`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message) && error.starts_with("ops/ops.yaml:"), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_go_only_where_they_may() {
        let binding = |origin: &str| {
            let text = format!(
                "{{capability: a.b, component: c.wasm, safety: read-only, services: {{mail: {{origin: \"{origin}\", \
                 credential: {{secret: token, header: Authorization, as: \"Bearer {{}}\"}}, \
                 rules: [{{id: r, method: GET, path: /, effect: read}}]}}}}}}"
            );
            Binding::parse("b.yaml", text.as_bytes()).unwrap()
        };
        let known =
            "workspace: demo\nsecrets: {token: {from: \"env:T\", origins: [\"https://mail.example\"]}}";
        let settings = parse(known).unwrap();
        assert_eq!(settings.admit(&binding("https://MAIL.example:443")), Ok(()));
        assert!(
            settings
                .admit(&binding("https://evil.example"))
                .unwrap_err()
                .to_string()
                .contains("not among its")
        );
        assert!(settings.admit(&binding("https://mail.example:444")).is_err());
        let error = parse("workspace: demo").unwrap().admit(&binding("https://mail.example")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("token: {from: \"env:NAME\", origins: [\"https://mail.example:443\"]}")
        );
    }
}
