//! From an allowed request to an answer: the credential, the egress, and what the receipt says of it.
//!
//! Reads and effects leave the host through this one function. It counts what was used, keeps the deadline of the
//! phase, and scrubs the credential from what comes back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ops_egress::secret::{self, Secret, SecretSource};
use ops_egress::send::{Budget, Egress, SendError, Sent, Target};
use ops_egress::wire::Credential;
use ops_policy::decide::Allowed;
use ops_policy::limits::Limits;
use ops_policy::message::NetError;
use ops_policy::rights::Rights;
use ops_policy::settings::Settings;

/// How long an effect in flight may take past the run's own limit, so that its answer is not lost for a moment.
const GRACE: Duration = Duration::from_secs(10);

/// What was used of one rule at one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UseKey {
    pub(crate) service: String,
    pub(crate) rule: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) address: Option<String>,
}

/// How much was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) count: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// Sends what policy allowed.
pub(crate) struct Sender {
    egress: Arc<Egress>,
    rights: Arc<Rights>,
    settings: Arc<Settings>,
    /// Certificates by service, read and checked beforehand.
    authorities: BTreeMap<String, Vec<u8>>,
    root: PathBuf,
    limits: Limits,
    deadline: Instant,
    left: u64,
    secrets: BTreeMap<String, Secret>,
    pub(crate) used: BTreeMap<UseKey, Used>,
}

/// Why nothing came back.
pub(crate) enum SendFailure {
    /// For the guest.
    Answer { error: NetError, maybe_sent: bool, address: Option<String> },
    /// The credential cannot be had: an operator's matter, so the run ends.
    Credential(String),
}

impl Sender {
    pub(crate) fn new(
        egress: Arc<Egress>,
        rights: Arc<Rights>,
        settings: Arc<Settings>,
        authorities: BTreeMap<String, Vec<u8>>,
        root: PathBuf,
        limits: Limits,
    ) -> Self {
        Self {
            egress,
            rights,
            settings,
            authorities,
            root,
            limits,
            deadline: Instant::now() + limits.time,
            left: limits.requests,
            secrets: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    /// How many requests a phase may make, and how many effects a plan may have.
    pub(crate) fn max_requests(&self) -> u64 {
        self.limits.requests
    }

    /// The secrets that were read, for scrubbing what the run leaves.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.values().cloned().collect()
    }

    /// Sends one request. `effect` is waited for a little past the deadline, because it cannot be asked again.
    pub(crate) async fn send(
        &mut self,
        allowed: &Allowed,
        effect: bool,
    ) -> Result<(Sent, String), SendFailure> {
        let plain = |error| SendFailure::Answer { error, maybe_sent: false, address: None };
        let Some(service) = self.rights.services.get(&allowed.service).map(|service| service.grant.clone())
        else {
            return Err(plain(NetError::NotGranted(format!("service `{}` is not bound", allowed.service))));
        };
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            plain(NetError::Limit(format!(
                "the binding allows {} requests in a phase (limits.requests)",
                self.limits.requests
            )))
        })?;
        let credential = match &service.credential {
            None => None,
            Some(credential) => {
                let secret = self.secret(&credential.secret).map_err(SendFailure::Credential)?;
                Some((format!("{}{{}}{}", credential.before, credential.after), &credential.header, secret))
            }
        };
        let target = Target {
            service: &allowed.service,
            origin: &service.origin,
            addresses: &service.addresses,
            ca: self.authorities.get(&allowed.service).map(Vec::as_slice),
            credential: credential.as_ref().map(|(form, header, secret)| Credential { header, form, secret }),
        };
        let deadline = if effect { self.deadline.max(Instant::now() + GRACE) } else { self.deadline };
        let budget = Budget { deadline, response: self.limits.response };
        let sent = self.egress.send(&target, &allowed.request, &budget).await;
        let (address, bytes_sent, received) = match &sent {
            Ok(sent) => (Some(sent.address), sent.bytes_sent, sent.bytes_received),
            Err(error) => (error.address, 0, error.received),
        };
        let address = address.map(|address| address.to_string());
        let path = allowed.request.target.split('?').next().unwrap_or_default().to_owned();
        let key = UseKey {
            service: allowed.service.clone(),
            rule: allowed.rule.clone(),
            method: allowed.request.method.clone(),
            path,
            address: address.clone(),
        };
        let used = self.used.entry(key).or_default();
        used.count += 1;
        used.sent += bytes_sent;
        used.received += received;
        match sent {
            Ok(sent) => {
                let address = sent.address.to_string();
                Ok((sent, address))
            }
            Err(SendError { error, sent: maybe_sent, .. }) => {
                Err(SendFailure::Answer { error, maybe_sent, address })
            }
        }
    }

    /// A secret, read at its first use in the run.
    fn secret(&mut self, name: &str) -> Result<Secret, String> {
        if let Some(secret) = self.secrets.get(name) {
            return Ok(secret.clone());
        }
        let declared =
            self.settings.secrets.get(name).ok_or_else(|| format!("ops.yaml declares no secret `{name}`"))?;
        let source =
            SecretSource::parse(&declared.from).map_err(|error| format!("secret `{name}`: {error}"))?;
        let secret = secret::read(name, &source, &self.root).map_err(|error| error.to_string())?;
        self.secrets.insert(name.to_owned(), secret.clone());
        Ok(secret)
    }
}
