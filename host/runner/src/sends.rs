//! From an allowed request to an answer: the secrets, the egress, and whether it is tried again.
//!
//! Reads and effects leave the host through this one function. In this order, for each try: the audit log can be
//! written; the budget of requests has one left; the secrets are there; the egress sends; the use is counted and
//! written down. A request is tried again only where that cannot do a thing twice, within the one budget of retries
//! that the run has; and once with a secret that was changed meanwhile, where the old one was refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ops_egress::retry::{Budget as Retries, Tries};
use ops_egress::secret::Secret;
use ops_egress::send::{Budget, Egress, Failure, Filling, SendError, Sent, Target};
use ops_egress::tls::Trust;
use ops_egress::wire::Credential;
use ops_ledger::audit;
use ops_policy::decide::Allowed;
use ops_policy::limits::Limits;
use ops_policy::message::{Header, NetError, Response, WireRequest};
use ops_policy::rights::Rights;
use ops_policy::service::{Service, Tls};
use tokio::sync::watch;

use crate::own::OwnAnswers;
use crate::secrets::{Secrets, Veil};
use crate::trail::{Came, Trail};

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

/// What the phases of one run share on their way out.
pub(crate) struct Outbound {
    pub(crate) egress: Arc<Egress>,
    /// Answers for the service that is the host itself.
    pub(crate) own: OwnAnswers,
    /// Certificate authorities by service, read and checked beforehand.
    pub(crate) authorities: BTreeMap<String, Vec<u8>>,
    pub(crate) secrets: Secrets,
    pub(crate) veil: Veil,
    pub(crate) retries: Retries,
    pub(crate) trail: Trail,
}

/// Sends what policy allowed, in one phase.
pub(crate) struct Sender {
    pub(crate) outbound: Outbound,
    pub(crate) uses: BTreeMap<UseKey, Used>,
    /// The request that is on its way. Where the run's time ends meanwhile, nothing else tells of it.
    in_flight: Option<Allowed>,
    /// Services whose addresses may not be dialled, in words, and how often that was found.
    pub(crate) undialled: BTreeMap<String, u64>,
    rights: Arc<Rights>,
    limits: Limits,
    phase: audit::Phase,
    /// Turns `true` when nothing more is to be begun.
    cancel: watch::Receiver<bool>,
    deadline: Instant,
    left: u64,
}

/// What kind of request it is.
pub(crate) enum Kind {
    /// Nothing changes by it.
    Read,
    /// An effect of the plan. Its idempotency key goes out where the rule names a header for it.
    Effect { key: String },
}

/// Why nothing came back.
pub(crate) enum SendFailure {
    /// For the guest.
    Answer { error: NetError, maybe_sent: bool, address: Option<String> },
    /// A secret cannot be had, or the audit log not be written: an operator's matter, so the run ends.
    Host { code: &'static str, why: String },
}

/// A request with all that it needs but its secrets, which may change between two tries.
struct Outgoing<'a> {
    allowed: &'a Allowed,
    service: &'a Service,
    request: WireRequest,
    deadline: Instant,
}

impl Sender {
    pub(crate) fn new(
        outbound: Outbound,
        rights: Arc<Rights>,
        limits: Limits,
        phase: audit::Phase,
        cancel: watch::Receiver<bool>,
    ) -> Self {
        Self {
            outbound,
            uses: BTreeMap::new(),
            in_flight: None,
            undialled: BTreeMap::new(),
            rights,
            limits,
            phase,
            cancel,
            deadline: Instant::now() + limits.time,
            left: limits.requests,
        }
    }

    /// Counts the run's time from now.
    pub(crate) fn begin(&mut self) {
        self.deadline = Instant::now() + self.limits.time;
    }

    /// How many requests a phase may make, and how many effects a plan may have.
    pub(crate) fn max_requests(&self) -> u64 {
        self.limits.requests
    }

    /// Where this phase's decisions are written down.
    pub(crate) fn trail(&self) -> (&Trail, audit::Phase) {
        (&self.outbound.trail, self.phase)
    }

