//! The baseline contract of infra-core: what each of the four systems is, who has the last word on it, how it is looked
//! at, and what is done when it fails.
//!
//! `docs/schemas/infra.core.baseline.contract.schema.json` is made from these types. Whether the capabilities, the
//! recovery actions and the gates that it names exist is for the gate D320; that none of the four systems is left out
//! is checked where the file is read, because what a contract does not list nobody looks at.

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::form::{self, Version};
use crate::recovery::FailureClass;
use crate::system::System;

/// The file beside the bindings.
pub const NAME: &str = "infra.core.baseline.contract.yaml";

/// The baseline of infra-core.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the baseline, for example `infrastructure`; never a person.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// The four systems, each once.
    #[schemars(length(min = 4, max = 4))]
    pub systems: Vec<Declared>,
}

/// What is declared of one system.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Which one.
    pub system: System,
    /// Where the truth about it is kept, for example `vendor-account` or `compose-project`.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub authority: String,
    /// Who runs it.
    pub runtime_type: RuntimeType,
    /// What must be there for as long as it is in use.
    pub lifecycle_requirements: Lifecycle,
    /// How it is looked at.
    pub smoke: Smoke,
    /// What is done when it fails.
    pub self_heal: SelfHeal,
    /// What the probe shows to be let in.
    pub auth_posture: AuthPosture,
}

/// Who runs a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeType {
    /// Its vendor: there is nothing of ours to restart.
    Saas,
    /// We do, in containers.
    SelfHosted,
}

/// What must be there for as long as a system is in use.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// The page for the person who is called at night, from the top folder of the repository.
    #[serde(deserialize_with = "form::document")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._/-]*\.md$"))]
    pub runbook: String,
    /// The capabilities whose receipts show that it was taken in.
    #[serde(deserialize_with = "form::capabilities")]
    #[schemars(length(min = 1, max = 20))]
    pub evidence_capabilities: Vec<String>,
}

/// How a system is looked at.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// The read-only capability that asks it; `infra.core.smoke` calls it, if its binding names it too.
    #[serde(deserialize_with = "form::capability")]
    pub capability: String,
    /// The checks that it must make, by their names. One that it does not make is a failure of the system.
    #[serde(deserialize_with = "form::words")]
    #[schemars(length(min = 1, max = 20))]
    pub checks: Vec<String>,
}

/// What is done when a system fails.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfHeal {
    /// The action of `recovery.actions.yaml`.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub recovery_action_id: String,
    /// The gates whose failure calls for it, for example `D320`.
    #[serde(deserialize_with = "form::gates")]
    #[schemars(length(min = 1, max = 20))]
    pub trigger_gate_ids: Vec<String>,
    /// The kind of failure that calls for it.
    pub failure_class: FailureClass,
}

/// What a probe shows to be let in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthPosture {
    /// The credential that the host adds to the probe's requests.
    pub credential: Credential,
    /// What is tried when that is refused.
    pub fallback: Fallback,
}

/// The credential of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// None: what is asked is open to everybody.
    None,
    /// One token, of which the binding says where it goes.
    BearerToken,
}

/// What is tried when a credential is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Nothing. A refused or limited credential is reported, and never exchanged for a stronger one.
    None,
}

impl Baseline {
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
    /// `Failed` with the place in the file, where it is not in the form or lists a system twice or not at all.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let contract: Self = read_contract(NAME, text)?;
        form::no_twins(NAME, "the system", contract.systems.iter().map(|declared| declared.system.as_str()))?;
        match System::ALL.into_iter().find(|system| contract.declared(*system).is_none()) {
            None => Ok(contract),
            Some(system) => Err(Failure::failed(format!(
                "{NAME}: the system {system} is not listed, so nobody would look at it; add it and pin again"
            ))),
        }
    }

    /// What is declared of a system.
    pub fn declared(&self, system: System) -> Option<&Declared> {
        self.systems.iter().find(|declared| declared.system == system)
    }
}
