//! One run of one guest, from its links to its end.
//!
//! In this order: the imports are checked against the links; the store is made, with every limit set; from here the
//! time counts; the component is instantiated and called; and whatever happens, what it printed and used is told
//! and the store is discarded. Nothing of a guest outlives its run.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use crate::bindings::CapabilityPre;
use crate::bounds::{Bounds, Driven, Halt};
use crate::broker::Broker;
use crate::engine::Guests;
use crate::job::{End, Job, Limits, Ran};
use crate::state::{HANDLES, State};
use crate::stdio::Sink;
use crate::{convert, text};

/// The most bytes that a guest may hand to the host in one call.
const CALL_BYTES: usize = 16 << 20;

impl Guests {
    /// Runs the component once, in this process. It must be polled on a tokio runtime that has a timer.
    ///
    /// It ends by the job's limits and its `cancel`, except that a `perform` in flight is waited for; so do not drop
    /// the future to end a run. Every end is a value: there is no error besides.
    pub async fn run(&self, job: Job, broker: Arc<Mutex<dyn Broker>>) -> Ran {
        let (stdout, stderr) = (Sink::default(), Sink::default());
        let bounds = Arc::new(Bounds::new(job.limits.time, None, job.cancel.clone()));
        let began = Instant::now();
        let (end, peak_memory) = match self.prepare(&job, broker, &bounds, [&stdout, &stderr]) {
            Err(end) => (end, 0),
            Ok((linked, mut store)) => {
                let input = convert::input(job.input);
                let _watch = self.watchdog.watch();
                let courier = store.data().courier();
                let driven = bounds
                    .drive(courier.beside(async {
                        store.data().begin().await;
                        let guest = linked.instantiate_async(&mut store).await?;
                        guest.ops_capability_guest().call_run(&mut store, &input).await
                    }))
                    .await;
                let limiter = &store.data().limiter;
                let end = match driven {
                    Driven::Ended(Ok(Ok(output))) => finished(output, job.limits),
                    Driven::Ended(Ok(Err(failure))) => End::Failed(convert::failure(failure)),
                    Driven::Ended(Err(error)) => ended(&error, limiter.refused()),
                    Driven::Halted(halt) => halted(halt),
                    Driven::Panicked(what) => End::HostPanicked(what),
                };
                (end, limiter.peak_memory())
            }
        };
        Ran {
            end,
            stdout: stdout.printed(),
            stderr: stderr.printed(),
            peak_memory,
            elapsed: began.elapsed(),
            confined: None,
        }
    }

    fn prepare(
        &self,
        job: &Job,
        broker: Arc<Mutex<dyn Broker>>,
        bounds: &Arc<Bounds>,
        [stdout, stderr]: [&Sink; 2],
    ) -> Result<(CapabilityPre<State>, Store<State>), End> {
        let linked = self.code.linked(job.links)?;
        let wasi = State::wasi(stdout, stderr, &job.mounts).map_err(|folder| {
            End::NotStarted(format!("the copy of the folder `{folder}` cannot be opened"))
        })?;
        let clock = crate::clock::Clock::new(job.clock_seconds, job.clock_nanoseconds);
        let state = State::new(wasi, clock, job.seed, job.limits.memory, broker, Arc::clone(bounds));
        Ok((linked, self.store(state, CALL_BYTES)))
    }

    /// A store with every limit set.
    pub(crate) fn store(&self, state: State, call_bytes: usize) -> Store<State> {
        let mut store = Store::new(self.code.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(call_bytes);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            store.data().http.interrupted();
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

fn finished(output: String, limits: Limits) -> End {
    if output.len() as u64 > limits.output { End::OutputTooLong } else { End::Output(output) }
}

fn halted(halt: Halt) -> End {
    match halt {
        Halt::Stopped => End::Stopped,
        Halt::Cancelled => End::Cancelled,
        Halt::OutOfTime => End::OutOfTime,
    }
}

/// What a guest that ended with an error ended of.
fn ended(error: &wasmtime::Error, memory_refused: bool) -> End {
    if let Some(halt) = error.downcast_ref::<Halt>() {
        halted(*halt)
    } else if let Some(I32Exit(status)) = error.downcast_ref() {
        End::Trapped(format!("it called exit with status {status} instead of returning"))
    } else if memory_refused {
        End::OutOfMemory
    } else {
        End::Trapped(text::first_line(error))
    }
}

#[cfg(test)]
mod tests;
