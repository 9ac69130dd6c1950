//! The contract of recovery actions: which capability is started, with which arguments, when a gate fails; how often it
//! is tried, and who is called after that.
//!
//! `docs/schemas/recovery.actions.schema.json` is made from these types. Whether the gates and capabilities exist is for
//! the gate D320. What is checked here is that a failure never calls for two actions at once.

use std::collections::BTreeMap;

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use crate::form::is_gate;
use crate::form::{self, Version};
use crate::system::System;

/// The file beside the bindings.
pub const NAME: &str = "recovery.actions.yaml";
/// The most actions, and the most arguments of one.
const ACTIONS: usize = 100;
const ARGUMENTS: usize = 20;
/// The longest text of an argument, in characters.
const ARGUMENT: usize = 200;

/// The recovery actions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Actions {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the actions, for example `infrastructure`; never a person.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// The role that is called when an action was tried often enough.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub escalate_to: String,
    /// The capability whose newest run says which system failed, where a failure does not name one.
    #[serde(deserialize_with = "form::capability")]
    pub observed_by: String,
    /// How often and how soon, where an action says nothing else.
    pub defaults: Pace,
    /// The actions, at most 100.
    #[schemars(length(max = 100))]
    pub actions: Vec<Action>,
}

/// How often and how soon an action is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// How often within the window; after that somebody is called.
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: u32,
    /// How long an attempt is given to help before the next one.
    #[schemars(range(max = 86_400))]
    pub cooldown_seconds: u32,
    /// How far back attempts count; not shorter than the cooldown.
    #[schemars(range(min = 60, max = 604_800))]
    pub window_seconds: u32,
}

/// One action.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// A short name, by which other files speak of it.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub id: String,
    /// What calls for it.
    pub trigger: Trigger,
    /// What is started.
    pub start: Start,
    /// How often and how soon, where that is not as in `defaults`.
    #[serde(default)]
    pub pace: Option<Pace>,
}

/// What calls for an action.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The gates, for example `D320`.
    #[serde(deserialize_with = "form::gates")]
    #[schemars(length(min = 1, max = 20))]
    pub gate_ids: Vec<String>,
    /// The kind of failure.
    pub failure_class: FailureClass,
    /// The system that failed, where the action is for one. Of the actions for a gate and a kind of failure, each has
    /// another system, or there is one that has none.
    #[serde(default)]
    pub system: Option<System>,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// It will fail again until something is done.
    Deterministic,
    /// What was looked at is too old to say anything.
    Freshness,
}

impl FailureClass {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Freshness => "freshness",
        }
    }
}

/// What an action starts: an ordinary run, with a plan and an approval of its own where the capability changes something.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The capability.
    #[serde(deserialize_with = "form::capability")]
    pub capability: String,
    /// Its arguments: texts, whole numbers, and yes or no.
    #[serde(deserialize_with = "arguments")]
    #[schemars(extend("additionalProperties" = {"type": ["string", "integer", "boolean"]}), length(max = 20))]
    pub arguments: BTreeMap<String, Value>,
}

impl Actions {
    /// The contract that the binding grants.
    ///
    /// # Errors
    /// `NotGranted` where it grants none, `Failed` where the file is not in the form of the contract.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        Self::parse(&ctx.contract(NAME)?)
    }

    /// Reads the contract.
    ///
    /// # Errors
    /// `Failed` with the place in the file, where it is not in the form, or a failure would call for two actions.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let contract: Self = read_contract(NAME, text)?;
        form::at_most(NAME, "actions", contract.actions.len(), ACTIONS)?;
        form::no_twins(NAME, "the action", contract.actions.iter().map(|action| action.id.as_str()))?;
        contract.check_pace("defaults", &contract.defaults)?;
        for action in &contract.actions {
            contract.check_pace(&action.id, &contract.pace(action))?;
        }
        contract.check_triggers()?;
        Ok(contract)
    }

    /// How often and how soon an action is tried.
    pub fn pace(&self, action: &Action) -> Pace {
        action.pace.unwrap_or(self.defaults)
    }

    /// The actions that a failure of this gate in this way calls for: one for each system, or one alone.
    pub fn for_failure(&self, gate: &str, class: FailureClass) -> Vec<&Action> {
        let answers = |action: &&Action| {
            action.trigger.failure_class == class && action.trigger.gate_ids.iter().any(|id| id == gate)
        };
        self.actions.iter().filter(answers).collect()
    }

    fn check_pace(&self, whose: &str, pace: &Pace) -> Result<(), Failure> {
        let wrong =
            |what: &str| Err(Failure::failed(format!("{NAME}: {whose}: {what}; correct it and pin again")));
        match pace {
            Pace { max_attempts, .. } if !(1..=10).contains(max_attempts) => {
                wrong(&format!("max_attempts is {max_attempts}, and may be 1 to 10"))
            }
            Pace { cooldown_seconds, .. } if *cooldown_seconds > 86_400 => {
                wrong(&format!("cooldown_seconds is {cooldown_seconds}, and may be 86400 at most"))
            }
            Pace { cooldown_seconds, window_seconds, .. }
                if !((*cooldown_seconds).max(60)..=604_800).contains(window_seconds) =>
            {
                wrong(&format!(
                    "window_seconds is {window_seconds}, and may be 60 to 604800, and not less than the cooldown"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Which action a failure calls for must not depend on the order of the file.
    fn check_triggers(&self) -> Result<(), Failure> {
        let mut seen: BTreeMap<(&str, FailureClass, Option<System>), &str> = BTreeMap::new();
        for action in &self.actions {
            let Trigger { gate_ids, failure_class, system } = &action.trigger;
            for gate in gate_ids {
                let rival = seen.iter().find(|((other, class, of), _)| {
                    (*other, class) == (gate, failure_class)
                        && (of == system || of.is_none() || system.is_none())
                });
                if let Some((_, rival)) = rival {
                    return Err(Failure::failed(format!(
                        "{NAME}: {gate} with {} calls for {rival} and for {}; give each a system of its own, keep one \
                         and pin again",
                        failure_class.as_str(),
                        action.id
                    )));
                }
                seen.insert((gate, *failure_class, *system), &action.id);
            }
        }
        Ok(())
    }
}

/// Arguments are a flat list: what a person reads in the contract is what the capability gets.
fn arguments<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Value>, D::Error> {
    let arguments = BTreeMap::<String, Value>::deserialize(from)?;
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let is_plain = |value: &Value| match value {
        Value::String(text) => text.chars().count() <= ARGUMENT && !text.chars().any(char::is_control),
        Value::Number(number) => number.is_i64(),
        Value::Bool(_) => true,
        _ => false,
    };
    match arguments.iter().find(|(name, value)| !is_name(name) || !is_plain(value)) {
        Some((name, _)) => Err(D::Error::custom(format!(
            "the argument {name:?} is not a plain name with a short text, a whole number, true or false"
        ))),
        None if arguments.len() > ARGUMENTS => Err(D::Error::custom(format!(
            "an action has {} arguments, and may have {ARGUMENTS}",
            arguments.len()
        ))),
        None => Ok(arguments),
    }
}
