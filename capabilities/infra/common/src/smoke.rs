//! The report of `infra.core.smoke`, which `infra.core.baseline.record` and `recovery.dispatch` read again.
//!
//! A system passes only if its probe ran, has a receipt, reports on that very system, and made every check that the
//! baseline contract declares, each of them `ok`. Everything else is a failure with its reason, but for a system that is
//! not bound here, which is neither.

use ops_guest::{InvokeError, Invoked};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::baseline::Declared;
use crate::probe::{Cause, Outcome, Report, Row, Verdict};
use crate::system::System;

/// The capability.
pub const CAPABILITY: &str = "infra.core.smoke";

/// What came of one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemReport {
    /// Which one.
    pub system: System,
    /// What came of it.
    pub result: SystemResult,
    /// What was seen, what is wrong, or why nobody can tell.
    pub why: String,
    /// How long the probe took, in milliseconds.
    pub milliseconds: u64,
    /// The run of its probe: its receipt is the evidence.
    pub run: Option<String>,
}

/// One check of one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// The system.
    pub system: System,
    /// The check's name, as the baseline contract has it.
    pub check: String,
    /// What came of it.
    pub result: Outcome,
    /// Of one that failed: the kind of failure.
    pub cause: Option<Cause>,
    /// What was seen, what is wrong, or why it was not made.
    pub why: String,
}

/// What came of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SystemResult {
    /// Every declared check was made and went well.
    Pass,
    /// Something is wrong with the system, or with the way in which it was looked at.
    Fail,
    /// The system is not bound in this workspace. That is no pass.
    NotBound,
}

/// What came of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Result {
    /// Every system that was asked for passed.
    Pass,
    /// At least one failed.
    Fail,
    /// None failed, but at least one is not bound, so nobody can tell.
    Incomplete,
}

/// What a run of it reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Smoke {
    /// The system that was asked for, or `all`.
    pub asked: Asked,
    /// The checks of all their probes.
    pub checks: Vec<CheckReport>,
    /// A row for each system that was asked for.
    pub systems: Vec<SystemReport>,
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failures: u64,
    /// How many are not bound in this workspace.
    pub not_bound: u64,
    /// `PASS` only if every system that was asked for passed.
    #[schemars(extend("x-ops-fails-on" = ["FAIL"]))]
    pub result: Result,
}

/// What to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// DNS and the edge, at a vendor.
    Cloudflare,
    /// The vault of passwords.
    Vaultwarden,
    /// The store of machines' secrets.
    Infisical,
    /// Sign-on.
    Authentik,
    /// All of them.
    #[default]
    All,
}

impl Asked {
    /// The systems that are meant.
    pub fn systems(self) -> Vec<System> {
        match self {
            Self::Cloudflare => vec![System::Cloudflare],
            Self::Vaultwarden => vec![System::Vaultwarden],
            Self::Infisical => vec![System::Infisical],
            Self::Authentik => vec![System::Authentik],
            Self::All => System::ALL.to_vec(),
        }
    }
}

impl Smoke {
    /// Adds the systems up. There is no other way to a result.
    pub fn of(asked: Asked, systems: Vec<SystemReport>, checks: Vec<CheckReport>) -> Self {
        let count = |result| {
            let found = systems.iter().filter(|system| system.result == result).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        let (passed, failures) = (count(SystemResult::Pass), count(SystemResult::Fail));
        let not_bound = count(SystemResult::NotBound);
        // Every system that was asked for must have passed: one that has no row has not.
        let all_passed = asked.systems().iter().all(|asked| {
            systems.iter().any(|system| system.system == *asked && system.result == SystemResult::Pass)
        });
        let result = match (failures, all_passed) {
            (0, true) => Result::Pass,
            (0, false) => Result::Incomplete,
            _ => Result::Fail,
        };
        Self { asked, checks, systems, passed, failures, not_bound, result }
    }
}

impl SystemReport {
    /// What the call of a system's probe comes to, and the checks that it made.
    pub fn of(declared: &Declared, answer: &Invoked) -> (Self, Vec<CheckReport>) {
        let system = declared.system;
        let report = answer.output::<Report>();
        let (result, why) = match &report {
            Ok(report) => judge(declared, report, answer.run.as_deref()),
            Err(InvokeError::NotGranted(why) | InvokeError::Failed(why)) => (SystemResult::Fail, why.clone()),
        };
        let rows = report.map(|report| report.checks).unwrap_or_default();
        let checks = rows.into_iter().map(|row| CheckReport::of(system, row)).collect();
        let (run, milliseconds) = (answer.run.clone(), answer.milliseconds);
        (Self { system, result, why, milliseconds, run }, checks)
    }
}

impl CheckReport {
    fn of(system: System, row: Row) -> Self {
        let Row { check, result, cause, why } = row;
        Self { system, check, result, cause, why }
    }
}

fn judge(declared: &Declared, report: &Report, run: Option<&str>) -> (SystemResult, String) {
    let fail = |why: String| (SystemResult::Fail, why);
    let capability = &declared.smoke.capability;
    if run.is_none() {
        return fail(format!("{capability} has no receipt, so there is no evidence"));
    }
    if report.system != declared.system {
        return fail(format!("{capability} reports on {}", report.system));
    }
    if let Some(row) = report.checks.iter().find(|row| row.result == Outcome::Failed) {
        return fail(format!("{}: {}", row.check, row.why));
    }
    let made = |check: &&String| report.checks.iter().any(|row| row.check == **check);
    if let Some(check) = declared.smoke.checks.iter().find(|check| !made(check)) {
        return fail(format!("{capability} does not make the check `{check}`, which the baseline declares"));
    }
    let all_are = |outcome| report.checks.iter().all(|row| row.result == outcome);
    match report.result {
        Verdict::Ok if all_are(Outcome::Ok) => {
            let names: Vec<_> = report.checks.iter().map(|row| row.check.as_str()).collect();
            (SystemResult::Pass, format!("{} ok", names.join(", ")))
        }
        Verdict::NotBound if all_are(Outcome::NotBound) => {
            (SystemResult::NotBound, format!("no service `{}` is bound in this workspace", declared.system))
        }
        _ => fail(format!("{capability} says one thing of the system and another of its checks")),
    }
}
