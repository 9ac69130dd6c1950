//! `ops.yaml`: the workspace's own settings.
//!
//! It names the secrets and the origins that each may be sent to, so that a binding alone cannot carry a secret
//! somewhere new; it bounds how long plans and approvals live, and what is kept of runs; and it says what a host must have. Values of secrets are never in it; where somebody
//! has pasted one, no error shows it: where secrets are named, an error gives the place and not the text.

mod agents;
pub mod audit;
mod infisical;
mod require;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::binding::Binding;
use crate::grant_path;
use crate::limits::{self, DAY, GIB, HOUR, MIB, TIB, TICK};
use crate::name;
use crate::origin::Origin;
use crate::scalar::Scalar;
pub use crate::settings::agents::Role;
pub use crate::settings::infisical::Infisical;
pub use crate::settings::require::Require;
use crate::yaml::{self, At, Entries, FileError, Source, Wrong};

/// The longest that bodies of requests and answers are kept: ten years of 365 days.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The fields whose text an error may show.
const PUBLIC: [&str; 6] = ["workspace", "approvals", "records", "agents", "require", "audit"];

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The workspace's name.
    pub workspace: String,
    /// The secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// What holds for every approval.
    pub approvals: Approvals,
    /// What the content store keeps.
    pub records: Records,
    /// Where `infisical:` sources are read.
    pub infisical: Option<Infisical>,
    /// Who may come through MCP, by name, and as what.
    pub agents: BTreeMap<String, Role>,
    /// What must be so on a host before anything runs.
    pub require: Require,
    /// Findings of an audit that are as they should be.
    pub audit: audit::Audit,
}

/// Where a secret comes from and where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// `env:NAME`, `file:PATH` (a relative path is relative to the workspace), `systemd:NAME` (a credential of the
    /// service), or `infisical:PROJECT/ENVIRONMENT/NAME` (with folders between the last two, where there are some).
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

/// What the content store keeps of the bodies of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    /// How long, from an hour to ten years.
    pub retention: Duration,
    /// How many bytes at most, from 1 MiB to 1 TiB.
    pub store: u64,
}

