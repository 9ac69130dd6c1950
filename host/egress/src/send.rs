//! The one function that sends a request to a service.
//!
//! It goes through the steps of the crate's documentation in their order and stops at the first that fails. An error
//! says whether the request may have reached the server, and errs on the side of "it may": the answer decides whether
//! an effect is repeated or ends the run as unknown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use ops_policy::message::{NetError, Response, WireRequest};
use ops_policy::origin::{Origin, Scheme};
use tokio::time::timeout_at;

use crate::exchange::{ExchangeError, exchange};
use crate::meter::Counts;
use crate::resolve::{Resolve, ResolveError};
use crate::scrub::Scrubber;
use crate::tls::SystemRoots;
use crate::wire::Credential;
use crate::{address, dial, resolve, tls, wire};

/// Fields that carry a session, which is a credential by another name. They are left out of an answer to a request
/// that carried one.
const SESSION_FIELDS: [&str; 2] = ["set-cookie", "set-cookie2"];

/// Sends requests. It keeps no connection and no session, so one serves all runs.
pub struct Egress {
    resolver: Box<dyn Resolve>,
    roots: SystemRoots,
}

/// Where a request goes: what the binding says of the service.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The service's name, for messages.
    pub service: &'a str,
    /// The origin.
    pub origin: &'a Origin,
    /// Ranges that may be dialled although they are not globally routable.
    pub addresses: &'a [IpNet],
    /// A private CA in PEM, trusted instead of the system's roots.
    pub ca: Option<&'a [u8]>,
    /// What the service knows us by.
    pub credential: Option<Credential<'a>>,
}

/// How much one request may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When the whole exchange must be done.
    pub deadline: Instant,
    /// The largest body of an answer, in bytes.
    pub response: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The answer, scrubbed of the credential.
    pub response: Response,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// HTTP bytes that were sent, the head included.
    pub bytes_sent: u64,
    /// HTTP bytes that were received, the head included.
    pub bytes_received: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", message(error))]
pub struct SendError {
    /// What the guest may know. It names the service, never an address or a secret.
    pub error: NetError,
    /// The address that was dialled last, for the receipt.
    pub address: Option<SocketAddr>,
    /// Whether the request may have reached the server: `false` only if no byte of it was written.
    pub sent: bool,
    /// HTTP bytes that were received before the failure.
    pub received: u64,
}

fn message(error: &NetError) -> &str {
    match error {
        NetError::NotGranted(text)
        | NetError::InvalidRequest(text)
        | NetError::Unreachable(text)
        | NetError::Tls(text)
        | NetError::Timeout(text)
        | NetError::Connection(text)
        | NetError::TooLarge(text)
        | NetError::Limit(text) => text,
    }
}

/// A failure before anything was written.
fn unsent(error: NetError, address: Option<SocketAddr>) -> SendError {
    SendError { error, address, sent: false, received: 0 }
}

impl Egress {
    /// An egress that looks names up with this resolver ([`resolve::System`] outside tests).
    pub fn new(resolver: impl Resolve + 'static) -> Self {
        Self { resolver: Box::new(resolver), roots: SystemRoots::default() }
    }

