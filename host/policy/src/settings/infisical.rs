//! The secrets service that `infisical:` sources name: where it is, how it is reached, and what the host shows it to
//! be let in.
//!
//! The client secret is a secret like any other: `ops.yaml` names it and says that it may go to this origin. It
//! cannot come from Infisical itself. Checked here, in order: origin, addresses, TLS, client id, client secret.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;

use super::Secret;
use crate::origin::Origin;
use crate::service;
use crate::service::tls::{self, Tls};
use crate::yaml::{self, At, Wrong};

/// The longest client id, in bytes. Infisical's are UUIDs.
const CLIENT_ID_BYTES: usize = 128;
/// The longest source, in bytes, and the most segments in it.
const SOURCE_BYTES: usize = 512;
const SEGMENTS: usize = 16;

/// How the host reads secrets from Infisical, by universal authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infisical {
    /// Where it lives.
    pub origin: Origin,
    /// Ranges, not globally routable, in which it may be dialled.
    pub addresses: Vec<IpNet>,
    /// How its certificate is checked, where not by the system's roots.
    pub tls: Option<Tls>,
    /// The machine identity's client id, which is no secret.
    pub client_id: String,
    /// The name of the secret of `ops.yaml` that holds the client secret.
    pub client_secret: String,
}

/// The section as written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map with `origin`, `client_id` and `client_secret`, the name of another secret"
)]
pub(super) struct Written {
    origin: At<String>,
    #[serde(default)]
    addresses: Vec<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    tls: Option<At<tls::Written>>,
    client_id: At<String>,
    client_secret: At<String>,
}

impl Written {
    pub(super) fn check(self, secrets: &BTreeMap<String, Secret>) -> Result<Infisical, Wrong> {
        let (origin, addresses) = service::reach(&self.origin, &self.addresses)?;
        let tls = self.tls.map(|tls| tls::check(tls, &origin)).transpose()?;
        let id = &self.client_id.value;
        if id.is_empty() || id.len() > CLIENT_ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Wrong::at(&self.client_id, "a client id is 1 to 128 bytes of visible ASCII"));
        }
        client_secret(&self.client_secret, &origin, secrets)?;
        let (client_id, client_secret) = (self.client_id.value, self.client_secret.value);
        Ok(Infisical { origin, addresses, tls, client_id, client_secret })
    }
}

/// Somebody may have pasted the secret itself, so no text here repeats what is not a known name.
fn client_secret(
    written: &At<String>,
    origin: &Origin,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), Wrong> {
    let name = &written.value;
    let line = |name: &str| {
        format!("under `secrets:` add `{name}: {{from: \"file:/etc/ops/NAME\", origins: [\"{origin}\"]}}`")
    };
    let Some(secret) = secrets.get(name) else {
        let text = "`client_secret` is the name of one of the `secrets` of this file, and there is none of this name";
        return Err(Wrong::at(written, text).hint(line("infisical-client")));
    };
    if secret.from.starts_with("infisical:") {
        let text = format!("the secret `{name}` is read from Infisical, which needs it to let the host in");
        return Err(Wrong::at(written, text).hint(line(name)));
    }
    if !secret.origins.contains(origin) {
        let text = format!("the secret `{name}` may not go to {origin}");
        return Err(Wrong::at(written, text).hint(format!("add \"{origin}\" to the secret's `origins`")));
    }
    Ok(())
}

/// Whether a source, without its `infisical:`, is `PROJECT/ENVIRONMENT/NAME`, with folders between the last two.
pub(super) fn is_source(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    let segments = text.split('/').count();
    text.len() <= SOURCE_BYTES && (3..=SEGMENTS).contains(&segments) && text.split('/').all(segment)
}
