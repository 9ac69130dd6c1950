//! The two clocks of a guest. Neither shows the host's time.
//!
//! The wall clock stands still. The monotonic clock moves by a microsecond at each reading (so that a loop on it
//! ends), to what the broker says after each answer, and by the length of each sleep. Sleeps are real, but what the
//! guest learns of them depends on their lengths only: where several timers wait, the earliest alone comes due,
//! however late the host wakes up. Timers that wait while an answer comes are measured anew from where it moved the
//! clock to, so that they depend on what the broker says and not on how long it took.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// What one reading of the monotonic clock adds, in nanoseconds.
const READING: u64 = 1_000;

/// The clocks of one run. Clones show the same time.
#[derive(Clone)]
pub(crate) struct Clock {
    wall: Datetime,
    shared: Arc<Mutex<Shared>>,
    /// Wakes the timers when an answer has moved the clock.
    moved: Arc<Notify>,
}

#[derive(Default)]
struct Shared {
    /// The monotonic clock, in nanoseconds.
    now: u64,
    /// The timers that somebody waits for: for each deadline the real time at which it is over, and how many wait.
    waiting: BTreeMap<u64, (Option<Instant>, usize)>,
}

impl Clock {
    pub(crate) fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self { wall: Datetime { seconds, nanoseconds }, shared: Arc::default(), moved: Arc::default() }
    }

    pub(crate) fn wall(&self) -> Datetime {
        self.wall
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the monotonic clock to a time, in nanoseconds, unless it is past it.
    pub(crate) fn advance_to(&self, time: u64) {
        let mut shared = self.lock();
        shared.now = shared.now.max(time);
        shared.measure_anew(Instant::now());
        drop(shared);
        self.moved.notify_waiters();
    }

    fn read(&self) -> u64 {
        let mut shared = self.lock();
        shared.now = shared.now.saturating_add(READING);
        shared.now
    }

    fn timer(&self, deadline: u64) -> Timer {
        Timer { clock: self.clone(), deadline }
    }
}

impl Shared {
    /// Counts the real time of every timer that is not due from now.
    fn measure_anew(&mut self, real: Instant) {
        let now = self.now;
        for (deadline, (over, _)) in self.waiting.range_mut(now.saturating_add(1)..) {
            *over = real.checked_add(Duration::from_nanos(deadline - now));
        }
    }
}

/// Becomes ready when the guest's clock is at its deadline.
struct Timer {
    clock: Clock,
    deadline: u64,
}

/// Keeps a timer in the list of those that are waited for.
struct Waiting<'a>(&'a Timer);

impl Timer {
    /// The real time at which this timer is over, or `None` if the guest's clock has passed it already. A real time
    /// that no clock can show is `Some(None)`.
    fn wait(&self) -> Option<(Option<Instant>, Waiting<'_>)> {
        let mut shared = self.clock.lock();
        let left = self.deadline.checked_sub(shared.now).filter(|left| *left > 0)?;
        // Timers of one deadline share one real time, so that they come due together.
        let over = Instant::now().checked_add(Duration::from_nanos(left));
        let (over, count) = shared.waiting.entry(self.deadline).or_insert((over, 0));
        *count += 1;
        Some((*over, Waiting(self)))
    }

    /// Moves the guest's clock to this deadline, if it is its turn: no earlier one is waited for, and since the last
    /// move as much real time has passed as the guest will see.
    fn reach(&self) -> bool {
        let mut shared = self.clock.lock();
        let real = Instant::now();
        let turn = match shared.waiting.first_key_value() {
            Some((first, (over, _))) => *first == self.deadline && over.is_some_and(|over| over <= real),
            None => false,
        };
        if turn {
            shared.now = shared.now.max(self.deadline);
            shared.measure_anew(real);
        }
        turn
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut shared = self.0.clock.lock();
        if let Some((_, count)) = shared.waiting.get_mut(&self.0.deadline) {
            *count -= 1;
            if *count == 0 {
                shared.waiting.remove(&self.0.deadline);
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        loop {
            let mut moved = pin!(self.clock.moved.notified());
            // From here on, so that no move is missed.
            moved.as_mut().enable();
            let Some((over, _waiting)) = self.wait() else { return };
            // Once round, so that every timer of a poll is in the list before one of them can come due.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                () = &mut moved => continue,
                () = sleep_until(over) => (),
            }
            if self.reach() {
                return;
            }
            // An earlier timer has ended this poll or will, and the guest asks again.
            moved.await;
        }
    }
}

async fn sleep_until(over: Option<Instant>) {
    match over {
        Some(over) => tokio::time::sleep_until(over).await,
        None => std::future::pending().await,
    }
}

/// What the clock's functions need of a store.
pub(crate) struct ClockView<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) table: &'a mut ResourceTable,
}

