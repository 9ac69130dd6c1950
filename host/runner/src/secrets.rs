//! The secrets of a run: each read at its first use, kept until the run ends, and read again where a service no
//! longer takes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ops_egress::infisical;
use ops_egress::secret::{self, Secret, SecretSource};
use ops_egress::send::Egress;
use ops_egress::tls::Trust;
use ops_policy::service::Tls;
use ops_policy::settings::Settings;

/// Reads secrets as `ops.yaml` declares them.
pub(crate) struct Secrets {
    egress: Arc<Egress>,
    settings: Arc<Settings>,
    /// The folder of `ops.yaml`.
    root: PathBuf,
    /// The private certificate authority of the Infisical server, where it has one.
    authority: Option<Vec<u8>>,
    known: BTreeMap<String, Secret>,
    /// Values that a service no longer took. They are secrets still.
    former: Vec<Secret>,
}

impl Secrets {
    pub(crate) fn new(
        egress: Arc<Egress>,
        settings: Arc<Settings>,
        root: PathBuf,
        authority: Option<Vec<u8>>,
    ) -> Self {
        Self { egress, settings, root, authority, known: BTreeMap::new(), former: Vec::new() }
    }

    /// All that were read so far, for scrubbing.
    pub(crate) fn known(&self) -> Vec<Secret> {
        self.known.values().chain(&self.former).cloned().collect()
    }

    /// A secret, read if it was not yet.
    pub(crate) async fn get(&mut self, name: &str, deadline: Instant) -> Result<Secret, String> {
        if let Some(secret) = self.known.get(name) {
            return Ok(secret.clone());
        }
        let secret = self.read(name, deadline).await?;
        self.known.insert(name.to_owned(), secret.clone());
        Ok(secret)
    }

    /// Reads secrets again. Whether one of them has another value now; those are used from here on.
    pub(crate) async fn refresh(&mut self, names: &[&str], deadline: Instant) -> bool {
        let mut changed = false;
        for name in names {
            // One that cannot be read now is as good as it was: the service's refusal is what the caller hears.
            let Ok(new) = self.read(name, deadline).await else { continue };
            if self.known.get(*name).is_none_or(|old| !old.same_value(&new)) {
                self.former.extend(self.known.insert((*name).to_owned(), new));
                changed = true;
            }
        }
        changed
    }

    async fn read(&mut self, name: &str, deadline: Instant) -> Result<Secret, String> {
        match self.source(name)? {
            SecretSource::Infisical(place) => self.ask_infisical(name, &place, deadline).await,
            local => secret::read(name, &local, &self.root).map_err(|error| error.to_string()),
        }
    }

    fn source(&self, name: &str) -> Result<SecretSource, String> {
        let declared =
            self.settings.secrets.get(name).ok_or_else(|| format!("ops.yaml declares no secret `{name}`"))?;
        SecretSource::parse(&declared.from).map_err(|error| format!("secret `{name}`: {error}"))
    }

    async fn ask_infisical(
        &mut self,
        name: &str,
        place: &infisical::Place,
        deadline: Instant,
    ) -> Result<Secret, String> {
        let settings = self.settings.clone();
        let server = settings
            .infisical
            .as_ref()
            .ok_or_else(|| format!("secret `{name}`: ops.yaml has no `infisical:`"))?;
        let password = &server.client_secret;
        let password = match self.known.get(password) {
            Some(secret) => secret.clone(),
            None => {
                let secret = secret::read(password, &self.source(password)?, &self.root)
                    .map_err(|error| error.to_string())?;
                self.known.insert(password.clone(), secret.clone());
                secret
            }
        };
        let trust = match &server.tls {
            None => Trust::System,
            Some(Tls::Pinned { fingerprint }) => Trust::Pinned(fingerprint.bytes()),
            Some(Tls::Authority { .. }) => Trust::Authority(self.authority.as_deref().unwrap_or_default()),
        };
        let server = infisical::Server {
            origin: &server.origin,
            addresses: &server.addresses,
            trust,
            client_id: &server.client_id,
        };
        infisical::read(&self.egress, &server, name, &password, place, deadline)
            .await
            .map_err(|error| error.to_string())
    }
}