    /// Sends one request on one new connection and returns the whole answer. A redirect is an answer.
    ///
    /// # Errors
    ///
    /// The request cannot be written; the name has no address that may be dialled; nobody answers there; the server's
    /// certificate is refused; the connection is lost; the deadline passes; or the answer is malformed or too large.
    pub async fn send(
        &self,
        target: &Target<'_>,
        request: &WireRequest,
        budget: &Budget,
    ) -> Result<Sent, SendError> {
        let say = |what: &dyn std::fmt::Display| format!("service `{}`: {what}", target.service);
        let request = wire::build(target.origin, request, target.credential)
            .map_err(|error| unsent(NetError::InvalidRequest(say(&error)), None))?;
        let addresses = self.checked_addresses(target, budget.deadline).await?;
        let encryption = match target.origin.scheme() {
            Scheme::Http => None,
            Scheme::Https => {
                let config = tls::config(&self.roots, target.ca);
                Some(config.map_err(|error| unsent(NetError::Tls(say(&error)), None))?)
            }
        };
        let (stream, address) = dial::connect(&addresses, budget.deadline).await.map_err(|error| {
            let kind = match error.why {
                dial::Why::Timeout => NetError::Timeout,
                dial::Why::Failed(_) => NetError::Unreachable,
            };
            unsent(kind(say(&error)), error.address)
        })?;
        tracing::debug!(service = target.service, %address, "connected");

        let counts = Arc::new(Counts::default());
        let outcome = match encryption {
            None => exchange(stream, &counts, request, budget.deadline, budget.response).await,
            Some(config) => {
                let handshake = tls::handshake(config, target.origin, stream);
                let stream = timeout_at(budget.deadline.into(), handshake)
                    .await
                    .map_err(|_| NetError::Timeout(say(&"the TLS handshake took too long")))
                    .and_then(|done| done.map_err(|error| NetError::Tls(say(&error))))
                    .map_err(|error| unsent(error, Some(address)))?;
                exchange(stream, &counts, request, budget.deadline, budget.response).await
            }
        };
        let response = outcome.and_then(|response| scrubbed(response, target.credential, budget.response));
        match response {
            Ok(response) => {
                Ok(Sent { response, address, bytes_sent: counts.sent(), bytes_received: counts.received() })
            }
            Err(error) => Err(SendError {
                error: answer_error(error)(say(&error)),
                address: Some(address),
                sent: counts.attempted(),
                received: counts.received(),
            }),
        }
    }

    /// The addresses of the origin that may be dialled, at least one.
    async fn checked_addresses(
        &self,
        target: &Target<'_>,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let Target { service, origin, .. } = *target;
        let found = resolve::addresses(self.resolver.as_ref(), origin, deadline).await.map_err(|error| {
            let kind = match error {
                ResolveError::Timeout => NetError::Timeout,
                ResolveError::Failed(_) | ResolveError::Empty => NetError::Unreachable,
            };
            unsent(kind(format!("service `{service}`: {error}")), None)
        })?;
        let mut kept = Vec::new();
        let mut refusals: Vec<String> = Vec::new();
        for address in found {
            match address::permitted(address, origin.scheme(), target.addresses) {
                Ok(()) => kept.push(SocketAddr::new(address, origin.port())),
                Err(refusal) => {
                    tracing::warn!(service, %address, %refusal, "address refused");
                    let text = refusal.to_string();
                    if !refusals.contains(&text) {
                        refusals.push(text);
                    }
                }
            }
        }
        if kept.is_empty() {
            let why = refusals.join("; ");
            let text = format!("service `{service}`: its host has no address that may be dialled: {why}");
            return Err(unsent(NetError::Unreachable(text), None));
        }
        Ok(kept)
    }
}

fn answer_error(error: ExchangeError) -> fn(String) -> NetError {
    match error {
        ExchangeError::Timeout => NetError::Timeout,
        ExchangeError::Lost | ExchangeError::Malformed => NetError::Connection,
        ExchangeError::Head | ExchangeError::Body(_) => NetError::TooLarge,
    }
}

/// The answer without the credential and without a session that stands for it.
fn scrubbed(
    mut response: Response,
    credential: Option<Credential<'_>>,
    most: u64,
) -> Result<Response, ExchangeError> {
    let Some(credential) = credential else { return Ok(response) };
    let scrubber = Scrubber::new(std::slice::from_ref(credential.secret));
    response.headers.retain(|header| !SESSION_FIELDS.contains(&header.name.as_str()));
    for header in &mut response.headers {
        header.value = scrubber.text(&header.value);
    }
    response.body = scrubber.bytes(&response.body);
    // The secret's name may be longer than the secret.
    if response.body.len() as u64 > most { Err(ExchangeError::Body(most)) } else { Ok(response) }
}

#[cfg(test)]
mod tests;
