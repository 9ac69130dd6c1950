//! Carries a guest's requests to the broker: one at a time, in the order in which they were made.
//!
//! A guest goes on after it has made a request, and may make more. So that two runs of one guest arrive at the same
//! place, what happens when depends on the guest alone:
//! * Requests are collected and carried when the guest waits for something, not while it computes. (One that
//!   computes and never waits is served too, after [`PATIENCE`].)
//! * While a request is on its way the guest stands still, as in `ops:capability/fetch`, until its answer lies ready.
//! * A request that was made is carried, whether or not the guest still wants its answer.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::Response;
use http_body_util::BodyExt as _;
use tokio::sync::{self, oneshot};
use wasmtime_wasi_http::{Error, WasiBody};

use super::answer;
use crate::bounds::{Bounds, Halt};
use crate::broker::{Broker, HttpRequest};
use crate::clock::Clock;

/// The most bytes of request bodies that are held for a guest at a time.
pub(super) const BODY_BYTES: u64 = 8 << 20;

/// The most requests that wait for the broker at a time.
pub(super) const MOST_WAITING: usize = 64;

/// How many ticks in a row a guest may compute before its requests are carried all the same.
pub(super) const PATIENCE: u32 = 50;

/// Why a request is not one.
#[derive(Debug)]
pub(super) struct Refusal {
    /// For the broker.
    pub(super) why: &'static str,
    /// For the guest.
    pub(super) error: Error,
}

impl Refusal {
    pub(super) fn new(why: &'static str, error: Error) -> Self {
        Self { why, error }
    }
}

/// A request on its way to the broker.
pub(super) struct Ticket {
    /// What the broker hears of it when it is refused.
    method: String,
    /// What is asked, or why it is not.
    request: Result<HttpRequest, Refusal>,
    /// How long the body must be.
    length: Option<u64>,
    /// What is not collected yet.
    body: Option<WasiBody>,
    collected: Vec<u8>,
    answer: oneshot::Sender<Result<Response<WasiBody>, Error>>,
    /// Comes to an end when the guest has the answer.
    taken: oneshot::Receiver<()>,
}

impl Ticket {
    pub(super) fn new(
        method: String,
        head: Result<(HttpRequest, Option<u64>), Refusal>,
        body: WasiBody,
        answer: oneshot::Sender<Result<Response<WasiBody>, Error>>,
        taken: oneshot::Receiver<()>,
    ) -> Self {
        let (request, length) = match head {
            Ok((request, length)) => (Ok(request), length),
            Err(refusal) => (Err(refusal), None),
        };
        let body = request.is_ok().then_some(body);
        Self { method, request, length, body, collected: Vec::new(), answer, taken }
    }

    /// Takes what there is of the body. `held` counts all bodies of the guest.
    fn collect(&mut self, context: &mut Context<'_>, held: &mut u64) {
        while let Some(body) = &mut self.body {
            let frame = match pin!(body.frame()).poll(context) {
                Poll::Pending => return,
                Poll::Ready(frame) => frame,
            };
            match frame {
                None => {
                    self.body = None;
                    let length = self.collected.len() as u64;
                    if self.length.is_some_and(|said| said != length) {
                        let error = Error::HttpRequestBodySize(Some(length));
                        self.refuse("its body is not as long as its content-length says", error);
                    }
                }
                Some(Err(error)) => self.refuse("its body was broken off", error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        *held = held.saturating_add(bytes.len() as u64);
                        if *held > BODY_BYTES {
                            let error = Error::HttpRequestBodySize(Some(BODY_BYTES));
                            return self.refuse("the bodies that wait are more than 8 MiB", error);
                        }
                        self.collected.extend_from_slice(&bytes);
                    }
                    Err(frame) => {
                        if frame.trailers_ref().is_some_and(|trailers| !trailers.is_empty()) {
                            self.refuse("it has trailers", Error::HttpRequestTrailerSectionSize(Some(0)));
                        }
                    }
                },
            }
        }
    }

    /// Dropping the body closes it for the guest.
    fn refuse(&mut self, why: &'static str, error: Error) {
        (self.request, self.body, self.collected) = (Err(Refusal::new(why, error)), None, Vec::new());
    }
}

