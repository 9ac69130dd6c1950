//! Asking a component what it is.
//!
//! Nothing of the world is there while it answers: what is not the standard library's plumbing is a trap, and that
//! has no folder, no time and no secret in it. The answer is a stranger's text, so it is bounded field by field
//! before anybody sees it: length, control characters, number of needs, and schemas that are JSON of a bounded
//! depth. The host does that again with what the guest's process hands over (`received`).

use std::sync::Arc;
use std::time::Duration;

use ops_policy::manifest::{Access, Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::message::{Call, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::bindings::CapabilityPre;
use crate::bindings::exports::ops::capability::guest;
use crate::bounds::{Bounds, Driven, Halt};
use crate::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use crate::clock::Clock;
use crate::engine::Guests;
use crate::state::State;
use crate::stdio::Sink;
use crate::{link, text};

/// The processor time of a description.
const TIME: Duration = Duration::from_millis(100);
/// Its real time, for one that sleeps.
pub(crate) const REAL_TIME: Duration = Duration::from_secs(2);
/// Its memory, in bytes.
const MEMORY: u64 = 16 << 20;
/// The size of a manifest with both schemas, in bytes, roughly.
const MANIFEST_BYTES: usize = 1 << 20;
/// The length of any text but a schema, in bytes.
const TEXT_BYTES: usize = 1_000;
/// The length of a schema, in bytes.
const SCHEMA_BYTES: usize = 64 << 10;
/// How deep a schema may be nested.
const SCHEMA_DEPTH: usize = 32;
/// The entries of any list.
const ENTRIES: usize = 64;

/// Why a component has no manifest.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum DescribeError {
    /// It does not have the contract's exports.
    #[error("the component is no capability: {0}; build it with `ops-guest`")]
    NotCapability(String),
    /// It trapped, or called something that is not there while it describes itself.
    #[error(
        "the component did not describe itself but ended: {0}; `describe` must not ask anything of the host"
    )]
    Trapped(String),
    /// It took too long.
    #[error("the component took more than {} ms to describe itself", TIME.as_millis())]
    OutOfTime,
    /// It wanted too much memory.
    #[error("the component wanted more than {} MiB to describe itself", MEMORY >> 20)]
    OutOfMemory,
    /// Something in its manifest is out of bounds.
    #[error("the component's manifest is not usable: {field} {why}")]
    Field {
        /// Which part, for example `needs[2].name`.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// The host failed.
    #[error("the host failed while the component described itself: {0}; please report it")]
    HostPanicked(String),
    /// Its process could not be confined.
    #[error("the component was not asked what it is, because its process cannot be confined: {0}")]
    Unconfined(String),
    /// Its process was lost, or did not keep to what is agreed with it.
    #[error("the component did not describe itself: {0}")]
    Lost(String),
}

impl Guests {
    /// Calls the component's `describe` in this process, with nothing linked. It must be polled on a tokio runtime that has a timer.
    ///
    /// # Errors
    ///
    /// A component that has no manifest to give, or none within the bounds.
    pub async fn describe(&self) -> Result<Manifest, DescribeError> {
        let not_capability = |error: wasmtime::Error| DescribeError::NotCapability(text::first_line(&error));
        let mut linker = link::base(self.code.engine()).map_err(not_capability)?;
        link::stubs(&mut linker, &self.code).map_err(not_capability)?;
        let pre =
            linker.instantiate_pre(self.code.inner()).and_then(CapabilityPre::new).map_err(not_capability)?;
        let sink = Sink::default();
        let wasi = State::wasi(&sink, &sink, &[]).map_err(DescribeError::HostPanicked)?;
        let (_never, cancel) = watch::channel(false);
        let bounds = Arc::new(Bounds::new(REAL_TIME, Some(TIME), cancel));
        let nobody = Arc::new(Mutex::new(Nobody));
        let state = State::new(wasi, Clock::new(0, 0), [0; 32], MEMORY, nobody, Arc::clone(&bounds));
        let mut store = self.store(state, MANIFEST_BYTES);
        let _watch = self.watchdog.watch();
        let driven = bounds
            .drive(async {
                let guest = pre.instantiate_async(&mut store).await?;
                guest.ops_capability_guest().call_describe(&mut store).await
            })
            .await;
        match driven {
            Driven::Ended(Ok(manifest)) => checked(manifest),
            Driven::Ended(Err(_)) if store.data().limiter.refused() => Err(DescribeError::OutOfMemory),
            Driven::Ended(Err(error)) => Err(DescribeError::Trapped(text::first_line(&error))),
            Driven::Halted(Halt::OutOfTime | Halt::Cancelled | Halt::Stopped) => {
                Err(DescribeError::OutOfTime)
            }
            Driven::Panicked(what) => Err(DescribeError::HostPanicked(what)),
        }
    }
}