    /// Sends one request, more than once where that is safe and of use. An effect is waited for a little past the
    /// deadline, because it cannot be asked again.
    pub(crate) async fn send(
        &mut self,
        allowed: &Allowed,
        kind: &Kind,
    ) -> Result<(Sent, String), SendFailure> {
        let rights = self.rights.clone();
        let bound = rights.services.get(&allowed.service).map(|service| &service.grant);
        let Some((service, rule)) = bound.and_then(|service| Some((service, service.rule(&allowed.rule)?)))
        else {
            let error = NetError::NotGranted(format!("service `{}` is not bound", allowed.service));
            return Err(SendFailure::Answer { error, maybe_sent: false, address: None });
        };
        let mut request = allowed.request.clone();
        let mut deadline = self.deadline;
        if let Kind::Effect { key } = kind {
            let header = rule.idempotency.clone().map(|name| Header { name, value: key.clone() });
            request.headers.extend(header);
            deadline = deadline.max(Instant::now() + GRACE);
        }
        let outgoing = Outgoing { allowed, service, request, deadline };
        let is_effect = matches!(kind, Kind::Effect { .. });
        let mut tries = Tries::new();
        // An answer to an earlier try counts more than none to a later one.
        let (mut maybe_sent, mut answered, mut refreshed) = (false, None, false);
        loop {
            let outcome = match self.attempt(&outgoing, is_effect).await {
                // An operator's matter in a second try does not undo the first.
                Err(SendFailure::Host { why, .. }) if is_effect && (maybe_sent || answered.is_some()) => {
                    let error = NetError::Connection(why);
                    return Err(SendFailure::Answer { error, maybe_sent: true, address: None });
                }
                outcome => outcome?,
            };
            let refused = outcome.as_ref().is_ok_and(|sent| sent.response.status == 401);
            if refused && !refreshed && self.left > 0 && !*self.cancel.borrow() {
                refreshed = true;
                if self.refresh(&outgoing).await {
                    continue;
                }
            }
            // What surely did not arrive may be sent again whatever it is.
            let safe = rule.is_repeatable() || outcome.as_ref().is_err_and(|error| !error.sent);
            let left = self.deadline.saturating_duration_since(Instant::now());
            let pause = match safe && self.left > 0 {
                true => self.outbound.retries.next(&mut tries, outcome.as_ref(), left),
                false => None,
            };
            let go_on = match pause {
                Some(pause) => self.waited(pause).await,
                None => false,
            };
            if !go_on {
                return finished(outcome, maybe_sent && is_effect, answered, &allowed.service);
            }
            match outcome {
                Ok(sent) => answered = Some(sent),
                Err(error) => maybe_sent |= error.sent,
            }
        }
    }

    /// A read of what the host itself knows. It is counted and written down like any other, and nothing is dialled.
    pub(crate) fn own(&mut self, allowed: &Allowed) -> Result<Response, SendFailure> {
        let none = |error| SendFailure::Answer { error, maybe_sent: false, address: None };
        self.spend()?;
        let response = (self.outbound.own)(&allowed.request);
        let received = response.body.len() as u64;
        let came = Came { received, status: Some(response.status), ..Came::default() };
        if received > self.limits.response {
            self.used(allowed, Came { status: None, failure: Some("too-large"), ..came });
            let limit = self.limits.response;
            let why = format!("the answer is longer than {limit} bytes, the binding's limits.response");
            return Err(none(NetError::TooLarge(why)));
        }
        self.used(allowed, came);
        Ok(response)
    }