/// The requests of one guest that wait for the broker, in the order in which they were made.
#[derive(Default)]
pub(super) struct Line {
    tickets: Mutex<VecDeque<Ticket>>,
    /// Ticks in a row in which the guest computed.
    ticks: AtomicU32,
    /// Whether a request is on its way.
    carrying: AtomicBool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, ticket: Ticket) -> Result<(), Error> {
        let mut tickets = self.lock();
        if tickets.len() >= MOST_WAITING {
            return Err(Error::ConnectionLimitReached);
        }
        tickets.push_back(ticket);
        Ok(())
    }

    pub(super) fn interrupted(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// The first request, when it is whole. All bodies are collected meanwhile, in whatever order the guest writes.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Ticket> {
        let mut tickets = self.lock();
        let mut held = tickets.iter().map(|ticket| ticket.collected.len() as u64).sum();
        for ticket in tickets.iter_mut() {
            ticket.collect(context, &mut held);
        }
        match tickets.front() {
            Some(first) if first.body.is_none() => tickets.pop_front().map_or(Poll::Pending, Poll::Ready),
            _ => Poll::Pending,
        }
    }
}

/// Who carries the requests of one guest.
pub(crate) struct Courier {
    line: Arc<Line>,
    broker: Arc<sync::Mutex<dyn Broker>>,
    bounds: Arc<Bounds>,
    clock: Clock,
}

impl Courier {
    pub(super) fn new(
        line: Arc<Line>,
        broker: Arc<sync::Mutex<dyn Broker>>,
        bounds: Arc<Bounds>,
        clock: Clock,
    ) -> Self {
        Self { line, broker, bounds, clock }
    }

    /// Runs a guest and carries what it asks for. It ends with the guest, or as soon as the run has to end.
    pub(crate) async fn beside<T>(
        self,
        guest: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let mut guest = pin!(guest);
        let mut carrying = pin!(self.carry_all());
        std::future::poll_fn(|context| {
            if self.line.carrying.load(Ordering::Relaxed) {
                if let Poll::Ready(halt) = carrying.as_mut().poll(context) {
                    return Poll::Ready(Err(halt.into()));
                }
                if self.line.carrying.load(Ordering::Relaxed) {
                    return Poll::Pending;
                }
            }
            let ticks = self.line.ticks.load(Ordering::Relaxed);
            if let Poll::Ready(end) = guest.as_mut().poll(context) {
                return Poll::Ready(end);
            }
            let now = self.line.ticks.load(Ordering::Relaxed);
            if now != ticks && now < PATIENCE {
                return Poll::Pending;
            }
            self.line.ticks.store(0, Ordering::Relaxed);
            carrying.as_mut().poll(context).map(|halt| Err(halt.into()))
        })
        .await
    }

    async fn carry_all(&self) -> Halt {
        loop {
            let ticket = std::future::poll_fn(|context| self.line.poll_next(context)).await;
            if let Err(halt) = self.carry(ticket).await {
                return halt;
            }
        }
    }

    async fn carry(&self, ticket: Ticket) -> Result<(), Halt> {
        let Ticket { method, request, collected, answer, taken, .. } = ticket;
        let result = match request {
            Ok(request) => {
                let body = (!collected.is_empty()).then_some(collected);
                self.ask(HttpRequest { body, ..request }).await?
            }
            Err(Refusal { why, error }) => {
                self.broker().await?.refused(&method, why)?;
                Err(error)
            }
        };
        // Nobody may be left who wants it.
        let _ = answer.send(result);
        let _ = taken.await;
        self.line.carrying.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn ask(&self, request: HttpRequest) -> Result<Result<Response<WasiBody>, Error>, Halt> {
        let mut broker = self.broker().await?;
        let answer = broker.fetch_url(request).await?;
        self.clock.arrive(broker.now());
        drop(broker);
        self.bounds.due().map_or(Ok(()), Err)?;
        Ok(answer::response(answer))
    }

    /// The broker, when it is free. From then on the guest stands still.
    async fn broker(&self) -> Result<sync::MutexGuard<'_, dyn Broker + 'static>, Halt> {
        // A guest that is in a call of `ops:capability` holds the broker, and has to go on before this can. Its turn
        // is followed by one here, so nothing else needs to wake this.
        let free = |_: &mut Context<'_>| self.broker.try_lock().map_or(Poll::Pending, Poll::Ready);
        let broker = std::future::poll_fn(free).await;
        self.line.carrying.store(true, Ordering::Relaxed);
        self.bounds.due().map_or(Ok(broker), Err)
    }
}
