//! What keeps a guest from holding on to its thread: a tick every few milliseconds while a guest runs.
//!
//! At each tick the guest gives way to its host, which looks at the time and at the wish to cancel, and either goes
//! on or drops it. The thread that ticks sleeps while nothing runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// The time between two ticks: how late a guest may be stopped.
const TICK: Duration = Duration::from_millis(10);

/// The ticking thread of one engine.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The guests that run now.
    runs: usize,
    /// Whether one ran since the last tick. So that runs in quick succession need not wake the thread each time.
    busy: bool,
    /// Whether the thread waits to be woken.
    parked: bool,
    closed: bool,
}

/// A running guest. Ticks go on until the last of these is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

impl Watchdog {
    /// `each` is called at every tick.
    pub(crate) fn start(engine: Engine, each: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared: Arc<Shared> = Arc::default();
        let ticking = Arc::clone(&shared);
        std::thread::Builder::new().name("ops-watchdog".to_owned()).spawn(move || {
            ticking.tick(|| {
                engine.increment_epoch();
                each();
            });
        })?;
        Ok(Self { shared })
    }

    /// Ticks from now on.
    pub(crate) fn watch(&self) -> Watch {
        let mut state = self.shared.lock();
        state.runs += 1;
        state.busy = true;
        if std::mem::take(&mut state.parked) {
            self.shared.changed.notify_one();
        }
        drop(state);
        Watch { shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, each: impl Fn()) {
        let mut state = self.lock();
        while !state.closed {
            state = if state.runs == 0 && !state.busy {
                state.parked = true;
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                state.busy = false;
                let (state, _) =
                    self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
                drop(state);
                each();
                self.lock()
            };
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().runs -= 1;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}