    /// Takes one request off the budget, if the audit log can have a line of it.
    fn spend(&mut self) -> Result<(), SendFailure> {
        self.outbound.trail.ready().map_err(|why| SendFailure::Host { code: "audit", why })?;
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let limit = self.limits.requests;
            let error =
                NetError::Limit(format!("the binding allows {limit} requests in a phase (limits.requests)"));
            SendFailure::Answer { error, maybe_sent: false, address: None }
        })?;
        Ok(())
    }

    /// Allows one more request than the binding does, for a try that time bounds.
    pub(crate) fn grant_one(&mut self) {
        self.left = self.left.saturating_add(1);
    }

    /// Waits before another try. `false` if the run is to end meanwhile.
    pub(crate) async fn waited(&mut self, pause: Duration) -> bool {
        if *self.cancel.borrow() {
            return false;
        }
        tokio::select! {
            // Nobody who could cancel is left: the pause is all there is.
            Ok(_) = self.cancel.wait_for(|cancelled| *cancelled) => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// One connection, one request.
    async fn attempt(
        &mut self,
        outgoing: &Outgoing<'_>,
        is_effect: bool,
    ) -> Result<Result<Sent, SendError>, SendFailure> {
        let host = |code| move |why| SendFailure::Host { code, why };
        self.spend()?;
        let Outgoing { service, allowed, .. } = outgoing;
        let mut credential = None;
        if let Some(known) = &service.credential {
            let secret = self.secret(&known.secret, outgoing).await.map_err(host("secret"))?;
            credential = Some((format!("{}{{}}{}", known.before, known.after), &known.header, secret));
        }
        let mut bodies = Vec::new();
        for place in service.secrets_of(&allowed.rule) {
            let secret = self.secret(&place.name, outgoing).await.map_err(host("secret"))?;
            bodies.push((place.at.as_str(), secret));
        }
        let fillings: Vec<_> = bodies.iter().map(|(at, secret)| Filling { at, secret }).collect();
        // Without one it is the host itself, which is not dialled.
        let origin = service.origin.as_ref().ok_or_else(|| SendFailure::Host {
            code: "host",
            why: format!("service `{}` has no origin", allowed.service),
        })?;
        let target = Target {
            service: &allowed.service,
            origin,
            addresses: &service.addresses,
            trust: match &service.tls {
                None => Trust::System,
                Some(Tls::Pinned { fingerprint }) => Trust::Pinned(fingerprint.bytes()),
                // An authority that is not there is one that signed nothing.
                Some(Tls::Authority { .. }) => Trust::Authority(
                    self.outbound.authorities.get(&allowed.service).map(Vec::as_slice).unwrap_or_default(),
                ),
            },
            credential: credential.as_ref().map(|(form, header, secret)| Credential { header, form, secret }),
            fillings: &fillings,
            mask: &self.outbound.secrets.known(),
        };
        let budget = Budget { deadline: outgoing.deadline, response: self.limits.response };
        if is_effect {
            self.outbound.trail.sending(self.phase, allowed).map_err(host("audit"))?;
        }
        self.in_flight = Some((*allowed).clone());
        let sent = self.outbound.egress.send(&target, &outgoing.request, &budget).await;
        self.in_flight = None;
        self.count(allowed, &sent);
        Ok(sent)
    }

    async fn secret(&mut self, name: &str, outgoing: &Outgoing<'_>) -> Result<Secret, String> {
        self.outbound.secrets.get(name, outgoing.deadline).await
    }

    /// Reads the secrets of a refused request again; whether one has changed.
    async fn refresh(&mut self, outgoing: &Outgoing<'_>) -> bool {
        let names: Vec<_> = outgoing.service.secrets_with(&outgoing.allowed.rule).collect();
        self.outbound.secrets.refresh(&names, outgoing.deadline).await
    }

    fn count(&mut self, allowed: &Allowed, sent: &Result<Sent, SendError>) {
        if let Err(error) = sent
            && error.failure == Failure::Address
        {
            *self.undialled.entry(error.to_string()).or_default() += 1;
            return self.outbound.trail.undialled(self.phase, allowed, &error.to_string());
        }
        let came = match sent {
            Ok(sent) => Came {
                address: Some(sent.address.to_string()),
                sent: sent.bytes_sent,
                received: sent.bytes_received,
                status: Some(sent.response.status),
                failure: None,
            },
            Err(error) => Came {
                address: error.address.map(|address| address.to_string()),
                sent: error.bytes_sent,
                received: error.received,
                status: None,
                failure: Some(word(&error.error)),
            },
        };
        self.used(allowed, came);
    }

    /// Ends the phase: a request that nobody waits for any more was sent, or tried, all the same.
    pub(crate) fn close(mut self) -> Self {
        if let Some(allowed) = self.in_flight.take() {
            self.used(&allowed, Came { failure: Some("abandoned"), ..Came::default() });
        }
        self
    }

    fn used(&mut self, allowed: &Allowed, came: Came) {
        let key = UseKey {
            service: allowed.service.clone(),
            rule: allowed.rule.clone(),
            method: allowed.request.method.clone(),
            path: allowed.request.target.split('?').next().unwrap_or_default().to_owned(),
            address: came.address.clone(),
        };
        let used = self.uses.entry(key).or_default();
        used.count += 1;
        used.sent += came.sent;
        used.received += came.received;
        self.outbound.trail.sent(self.phase, allowed, came);
    }
}

/// What the tries say together. An effect that may have arrived, and was refused or failed later, may have happened.
/// Where no try was lost, an answer counts, if an earlier one, against a last try that did not arrive.
fn finished(
    outcome: Result<Sent, SendError>,
    maybe_sent: bool,
    answered: Option<Sent>,
    service: &str,
) -> Result<(Sent, String), SendFailure> {
    match (outcome, answered) {
        (Ok(sent), _) if maybe_sent && sent.response.status >= 400 => Err(SendFailure::Answer {
            error: NetError::Connection(format!(
                "service `{service}`: an earlier try got no answer, and the last was answered {}",
                sent.response.status
            )),
            maybe_sent,
            address: Some(sent.address.to_string()),
        }),
        (Ok(sent), _) => Ok(with_address(sent)),
        (Err(error), Some(sent)) if !maybe_sent && !error.sent => Ok(with_address(sent)),
        (Err(error), _) => Err(SendFailure::Answer {
            maybe_sent: maybe_sent || error.sent,
            address: error.address.map(|address| address.to_string()),
            error: error.error,
        }),
    }
}

fn with_address(sent: Sent) -> (Sent, String) {
    let address = sent.address.to_string();
    (sent, address)
}

/// A failure in one word, as its kind is written in JSON.
fn word(error: &NetError) -> &'static str {
    match error {
        NetError::NotGranted(_) => "not-granted",
        NetError::InvalidRequest(_) => "invalid-request",
        NetError::Unreachable(_) => "unreachable",
        NetError::Tls(_) => "tls",
        NetError::Timeout(_) => "timeout",
        NetError::Connection(_) => "connection",
        NetError::TooLarge(_) => "too-large",
        NetError::Limit(_) => "limit",
    }
}

#[cfg(test)]
mod tests;
