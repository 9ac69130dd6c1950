//! The one function that sends a request to a service.
//!
//! It goes through the steps of the crate's documentation in their order and stops at the first that fails. An error
//! says whether the request may have reached the server, and errs on the side of "it may": the answer decides whether
//! an effect is repeated or ends the run as unknown.

use std::fmt::Display;
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
use crate::secret::Secret;
use crate::tls::{SystemRoots, Trust};
use crate::wire::Credential;
pub use crate::wire::Filling;
use crate::{address, dial, resolve, tls, wire};

/// Fields that carry a session, which is a credential by another name. They are left out of an answer to a request
/// that carried a secret.
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
    /// Whose word is taken for who the server is.
    pub trust: Trust<'a>,
    /// What the service knows us by.
    pub credential: Option<Credential<'a>>,
    /// Secrets that are written into the body, after everything else.
    pub fillings: &'a [Filling<'a>],
    /// Further secrets that the answer must not hold. Those above are always taken out.
    pub mask: &'a [Secret],
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
    /// At which step it failed.
    pub failure: Failure,
    /// The address that was dialled last, for the receipt.
    pub address: Option<SocketAddr>,
    /// Whether the request may have reached the server: `false` only if no byte of it was written.
    pub sent: bool,
    /// HTTP bytes that the connection took before the failure, the head included. It may be 0 although `sent` is true:
    /// a write that failed may have left.
    pub bytes_sent: u64,
    /// HTTP bytes that were received before the failure.
    pub received: u64,
}

/// At which step a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It cannot be written.
    Request,
    /// The name has no address.
    Lookup,
    /// None of its addresses may be dialled.
    Address,
    /// Nobody answers there.
    Connect,
    /// The server is not who it should be, or does not speak TLS.
    Tls,
    /// Any step took too long.
    Timeout,
    /// The connection was lost after the request was begun.
    Lost,
    /// The answer is not HTTP.
    Malformed,
    /// The answer is too large.
    TooLarge,
}

impl Failure {
    fn error(self, text: String) -> NetError {
        match self {
            Self::Request => NetError::InvalidRequest(text),
            Self::Lookup | Self::Address | Self::Connect => NetError::Unreachable(text),
            Self::Tls => NetError::Tls(text),
            Self::Timeout => NetError::Timeout(text),
            Self::Lost | Self::Malformed => NetError::Connection(text),
            Self::TooLarge => NetError::TooLarge(text),
        }
    }
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

impl Target<'_> {
    /// A failure before anything was written.
    fn unsent(&self, failure: Failure, why: &dyn Display, address: Option<SocketAddr>) -> SendError {
        let error = failure.error(format!("service `{}`: {why}", self.service));
        SendError { error, failure, address, sent: false, bytes_sent: 0, received: 0 }
    }

    /// All secrets that went out with the request or are to be kept from the guest.
    fn scrubber(&self) -> Scrubber {
        let sent = self.fillings.iter().map(|filling| filling.secret);
        Scrubber::new(self.credential.iter().map(|credential| credential.secret).chain(sent).chain(self.mask))
    }
}

impl Egress {
    /// An egress that looks names up with this resolver ([`resolve::Hickory`] outside tests).
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
        let request = wire::build(target.origin, request, target.credential, target.fillings)
            .map_err(|error| target.unsent(Failure::Request, &error, None))?;
        let addresses = self.checked_addresses(target, budget.deadline).await?;
        let encryption = match target.origin.scheme() {
            Scheme::Http => None,
            Scheme::Https => {
                let config = tls::config(&self.roots, target.trust);
                Some(config.map_err(|error| target.unsent(Failure::Tls, &error, None))?)
            }
        };
        let (stream, address) = dial::connect(&addresses, budget.deadline).await.map_err(|error| {
            let failure = match error.why {
                dial::Why::Timeout => Failure::Timeout,
                dial::Why::Refused | dial::Why::Failed(_) => Failure::Connect,
            };
            target.unsent(failure, &error, error.address)
        })?;
        tracing::debug!(service = target.service, %address, "connected");

        let counts = Arc::new(Counts::default());
        let outcome = match encryption {
            None => exchange(stream, &counts, request, budget.deadline, budget.response).await,
            Some(config) => {
                let handshake = tls::handshake(config, target.origin, stream);
                let stream = timeout_at(budget.deadline.into(), handshake)
                    .await
                    .map_err(|_| {
                        target.unsent(Failure::Timeout, &"the TLS handshake took too long", Some(address))
                    })?
                    .map_err(|error| target.unsent(Failure::Tls, &error, Some(address)))?;
                exchange(stream, &counts, request, budget.deadline, budget.response).await
            }
        };
        match outcome.and_then(|response| scrubbed(response, target, budget.response)) {
            Ok(response) => {
                Ok(Sent { response, address, bytes_sent: counts.sent(), bytes_received: counts.received() })
            }
            Err(error) => Err(SendError {
                sent: counts.attempted(),
                bytes_sent: counts.sent(),
                received: counts.received(),
                ..target.unsent(answer_failure(error), &error, Some(address))
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
            let failure = match error {
                ResolveError::Timeout => Failure::Timeout,
                ResolveError::Failed(_) | ResolveError::Empty => Failure::Lookup,
            };
            target.unsent(failure, &error, None)
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
            let why = format!("its host has no address that may be dialled: {}", refusals.join("; "));
            return Err(target.unsent(Failure::Address, &why, None));
        }
        Ok(kept)
    }
}

fn answer_failure(error: ExchangeError) -> Failure {
    match error {
        ExchangeError::Silent | ExchangeError::Slow => Failure::Timeout,
        ExchangeError::LostBefore | ExchangeError::LostWithin => Failure::Lost,
        ExchangeError::Malformed => Failure::Malformed,
        ExchangeError::Head | ExchangeError::Body(_) => Failure::TooLarge,
    }
}

/// The answer without the secrets, and without a session that stands for the one that was shown.
fn scrubbed(mut response: Response, target: &Target<'_>, most: u64) -> Result<Response, ExchangeError> {
    if target.credential.is_some() || !target.fillings.is_empty() {
        response.headers.retain(|header| !SESSION_FIELDS.contains(&header.name.as_str()));
    }
    let scrubber = target.scrubber();
    if scrubber.is_empty() {
        return Ok(response);
    }
    response.headers.retain(|header| !scrubber.is_in_name(&header.name));
    for header in &mut response.headers {
        header.value = scrubber.text(&header.value);
    }
    response.body = scrubber.bytes(&response.body);
    // The secret's name may be longer than the secret.
    if response.body.len() as u64 > most { Err(ExchangeError::Body(most)) } else { Ok(response) }
}

#[cfg(test)]
pub(crate) mod tests;
