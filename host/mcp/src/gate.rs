//! How many calls go on at once: so many of each capability, so many more that wait for it, and no more.
//!
//! Each capability has a lane of its own, so that one whose guest spins delays no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Runs of one capability at once. Each takes a thread and a guest's process; services are asked by each of them.
const RUNNING: usize = 4;
/// Calls of one capability that wait at most. At 20 seconds each, the longest that a guest has by default, the last of
/// them waits five minutes: longer than clients do.
const WAITING: usize = 64;

/// The lanes.
pub(crate) struct Gate {
    lanes: Mutex<HashMap<String, Lane>>,
    /// Every place that is taken listens to it.
    places: watch::Sender<()>,
}

#[derive(Clone)]
struct Lane {
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// A place in a lane. Dropping it gives it free.
pub(crate) struct Place {
    _running: OwnedSemaphorePermit,
    _queue: OwnedSemaphorePermit,
    _place: watch::Receiver<()>,
}

/// The lane is full.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{RUNNING} calls of {0} are running and {WAITING} wait; try again later")]
pub(crate) struct Busy(String);

impl Gate {
    pub(crate) fn new() -> Self {
        Self { lanes: Mutex::default(), places: watch::Sender::default() }
    }

    /// Waits for a place. `name` is a name that this host knows, so that lanes are as few as those.
    pub(crate) async fn enter(&self, name: &str) -> Result<Place, Busy> {
        let (lane, busy) = (self.lane(name), || Busy(name.to_owned()));
        let queue = lane.queue.try_acquire_owned().map_err(|_| busy())?;
        // Nobody closes it.
        let running = lane.running.acquire_owned().await.map_err(|_| busy())?;
        Ok(Place { _running: running, _queue: queue, _place: self.places.subscribe() })
    }

    fn lane(&self, name: &str) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(name) {
            return lane.clone();
        }
        let lane = Lane {
            running: Arc::new(Semaphore::new(RUNNING)),
            queue: Arc::new(Semaphore::new(RUNNING + WAITING)),
        };
        lanes.insert(name.to_owned(), lane.clone());
        lane
    }

    /// Waits until no place is taken.
    pub(crate) async fn empty(&self) {
        self.places.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// What a future says when it is looked at once.
    fn look<F: Future>(future: &mut std::pin::Pin<&mut F>) -> Poll<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut context)
    }

    #[tokio::test]
    async fn a_full_lane_delays_no_other_and_refuses_more() {
        let gate = Gate::new();
        let mut running = Vec::new();
        for _ in 0..RUNNING {
            running.push(gate.enter("a.b").await.unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(gate.enter("a.b"))).collect();
        for one in &mut waiting {
            assert!(look(&mut one.as_mut()).is_pending());
        }
        assert_eq!(gate.enter("a.b").await.err(), Some(Busy("a.b".to_owned())));
        gate.enter("a.c").await.unwrap();
        // One that goes away while it waits makes room in the queue, and one that ends makes room to run.
        waiting.pop();
        waiting.push(Box::pin(gate.enter("a.b")));
        running.pop();
        let mut first = waiting.remove(0);
        assert!(matches!(look(&mut first.as_mut()), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn empty_means_that_the_last_one_has_left() {
        let gate = Gate::new();
        gate.empty().await;
        let place = gate.enter("a.b").await.unwrap();
        let mut empty = pin!(gate.empty());
        assert!(look(&mut empty).is_pending());
        drop(place);
        assert!(look(&mut empty).is_ready());
    }
}
