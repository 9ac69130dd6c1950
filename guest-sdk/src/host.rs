//! The crossing between a capability and whoever answers it: the host in a component, the scripted world in a test.
//!
//! Plain functions and no trait: a trait object would keep every import of the world alive in every component.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::crossing::*;

#[cfg(target_arch = "wasm32")]
pub(crate) use component::*;

#[cfg(target_arch = "wasm32")]
mod component {
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;
    use std::time::{Duration, Instant, SystemTime};

    use crate::raw::ops::capability::effects::{self, Effect, Outcome};
    use crate::raw::ops::capability::fetch as reads;
    use crate::raw::ops::capability::invoke as calls;
    use crate::raw::ops::capability::report::{self, Level};
    use crate::raw::ops::capability::types::{NetError, Request, Response};
    use crate::{Ctx, Failure};

    pub(crate) fn fetch(_: &Ctx, request: &Request) -> Result<Response, NetError> {
        reads::fetch(request)
    }

    pub(crate) fn perform(_: &Ctx, effect: &Effect) -> Result<Outcome, NetError> {
        effects::perform(effect)
    }

    pub(crate) fn invoke(_: &Ctx, wanted: &[calls::Call]) -> Vec<calls::Answer> {
        calls::invoke(wanted)
    }

    pub(crate) fn log(_: &Ctx, level: Level, message: &str) {
        report::log(level, message);
    }

    pub(crate) fn progress(_: &Ctx, done: u64, total: Option<u64>, message: &str) {
        report::progress(done, total, message);
    }

    pub(crate) fn directory(_: &Ctx, name: &str) -> PathBuf {
        Path::new("/").join(name)
    }

    pub(crate) fn contract(_: &Ctx, name: &str) -> PathBuf {
        Path::new("/contracts").join(name)
    }

    pub(crate) fn random(_: &Ctx) -> Result<u64, Failure> {
        getrandom::u64().map_err(|error| Failure::Failed(format!("no random bytes: {error}")))
    }

    pub(crate) fn now(_: &Ctx) -> SystemTime {
        SystemTime::now()
    }

    /// Time since the first reading.
    pub(crate) fn monotonic(_: &Ctx) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    pub(crate) fn sleep(_: &Ctx, time: Duration) {
        std::thread::sleep(time);
    }
}
