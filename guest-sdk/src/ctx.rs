//! The world, as a capability sees it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::{Failure, Level, NetError, Proposal, Request, Response, host};

/// The world, as one run of a capability sees it. There is no other way out of a component.
///
/// On wasm its methods call the host directly, so that a component imports exactly what it calls. Natively they call
/// the scripted [`World`](crate::testing::World) of a test.
pub struct Ctx {
    config: String,
    services: Vec<String>,
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) world: crate::testing::Handle,
}

impl Ctx {
    /// The context of a run in a component.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn new(config: String, services: Vec<String>) -> Self {
        Self { config, services }
    }

    /// The context of a run in a test.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn new(config: String, services: Vec<String>, world: crate::testing::Handle) -> Self {
        Self { config, services, world }
    }

    /// The settings of the binding, as one value of the capability's own type.
    ///
    /// # Errors
    /// `Failed` if a setting is missing that the type wants, or is of another type.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.config).map_err(|error| {
            Failure::Failed(format!("the binding's config does not fit: {error}; correct it and pin again"))
        })
    }

    /// One setting of the binding, which must be text.
    ///
    /// # Errors
    /// `Failed` if it is missing or not text.
    pub fn config_str(&self, key: &str) -> Result<String, Failure> {
        match self.config::<serde_json::Map<String, serde_json::Value>>()?.remove(key) {
            Some(serde_json::Value::String(text)) => Ok(text),
            Some(_) => Err(Failure::Failed(format!("the binding's config has a {key} that is not text"))),
            None => Err(Failure::Failed(format!("the binding's config has no {key}; add it and pin again"))),
        }
    }

    /// Whether the binding maps this service to an origin. A need that is `optional` may be unbound.
    pub fn is_bound(&self, service: &str) -> bool {
        self.services.iter().any(|name| name == service)
    }

    /// Where a granted directory is: `/<name>` in a component, a temporary folder in a test. Use `std::fs` below it.
    pub fn directory(&self, name: &str) -> PathBuf {
        host::directory(self, name)
    }

    /// The text of a contract file that the binding grants, for example `communications.stack.contract.yaml`.
    ///
    /// # Errors
    /// `NotGranted` if the binding does not grant it. A need that is `optional` may be missing.
    pub fn contract(&self, name: &str) -> Result<String, Failure> {
        match std::fs::read_to_string(host::contract(self, name)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::NotGranted(format!(
                "the contract {name} is not granted: list it under `contracts:` in the binding and pin again"
            ))),
            Err(error) => Err(Failure::Failed(format!("the contract {name} cannot be read: {error}"))),
        }
    }

    /// Reads from a service, under a rule with `effect: read`.
    ///
    /// # Errors
    /// `RateLimited` for 429, `Upstream` for any other status of 400 and above that the request does not
    /// [accept](Request::accept), `NotGranted` where no rule covers it, `Failed` where no answer came.
    pub fn fetch(&self, request: Request) -> Result<Response, Failure> {
        let response = self.fetch_raw(&request).map_err(|error| Failure::of_net(&request, error))?;
        request.check(response)
    }

    /// As [`Ctx::fetch`], but every status is an answer and the kind of error is kept.
    ///
    /// # Errors
    /// Why there was no answer.
    pub fn fetch_raw(&self, request: &Request) -> Result<Response, NetError> {
        host::fetch(self, request.wire())
    }

    /// Proposes a change. `summary` is one line for the approver, for example `clone template 9000 to VM 214`.
    pub fn effect(&self, summary: impl Into<String>, request: Request) -> Proposal<'_> {
        Proposal { ctx: self, summary: summary.into(), request }
    }

    /// Asks again and again until there is something, at least once and at the end of the time once more.
    ///
    /// `what` names what is waited for, for example `the clone of VM 214`.
    ///
    /// # Errors
    /// What `check` returns, or `Failed` when the time is over.
    pub fn poll<T>(
        &self,
        what: &str,
        every: Duration,
        timeout: Duration,
        mut check: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let start = host::monotonic(self);
        loop {
            if let Some(found) = check()? {
                return Ok(found);
            }
            let left = timeout.saturating_sub(host::monotonic(self).saturating_sub(start));
            if left.is_zero() {
                return Err(Failure::Failed(format!("waited {} s for {what}, in vain", timeout.as_secs())));
            }
            // Without a floor, an interval of nothing would spin through the budget of requests.
            host::sleep(self, every.max(Duration::from_millis(1)).min(left));
        }
    }

    /// Writes one line to the run's log.
    pub fn log(&self, level: Level, message: &str) {
        host::log(self, level, message);
    }

    /// Says how far the work is: `done` of `total` steps where the total is known, and what is being done now.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        host::progress(self, done, total, message);
    }

    /// 128 random bits as 32 hexadecimal digits. They come from the plan's seed, so that plan and apply agree.
    ///
    /// # Errors
    /// `Failed` if the host has no random bytes to give.
    pub fn unique_id(&self) -> Result<String, Failure> {
        Ok(format!("{:016x}{:016x}", host::random(self)?, host::random(self)?))
    }

    /// Time since this was first asked, for measuring how long an answer took. It moves only when something crosses
    /// to the host and in [`Ctx::poll`], and must not go into an effect or a staged file.
    pub fn elapsed(&self) -> Duration {
        host::monotonic(self)
    }

    /// The time at which the plan was begun. It is the same for the whole run, and for the apply of that plan.
    pub fn now(&self) -> SystemTime {
        host::now(self)
    }
}