/// Marks a store that has a [`ClockView`].
pub(crate) struct HasClock;

impl HasData for HasClock {
    type Data<'a> = ClockView<'a>;
}

impl ClockView<'_> {
    fn subscribe(&mut self, deadline: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(self.clock.timer(deadline))?;
        subscribe(self.table, timer)
    }
}

impl wall_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        Ok(self.clock.wall)
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(READING)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = self.clock.lock().now.saturating_add(duration);
        self.subscribe(deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use wasmtime_wasi::p2::DynFuture;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn readings_move_it_and_nothing_moves_it_back() {
        let clock = Clock::new(7, 8);
        assert_eq!([clock.read(), clock.read()], [1_000, 2_000]);
        clock.advance_to(500);
        assert_eq!(clock.read(), 3_000);
        clock.advance_to(MS);
        assert_eq!(clock.read(), MS + 1_000);
        assert_eq!((clock.wall().seconds, clock.wall().nanoseconds), (7, 8));
    }

    #[tokio::test]
    async fn a_sleep_is_real_and_moves_the_clock_by_its_length() {
        let clock = Clock::new(0, 0);
        let began = Instant::now();
        clock.timer(20 * MS).ready().await;
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert_eq!(clock.read(), 20 * MS + READING);
        clock.timer(MS).ready().await;
        assert_eq!(clock.read(), 20 * MS + 2 * READING, "a deadline that is past costs nothing");
    }

    /// The host is busy for longer than both timers: the guest sees the earlier one alone, in either order.
    #[tokio::test]
    async fn a_late_host_does_not_change_which_timer_comes_due() {
        for lengths in [[5, 10], [10, 5]] {
            let clock = Clock::new(0, 0);
            let mut timers = lengths.map(|length| clock.timer(length * MS));
            let mut futures: Vec<DynFuture> = timers.iter_mut().map(|timer| timer.ready()).collect();
            let mut stalled = false;
            let ready = std::future::poll_fn(|cx| {
                let ready: Vec<bool> =
                    futures.iter_mut().map(|future| future.as_mut().poll(cx).is_ready()).collect();
                if !std::mem::replace(&mut stalled, true) {
                    std::thread::sleep(Duration::from_millis(30));
                }
                if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
            });
            assert_eq!(ready.await, lengths.map(|length| length == 5));
            drop(futures);
            assert_eq!(clock.read(), 5 * MS + READING);
        }
    }

    #[tokio::test]
    async fn timers_of_one_deadline_come_due_together() {
        let clock = Clock::new(0, 0);
        let (mut first, mut second) = (clock.timer(3 * MS), clock.timer(3 * MS));
        let mut futures = [first.ready(), second.ready()];
        let ready = std::future::poll_fn(|cx| {
            let ready = futures.each_mut().map(|future| future.as_mut().poll(cx).is_ready());
            if ready.contains(&true) { Poll::Ready(ready) } else { Poll::Pending }
        });
        assert_eq!(ready.await, [true, true]);
    }

    /// An answer says 6 ms, whether the host took 30 ms for it or none: the timer of 5 ms is due at once, that of 10
    /// is not, and comes 4 ms later.
    #[tokio::test]
    async fn an_answer_decides_which_timers_are_due() {
        for stall in [30, 0] {
            let clock = Clock::new(0, 0);
            let (mut early, mut late) = (clock.timer(5 * MS), clock.timer(10 * MS));
            let mut futures = [early.ready(), late.ready()];
            let mut poll =
                |cx: &mut Context<'_>| futures.each_mut().map(|future| future.as_mut().poll(cx).is_ready());
            // Into the list, then once round.
            std::future::poll_fn(|cx| Poll::Ready([poll(cx), poll(cx)])).await;
            std::thread::sleep(Duration::from_millis(stall));
            let real = Instant::now();
            clock.advance_to(6 * MS);
            let over = clock.lock().waiting.get(&(10 * MS)).unwrap().0.unwrap();
            assert!(over >= real + Duration::from_millis(4), "{stall}");
            assert_eq!(std::future::poll_fn(|cx| Poll::Ready(poll(cx))).await, [true, false], "{stall}");
            drop(futures);
            let began = Instant::now();
            late.ready().await;
            assert!(began.elapsed() >= Duration::from_millis(4));
            assert_eq!(clock.read(), 10 * MS + READING);
        }
    }

    #[tokio::test]
    async fn a_timer_that_nobody_waits_for_any_more_holds_up_no_other() {
        let clock = Clock::new(0, 0);
        let mut early = clock.timer(MS);
        {
            let mut abandoned = early.ready();
            assert!(abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        clock.timer(2 * MS).ready().await;
        assert_eq!(clock.read(), 2 * MS + READING);
    }
}
