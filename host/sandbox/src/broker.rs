//! The wall between a guest and the world.
//!
//! Everything that a guest asks goes through this trait as a plain value, and everything that it learns comes back
//! as one. Nothing here is of the engine, holds a handle or borrows from the host, so that the same messages can
//! cross a socket when the guest lives in a process of its own.

use std::future::Future;
use std::pin::Pin;

use ops_policy::message::{
    Call, Effect, Header, Invoked, NetError, Outcome, Report, Request, Response, WireRequest,
};
use serde::{Deserialize, Serialize};

/// An answer that may take a while. `Err` ends the run at once; the guest never sees it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send + 'a>>;

/// The broker has decided that the run ends here. Why is for the broker to tell; to the sandbox it is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop;

/// A request as `wasi:http` has it: to an address, not to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WireRequest", into = "WireRequest")]
pub struct HttpRequest {
    /// HTTP method, never CONNECT.
    pub method: String,
    /// `scheme://authority/path?query`, put together again from the parts that the guest gave. The scheme is `http`
    /// or `https`, there is an authority, and it has no user. Path and query are as the guest gave them; a fragment
    /// was cut off.
    pub url: String,
    /// Header fields, names in lower case. Never the host, the body's length or framing.
    pub headers: Vec<Header>,
    /// The body, where there is one that is not empty.
    pub body: Option<Vec<u8>>,
}

/// On its way it has the form of the other requests, with its whole address as the target.
impl From<HttpRequest> for WireRequest {
    fn from(request: HttpRequest) -> Self {
        let HttpRequest { method, url, headers, body } = request;
        Self { method, target: url, headers, body }
    }
}

impl From<WireRequest> for HttpRequest {
    fn from(request: WireRequest) -> Self {
        let WireRequest { method, target, headers, body } = request;
        Self { method, url: target, headers, body }
    }
}

/// A point of a run: what the guest's clock shows, and whether this was so before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What the guest's monotonic clock shows at least, in nanoseconds since the run began.
    pub clock: u64,
    /// Whether what follows, up to the next answer, has happened already and is gone through again. Sleeps then return
    /// at once; the guest sees the same timers come due, at the same readings of its clock.
    pub replaying: bool,
}

/// Who answers a guest.
pub trait Broker: Send {
    /// Reads from a service.
    fn fetch(&mut self, request: Request) -> Answer<'_, Result<Response, NetError>>;

    /// Reads from an address. No rule but a read rule may let it through, of a service with exactly this origin.
    fn fetch_url(&mut self, request: HttpRequest) -> Answer<'_, Result<Response, NetError>>;

    /// Hears of a `wasi:http` request that was refused before it became one: what the guest gave does not make an
    /// [`HttpRequest`], and nothing of it but its method is passed on. It is counted like any other request, and it
    /// is a denial. It comes in its turn among the requests that were made. `method` is a token of HTTP, of which the
    /// first 32 bytes are kept; `why` is one of few fixed texts in plain English about the request ("it has
    /// trailers"), with nothing of the guest's in it.
    ///
    /// # Errors
    /// [`Stop`] when the run ends here; the guest then does not see that it was refused.
    fn refused(&mut self, method: &str, why: &str) -> Result<(), Stop>;

    /// Asks for a change. Once begun it is never cut short from outside: it keeps its own deadline.
    fn perform(&mut self, effect: Effect) -> Answer<'_, Result<Outcome, NetError>>;

    /// Calls other capabilities. The answers are as many as the calls, and in their order. It may be given up at any time:
    /// what was called changes nothing.
    fn invoke(&mut self, calls: Vec<Call>) -> Answer<'_, Vec<Invoked>>;

    /// Tells people something.
    fn report(&mut self, report: Report) -> Answer<'_, ()>;

    /// Where the run stands on the guest's monotonic clock.
    ///
    /// The sandbox asks once before the guest's first instruction, and after each `fetch`, `fetch_url`, `perform` and `invoke`;
    /// between them the clock moves in sleeps and by a little at each reading.
    fn now(&mut self) -> Moment;
}