/// Stands where a broker would. No link leads to it.
struct Nobody;

impl Broker for Nobody {
    fn fetch(&mut self, _: Request) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn fetch_url(&mut self, _: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn refused(&mut self, _: &str, _: &str) -> Result<(), Stop> {
        Err(Stop)
    }

    fn perform(&mut self, _: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn invoke(&mut self, _: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(async { Err(Stop) })
    }

    fn report(&mut self, _: Report) -> Answer<'_, ()> {
        Box::pin(async { Err(Stop) })
    }

    fn now(&mut self) -> Moment {
        Moment { clock: 0, replaying: false }
    }
}

fn checked(manifest: guest::Manifest) -> Result<Manifest, DescribeError> {
    let manifest = converted(manifest)?;
    check(&manifest)?;
    Ok(manifest)
}

/// What a guest's process says that came of a description, looked at as if nobody had done so before.
pub(crate) fn received(said: Result<Manifest, DescribeError>) -> Result<Manifest, DescribeError> {
    use DescribeError::{
        Field, HostPanicked, Lost, NotCapability, OutOfMemory, OutOfTime, Trapped, Unconfined,
    };
    let line = |said: String| text::one_line(&said);
    match said {
        Ok(manifest) => check(&manifest).map(|()| manifest),
        Err(NotCapability(why)) => Err(NotCapability(line(why))),
        Err(Trapped(why)) => Err(Trapped(line(why))),
        Err(OutOfTime) => Err(OutOfTime),
        Err(OutOfMemory) => Err(OutOfMemory),
        Err(Field { field, why }) => Err(Field { field: line(field), why: line(why) }),
        Err(HostPanicked(why)) => Err(HostPanicked(line(why))),
        Err(Unconfined(why)) => Err(Unconfined(line(why))),
        Err(Lost(why)) => Err(Lost(line(why))),
    }
}

/// The manifest in our own types. How much there can be of it, the engine has bounded.
fn converted(manifest: guest::Manifest) -> Result<Manifest, DescribeError> {
    let guest::Manifest { name, summary, version, safety, input, output, needs } = manifest;
    let safety = match safety {
        guest::Safety::ReadOnly => Safety::ReadOnly,
        guest::Safety::Mutating => Safety::Mutating,
        guest::Safety::Destructive => Safety::Destructive,
    };
    let (input, output) = (schema("input", &input)?, schema("output", &output)?);
    let needs = needs.into_iter().map(need).collect();
    Ok(Manifest { name, summary, version, safety, input, output, needs })
}

fn need(need: guest::Need) -> Need {
    let kind = match need.kind {
        guest::NeedKind::Service(service) => {
            NeedKind::Service { name: service.name, rules: service.rules.into_iter().map(rule).collect() }
        }
        guest::NeedKind::Directory(directory) => NeedKind::Directory {
            name: directory.name,
            access: match directory.access {
                guest::Access::Read => Access::Read,
                guest::Access::Stage => Access::Stage,
            },
        },
        guest::NeedKind::Contract(name) => NeedKind::Contract { name },
        guest::NeedKind::Invoke(name) => NeedKind::Invoke { name },
        guest::NeedKind::Config(config) => NeedKind::Config { key: config.key, meaning: config.meaning },
    };
    Need { need: kind, optional: need.optional }
}

fn rule(rule: guest::RuleNeed) -> RuleNeed {
    let guest::RuleNeed { method, path, effect, query, headers } = rule;
    let effect = match effect {
        guest::RuleEffect::Read => RuleEffect::Read,
        guest::RuleEffect::Mutate => RuleEffect::Mutate,
        guest::RuleEffect::Destroy => RuleEffect::Destroy,
    };
    RuleNeed { method, path, effect, query, headers }
}

fn check(manifest: &Manifest) -> Result<(), DescribeError> {
    bounded("name", &manifest.name)?;
    bounded("summary", &manifest.summary)?;
    bounded("version", &manifest.version)?;
    for (field, value) in [("input", &manifest.input), ("output", &manifest.output)] {
        schema(field, &value.to_string())?;
    }
    list("needs", &manifest.needs, check_need)
}

fn check_need(field: &str, need: &Need) -> Result<(), DescribeError> {
    let part = |name: &str| format!("{field}.{name}");
    match &need.need {
        NeedKind::Service { name, rules } => {
            bounded(&part("name"), name)?;
            list(&part("rules"), rules, check_rule)
        }
        NeedKind::Directory { name, .. } | NeedKind::Contract { name } | NeedKind::Invoke { name } => {
            bounded(&part("name"), name)
        }
        NeedKind::Config { key, meaning } => {
            bounded(&part("key"), key)?;
            bounded(&part("meaning"), meaning)
        }
    }
}

fn check_rule(field: &str, rule: &RuleNeed) -> Result<(), DescribeError> {
    let part = |name: &str| format!("{field}.{name}");
    let text = |field: &str, value: &String| bounded(field, value);
    bounded(&part("method"), &rule.method)?;
    bounded(&part("path"), &rule.path)?;
    list(&part("query"), &rule.query, text)?;
    list(&part("headers"), &rule.headers, text)
}

fn refuse(field: &str, why: impl Into<String>) -> DescribeError {
    DescribeError::Field { field: field.to_owned(), why: why.into() }
}

/// A text for people or for comparison: one line, not empty, of a bounded length.
fn bounded(field: &str, value: &str) -> Result<(), DescribeError> {
    if value.is_empty() {
        Err(refuse(field, "is empty"))
    } else if value.len() > TEXT_BYTES {
        Err(refuse(field, format!("is longer than {TEXT_BYTES} bytes")))
    } else if value.chars().any(text::is_hidden) {
        Err(refuse(field, "has control or invisible characters"))
    } else {
        Ok(())
    }
}

fn list<T>(
    field: &str,
    values: &[T],
    check: fn(&str, &T) -> Result<(), DescribeError>,
) -> Result<(), DescribeError> {
    if values.len() > ENTRIES {
        return Err(refuse(field, format!("has more than {ENTRIES} entries")));
    }
    values.iter().enumerate().try_for_each(|(number, value)| check(&format!("{field}[{number}]"), value))
}

fn schema(field: &str, text: &str) -> Result<Value, DescribeError> {
    if text.len() > SCHEMA_BYTES {
        return Err(refuse(field, format!("is longer than {SCHEMA_BYTES} bytes")));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse(field, format!("is not JSON: {error}")))?;
    if !value.is_object() {
        return Err(refuse(field, "is not a JSON object"));
    }
    if depth(&value, SCHEMA_DEPTH + 1) > SCHEMA_DEPTH {
        return Err(refuse(field, format!("is nested deeper than {SCHEMA_DEPTH} levels")));
    }
    Ok(value)
}

/// How deep a value is nested, looked at no deeper than `most`.
fn depth(value: &Value, most: usize) -> usize {
    let inner: &mut dyn Iterator<Item = &Value> = match value {
        Value::Array(values) => &mut values.iter(),
        Value::Object(members) => &mut members.values(),
        _ => return 0,
    };
    if most == 0 { 0 } else { 1 + inner.map(|value| depth(value, most - 1)).max().unwrap_or(0) }
}

#[cfg(test)]
mod tests;
