//! The two clocks of a guest. Neither shows the host's time.
//!
//! The wall clock stands still. The monotonic clock moves by a microsecond at each reading (so that a loop on it
//! ends), to what the broker says after each answer, and by the length of each sleep. Sleeps are real, but what the
//! guest learns of them depends on their lengths only: where several timers wait, the earliest alone comes due,
//! however late the host wakes up. Timers that wait while an answer comes are measured anew from where it moved the
//! clock to, so that they depend on what the broker says and not on how long it took.
//!
//! While the broker says that the run is replayed, sleeps take no time. That is the only difference: a timer comes due
//! in the same turn, after everything that could come before it in a live run.

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

use crate::broker::Moment;

/// What one reading of the monotonic clock adds, in nanoseconds.
const READING: u64 = 1_000;

/// How often everything else of a poll is looked at before a replayed timer comes due. What a guest waits for besides
/// timers is either there or takes a few turns of this thread (a body that is taken from it piece by piece), and in a
/// live run that is always sooner than a timer.
const ROUNDS: usize = 8;

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
    /// Whether sleeps take no time.
    replaying: bool,
    /// How many timers have moved the clock.
    turns: u64,
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

    /// Moves the monotonic clock to a moment, unless it is past it. From here sleeps are real, or no longer.
    pub(crate) fn arrive(&self, moment: Moment) {
        let mut shared = self.lock();
        shared.now = shared.now.max(moment.clock);
        shared.replaying = moment.replaying;
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
struct Waiting<'a> {
    timer: &'a Timer,
    over: Option<Instant>,
    /// How many timers had moved the clock before.
    turns: u64,
}

impl Timer {
    /// Puts this timer in the list, with the real time at which it is over, or none if no clock can show that. `None`
    /// if the guest's clock has passed it already.
    fn wait(&self) -> Option<Waiting<'_>> {
        let mut shared = self.clock.lock();
        let left = self.deadline.checked_sub(shared.now).filter(|left| *left > 0)?;
        // Timers of one deadline share one real time, so that they come due together.
        let over = Instant::now().checked_add(Duration::from_nanos(left));
        let turns = shared.turns;
        let (over, count) = shared.waiting.entry(self.deadline).or_insert((over, 0));
        *count += 1;
        Some(Waiting { timer: self, over: *over, turns })
    }

    /// Moves the guest's clock to this deadline, if it is its turn: no earlier one is waited for, and since the last
    /// move as much real time has passed as the guest will see. In a replay no time passes, but each turn is one
    /// timer's, with those of the same deadline: the guest goes on before the next.
    fn reach(&self, waiting: &Waiting<'_>) -> bool {
        let mut shared = self.clock.lock();
        let real = Instant::now();
        let turn = match shared.waiting.first_key_value() {
            Some((first, _)) if *first != self.deadline => false,
            Some((_, (Some(_), _))) if shared.replaying => {
                waiting.turns == shared.turns || self.deadline <= shared.now
            }
            Some((_, (over, _))) => over.is_some_and(|over| over <= real),
            None => false,
        };
        if turn {
            shared.turns += 1;
            shared.now = shared.now.max(self.deadline);
            shared.measure_anew(real);
        }
        turn
    }

    async fn sleep_until(&self, over: Option<Instant>) {
        let replaying = self.clock.lock().replaying;
        match over {
            Some(_) if replaying => {
                for _ in 0..ROUNDS {
                    tokio::task::yield_now().await;
                }
            }
            Some(over) => tokio::time::sleep_until(over).await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut shared = self.timer.clock.lock();
        if let Some((_, count)) = shared.waiting.get_mut(&self.timer.deadline) {
            *count -= 1;
            if *count == 0 {
                shared.waiting.remove(&self.timer.deadline);
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
            let Some(waiting) = self.wait() else { return };
            // Once round, so that every timer of a poll is in the list before one of them can come due.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                () = &mut moved => continue,
                () = self.sleep_until(waiting.over) => (),
            }
            if self.reach(&waiting) {
                return;
            }
            // An earlier timer has ended this poll or will, and the guest asks again.
            moved.await;
        }
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
mod tests;
