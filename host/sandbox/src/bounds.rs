//! When a run has to end, and how a guest is driven until then.
//!
//! A guest is a future that is polled: it comes back at every tick of the watchdog and whenever it waits for the
//! host. Each time, in this order: is a change to the world in flight (then it goes on, whatever the time), was it
//! cancelled, is its time over. A panic of the host while it serves the guest is caught here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::text;

/// Why the host ends a run. As an error it travels through the engine, and no guest ever sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Halt {
    /// The broker said so.
    #[error("the broker stopped the run")]
    Stopped,
    /// Somebody cancelled it.
    #[error("the run was cancelled")]
    Cancelled,
    /// It ran longer than it may.
    #[error("the time of the run is over")]
    OutOfTime,
}

/// What became of driving a guest.
pub(crate) enum Driven<T> {
    /// It came to an end by itself.
    Ended(T),
    /// The host ended it.
    Halted(Halt),
    /// The host panicked, with this text.
    Panicked(String),
}

/// The bounds of one run.
pub(crate) struct Bounds {
    over: Instant,
    /// A bound on the processor time as well, where there is one.
    processor: Option<Duration>,
    cancel: watch::Receiver<bool>,
    performing: AtomicBool,
}

impl Bounds {
    /// Bounds that begin to count now.
    pub(crate) fn new(time: Duration, processor: Option<Duration>, cancel: watch::Receiver<bool>) -> Self {
        let now = Instant::now();
        // A limit beyond what the clock can show is a century, which is no limit either.
        let over = now.checked_add(time).unwrap_or(now + Duration::from_secs(3_153_600_000));
        Self { over, processor, cancel, performing: AtomicBool::new(false) }
    }

    /// Why the run has to end now, if it has to.
    pub(crate) fn due(&self) -> Option<Halt> {
        if *self.cancel.borrow() {
            Some(Halt::Cancelled)
        } else {
            (Instant::now() >= self.over).then_some(Halt::OutOfTime)
        }
    }

    /// Marks a change to the world as in flight, for as long as the result lives.
    pub(crate) fn performing(&self) -> Performing<'_> {
        self.performing.store(true, Ordering::Relaxed);
        Performing(self)
    }

    /// Wakes when a bound is reached.
    async fn reached(&self) {
        let mut cancel = self.cancel.clone();
        let cancelled = async {
            // An error says that nobody is left who could cancel.
            if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = cancelled => (),
            () = tokio::time::sleep_until(self.over) => (),
        }
    }

    /// Why a guest has to end now, if it has to: not while a change is in flight.
    fn halt(&self) -> Option<Halt> {
        if self.performing.load(Ordering::Relaxed) { None } else { self.due() }
    }

    /// Polls a guest until it ends or has to. Ending it drops it where it stands.
    pub(crate) async fn drive<T>(&self, guest: impl Future<Output = T>) -> Driven<T> {
        let mut guest = pin!(guest);
        let mut reached = pin!(self.reached());
        let (mut used, mut is_reached) = (Duration::ZERO, false);
        std::future::poll_fn(|context| {
            if let Some(halt) = self.halt() {
                return Poll::Ready(Driven::Halted(halt));
            }
            let before = self.processor.map(|_| processor_time());
            let polled = catch_unwind(AssertUnwindSafe(|| guest.as_mut().poll(context)));
            if let (Some(limit), Some(before)) = (self.processor, before) {
                used += processor_time().saturating_sub(before);
                if used > limit {
                    return Poll::Ready(Driven::Halted(Halt::OutOfTime));
                }
            }
            match polled {
                Ok(Poll::Ready(ended)) => Poll::Ready(Driven::Ended(ended)),
                Err(panic) => Poll::Ready(Driven::Panicked(panic_text(&*panic))),
                // It waits, and so do the bounds: for their wake-up alone, since what counts is `halt`.
                Ok(Poll::Pending) => match is_reached || reached.as_mut().poll(context).is_ready() {
                    false => Poll::Pending,
                    true => {
                        is_reached = true;
                        self.halt().map_or(Poll::Pending, |halt| Poll::Ready(Driven::Halted(halt)))
                    }
                },
            }
        })
        .await
    }
}

/// A change to the world is in flight.
pub(crate) struct Performing<'a>(&'a Bounds);

impl Drop for Performing<'_> {
    fn drop(&mut self) {
        self.0.performing.store(false, Ordering::Relaxed);
    }
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text::one_line(text.unwrap_or("a panic without a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(millis: u64) -> (Bounds, watch::Sender<bool>) {
        let (sender, receiver) = watch::channel(false);
        (Bounds::new(Duration::from_millis(millis), None, receiver), sender)
    }

    #[tokio::test]
    async fn what_ends_in_time_is_left_alone() {
        let (bounds, _cancel) = bounds(60_000);
        assert!(matches!(bounds.drive(async { 7 }).await, Driven::Ended(7)));
    }

    #[tokio::test]
    async fn time_and_cancel_end_what_waits() {
        let (short, cancel) = bounds(20);
        drop(cancel);
        assert!(matches!(short.drive(std::future::pending::<()>()).await, Driven::Halted(Halt::OutOfTime)));
        let (long, cancel) = bounds(60_000);
        let (driven, ()) = tokio::join!(long.drive(std::future::pending::<()>()), async {
            tokio::task::yield_now().await;
            cancel.send_replace(true);
        });
        assert!(matches!(driven, Driven::Halted(Halt::Cancelled)));
    }

    #[tokio::test]
    async fn a_change_in_flight_is_waited_for() {
        let (bounds, cancel) = bounds(10);
        cancel.send_replace(true);
        let landed = AtomicBool::new(false);
        let guest = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            landed.store(true, Ordering::Relaxed);
        };
        let performing = bounds.performing();
        let driven = bounds.drive(guest).await;
        drop(performing);
        assert!(matches!(driven, Driven::Ended(())) && landed.load(Ordering::Relaxed));
        assert_eq!(bounds.due(), Some(Halt::Cancelled));
    }

    #[tokio::test]
    async fn processor_time_is_bounded_apart_from_real_time() {
        let (_sender, receiver) = watch::channel(false);
        let bounds = Bounds::new(Duration::from_secs(60), Some(Duration::from_millis(5)), receiver);
        let busy = async {
            loop {
                std::hint::black_box((0..10_000).sum::<u64>());
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(bounds.drive::<()>(busy).await, Driven::Halted(Halt::OutOfTime)));
    }

    #[tokio::test]
    async fn a_panic_is_caught_with_its_text() {
        let (bounds, _cancel) = bounds(60_000);
        let Driven::Panicked(text) = bounds.drive::<()>(async { panic!("first {}\nsecond", 1) }).await else {
            panic!("it was not caught")
        };
        assert_eq!(text, "first 1");
    }
}
