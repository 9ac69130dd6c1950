//! The guest's reports on standard error: log lines, and a progress line on anything over a second.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ops_policy::message::{Level, Report};
use ops_runner::broker::ReportSink;
use ops_runner::run::TraceSink;

/// How long a run is silent before it shows that it goes on.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether each decision is shown as it is made (`--trace-checks`). The words are read while the run begins.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<AtomicBool>);

impl Trace {
    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }
}

/// The line that shows how far a run is.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
    ticking: Arc<Mutex<bool>>,
}

impl Progress {
    /// A line that stays hidden for the first second, and where standard error is no terminal.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::default_spinner());
        Self { bar, began: Instant::now(), ticking: Arc::new(Mutex::new(false)) }
    }

    /// Where the runner sends reports.
    pub(crate) fn sink(&self) -> ReportSink {
        let progress = self.clone();
        Arc::new(move |report| progress.take(report))
    }

    /// Where the runner sends its decisions.
    pub(crate) fn trace(&self, trace: &Trace) -> TraceSink {
        let (bar, trace) = (self.bar.clone(), trace.clone());
        Arc::new(move |line| {
            if trace.0.load(Relaxed) {
                bar.suspend(|| crate::say::note(line));
            }
        })
    }

    /// Shows the line once a second has passed. Called while a run is waited for.
    pub(crate) fn wake(&self) {
        let Ok(mut ticking) = self.ticking.lock() else { return };
        if !*ticking && self.began.elapsed() >= SILENCE {
            *ticking = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    fn take(&self, report: &Report) {
        match report {
            Report::Log { level: Level::Debug, .. } => {}
            Report::Log { level: Level::Info, message } => self.bar.suspend(|| crate::say::dim(message)),
            Report::Log { level: Level::Warn, message } => {
                self.bar.suspend(|| crate::say::note(format!("warning: {message}")));
            }
            Report::Progress { done, total, message } => {
                let how_far = match total {
                    Some(total) => format!("{done}/{total} {message}"),
                    None => format!("{done} {message}"),
                };
                self.bar.set_message(how_far);
                self.wake();
            }
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
