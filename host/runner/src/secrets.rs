//! The secrets of a run: each read at its first use, kept until the run ends, and read again, once, where a service
//! no longer takes it. What people or logs see goes through the [`Veil`], which hides every one that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ops_egress::infisical;
use ops_egress::scrub::Scrubber;
use ops_egress::secret::{self, Secret, SecretSource};
use ops_egress::send::Egress;
use ops_egress::tls::Trust;
use ops_policy::service::Tls;
use ops_policy::settings::Settings;

use crate::trail::Trail;

/// Hides the secrets that a run has read so far. Clones hide the same ones.
#[derive(Clone)]
pub(crate) struct Veil(Arc<Mutex<Arc<Scrubber>>>);

impl Default for Veil {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Arc::new(Scrubber::new(&[])))))
    }
}

impl Veil {
    /// A text without secrets.
    pub(crate) fn over(&self, text: &str) -> String {
        let scrubber = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        scrubber.text(text)
    }

    /// Whether some bytes hold one of the secrets.
    pub(crate) fn hides(&self, bytes: &[u8]) -> bool {
        let scrubber = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        scrubber.bytes(bytes) != bytes
    }

    fn hide(&self, secrets: &[Secret]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Scrubber::new(secrets));
    }
}

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
    /// Those that were read again: a service that refuses everything must not make us ask for ever.
    refreshed: BTreeSet<String>,
    veil: Veil,
    trail: Trail,
}

impl Secrets {
    pub(crate) fn new(
        egress: Arc<Egress>,
        settings: Arc<Settings>,
        root: PathBuf,
        authority: Option<Vec<u8>>,
        veil: Veil,
        trail: Trail,
    ) -> Self {
        let (known, former, refreshed) = Default::default();
        Self { egress, settings, root, authority, known, former, refreshed, veil, trail }
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
        self.keep(name, secret.clone());
        Ok(secret)
    }

    /// Takes a value over, and hides it from now on.
    fn keep(&mut self, name: &str, secret: Secret) {
        self.former.extend(self.known.insert(name.to_owned(), secret));
        self.veil.hide(&self.known());
    }

    /// Reads secrets again. Whether one of them has another value now; those are used from here on.
    pub(crate) async fn refresh(&mut self, names: &[&str], deadline: Instant) -> bool {
        let mut changed = false;
        for name in names {
            if !self.refreshed.insert((*name).to_owned()) {
                continue;
            }
            // One that cannot be read now is as good as it was: the service's refusal is what the caller hears.
            let Ok(new) = self.read(name, deadline).await else { continue };
            if self.known.get(*name).is_none_or(|old| !old.same_value(&new)) {
                self.keep(name, new);
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
                self.keep(password, secret.clone());
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
        self.trail.ready()?;
        let (secret, exchanges) =
            infisical::read(&self.egress, &server, name, &password, place, deadline).await;
        for exchange in exchanges {
            self.trail.asked_for_secret(&exchange);
        }
        secret.map_err(|error| error.to_string())
    }
}
