//! The wall between a guest and the world.
//!
//! Everything that a guest asks goes through this trait as a plain value, and everything that it learns comes back
//! as one. Nothing here is of the engine, holds a handle or borrows from the host, so that the same messages can
//! cross a socket when the guest lives in a process of its own.

use std::future::Future;
use std::pin::Pin;

use ops_policy::message::{Effect, NetError, Outcome, Report, Request, Response};
use serde::{Deserialize, Serialize};

/// An answer that may take a while. `Err` ends the run at once; the guest never sees it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send + 'a>>;

/// The broker has decided that the run ends here. Why is for the broker to tell; to the sandbox it is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop;

/// Who answers a guest.
pub trait Broker: Send {
    /// Reads from a service.
    fn fetch(&mut self, request: Request) -> Answer<'_, Result<Response, NetError>>;

    /// Asks for a change. Once begun it is never cut short from outside: it keeps its own deadline.
    fn perform(&mut self, effect: Effect) -> Answer<'_, Result<Outcome, NetError>>;

    /// Tells people something.
    fn report(&mut self, report: Report) -> Answer<'_, ()>;

    /// What the guest's monotonic clock shows after the last answer, in nanoseconds since the run began.
    ///
    /// The sandbox asks after each `fetch` and `perform`; between them the clock moves in sleeps only.
    fn now(&mut self) -> u64;
}