impl Default for Records {
    fn default() -> Self {
        Self { retention: 30 * DAY, store: 2 * GIB }
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
        "service `{service}` sends the secret `{secret}` to {origin}, which is not among its `origins` in ops.yaml; \
         add there `\"{origin}\"`"
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
    #[serde(default)]
    records: WrittenRecords,
    #[serde(default, deserialize_with = "yaml::present")]
    infisical: Option<infisical::Written>,
    #[serde(default)]
    agents: agents::Written,
    #[serde(default)]
    require: require::Written,
    #[serde(default)]
    audit: audit::Written,
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
    #[serde(default, deserialize_with = "yaml::present")]
    plan: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    approval: Option<At<Scalar>>,
    #[serde(default, rename = "self", deserialize_with = "yaml::present")]
    own: Option<Own>,
    #[serde(default, deserialize_with = "yaml::present")]
    destructive: Option<At<u8>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {retention: 30d, store: 2GiB}")]
struct WrittenRecords {
    #[serde(default, deserialize_with = "yaml::present")]
    retention: Option<At<Scalar>>,
    #[serde(default, deserialize_with = "yaml::present")]
    store: Option<At<Scalar>>,
}

impl Settings {
    /// The settings of a file that holds a name and nothing else.
    pub fn empty(workspace: &str) -> Self {
        Self {
            workspace: workspace.to_owned(),
            secrets: BTreeMap::new(),
            approvals: Approvals::default(),
            records: Records::default(),
            infisical: None,
            agents: BTreeMap::new(),
            require: Require::default(),
            audit: audit::Audit::default(),
        }
    }

    /// Reads `ops.yaml`. `file` is its name for people.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, one at a time, with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let source = Source::private(file, bytes, &PUBLIC)?;
        let written: Written = source.parse()?;
        written.check().map_err(|wrong| source.wrong(wrong))
    }

    /// Checks that each secret of a binding, in a header or in a body, goes where it may go.
    ///
    /// # Errors
    ///
    /// The first service with a secret that is not named, or not for its origin.
    pub fn admit(&self, binding: &Binding) -> Result<(), SecretRefused> {
        for (name, service) in &binding.services {
            // The host itself is sent no secret.
            let Some(to) = &service.origin else { continue };
            let credential = service.credential.iter().map(|credential| &credential.secret);
            for secret in credential.chain(service.secrets.iter().map(|secret| &secret.name)) {
                let (service, secret, origin) = (name.clone(), secret.clone(), to.clone());
                match self.secrets.get(&secret) {
                    None => return Err(SecretRefused::Unknown { service, secret, origin }),
                    Some(known) if !known.origins.contains(&origin) => {
                        return Err(SecretRefused::Origin { service, secret, origin });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

impl Written {
    fn check(self) -> Result<Settings, Wrong> {
        name::check_word(&self.workspace.value).map_err(|why| Wrong::at(&self.workspace, why))?;
        let (mut secrets, mut remote) = (BTreeMap::new(), None);
        for (key, secret) in self.secrets.0 {
            name::check_word(&key.value).map_err(|why| Wrong::at(&key, why))?;
            let secret = secret.check()?;
            if secret.from.starts_with("infisical:") {
                remote.get_or_insert(key.clone());
            }
            secrets.insert(key.value, secret);
        }
        let infisical = self.infisical.map(|written| written.check(&secrets)).transpose()?;
        if let (Some(key), None) = (remote, &infisical) {
            let text = format!(
                "the secret `{}` is read from Infisical, and this file does not say where that is",
                key.value
            );
            return Err(Wrong::at(&key, text).hint(
                "add `infisical: {origin: \"https://HOST\", client_id: ID, client_secret: NAME}`, NAME being another secret",
            ));
        }
        let approvals = self.approvals.check()?;
        let records = self.records.check()?;
        let (agents, require) = (self.agents.check()?, self.require.check()?);
        let audit = self.audit.check()?;
        let workspace = self.workspace.value;
        Ok(Settings { workspace, secrets, approvals, records, infisical, agents, require, audit })
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

/// Checks the syntax of a secret's source. No text here repeats it: somebody may have pasted the secret itself.
fn source(from: &At<String>) -> Result<(), Wrong> {
    let why = match from.value.split_once(':') {
        Some(("env", name)) => {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let digit = name.starts_with(|first: char| first.is_ascii_digit());
            (name.is_empty() || !plain || digit)
                .then_some("what follows `env:` is not the name of an environment variable")
        }
        Some(("file", path)) => {
            let inside = path.strip_prefix('/').unwrap_or(path);
            // No shell reads it, so `~` would be a folder of that name.
            (path.starts_with('~') || grant_path::relative(inside).is_err()).then_some(
                "what follows `file:` is not a plain path; it may begin with `/`, not with `~`, and has no empty part, `.` or `..`",
            )
        }
        Some(("systemd", name)) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let fits =
                !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(plain);
            (!fits).then_some("what follows `systemd:` is not the name of a credential")
        }
        Some(("infisical", path)) => (!infisical::is_source(path)).then_some(
            "what follows `infisical:` is PROJECT/ENVIRONMENT/NAME, or with folders before the name",
        ),
        _ => Some("this is no source of a secret"),
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Wrong::at(from, why).hint(
            "write \"env:NAME\", \"file:PATH\", \"systemd:NAME\" or \"infisical:PROJECT/ENVIRONMENT/NAME\"; the secret itself \
             does not belong here",
        )),
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
            plan: limits::time(self.plan.as_ref(), default.plan, TICK..=DAY, "above 0 and at most 24h")?,
            approval: limits::time(
                self.approval.as_ref(),
                default.approval,
                TICK..=HOUR,
                "above 0 and at most 1h",
            )?,
            own: self.own.unwrap_or(default.own),
            destructive,
        })
    }
}

impl WrittenRecords {
    fn check(self) -> Result<Records, Wrong> {
        let default = Records::default();
        let (ages, sizes) = (HOUR..=TEN_YEARS, MIB..=TIB);
        Ok(Records {
            retention: limits::time(self.retention.as_ref(), default.retention, ages, "from 1h to 3650d")?,
            store: limits::size(self.store.as_ref(), default.store, sizes, "from 1MiB to 1TiB")?,
        })
    }
}

#[cfg(test)]
mod tests;
