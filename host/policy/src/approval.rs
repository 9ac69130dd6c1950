//! How a binding lets its plans be approved.
//!
//! The signature is the boundary and the default. Everything weaker must be listed, and the weakest, a piped yes,
//! is open only to a binding that can do no more than stage records of the workspace itself.

use serde::Deserialize;

use crate::manifest::{Access, RuleEffect, Safety};
use crate::yaml::{self, At, Wrong};

/// Whether a person has to say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A person approves each plan.
    Manual,
    /// Nobody is asked; the lock's signature covers that choice.
    Auto,
}

/// A way to say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// A signature over the plan's hash.
    Signed,
    /// The plan's short hash, typed at the terminal.
    Confirmed,
    /// `yes` on standard input.
    Piped,
}

/// How a plan is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whether a person has to say yes.
    pub mode: Mode,
    /// The ways that count, sorted; empty where nobody is asked.
    pub accept: Vec<Accept>,
    /// Why the binding is as it is; always there where nobody is asked about a change.
    pub reason: Option<String>,
    /// How many different people have to approve, 1 to 3; 0 where nobody is asked.
    pub approvals: u8,
}

/// The approval as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {mode: manual}")]
pub(crate) struct Written {
    mode: At<Mode>,
    #[serde(default, deserialize_with = "yaml::present")]
    accept: Option<At<Vec<At<Accept>>>>,
    #[serde(default, deserialize_with = "yaml::present")]
    reason: Option<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    approvals: Option<At<u8>>,
}

/// What the checks need to know of the rest of the binding.
pub(crate) struct Context<'a> {
    pub(crate) safety: Safety,
    pub(crate) effects: &'a [RuleEffect],
    pub(crate) directories: &'a [(&'a str, Access)],
}

/// Where a piped yes may let something be staged.
const RECORDS: [&str; 4] = ["gaps", "loops", "handoffs", "state"];

impl Approval {
    const NOBODY: Self = Self { mode: Mode::Auto, accept: Vec::new(), reason: None, approvals: 0 };
}

pub(crate) fn check(
    written: Option<&At<Written>>,
    safety: &At<Safety>,
    context: &Context<'_>,
) -> Result<Approval, Wrong> {
    let Some(whole) = written else {
        if context.safety == Safety::ReadOnly {
            return Ok(Approval::NOBODY);
        }
        return Err(Wrong::at(safety, "a capability above read-only needs the field `approval`")
            .hint("add `approval: {mode: manual}`"));
    };
    let written = &whole.value;
    let reason = written.reason.as_ref().map(|reason| reason.value.clone());
    if let Some(empty) = written.reason.as_ref().filter(|reason| reason.value.trim().is_empty()) {
        return Err(Wrong::at(empty, "the reason is empty"));
    }
    match written.mode.value {
        Mode::Manual if context.safety == Safety::ReadOnly => {
            Err(Wrong::at(&written.mode, "a read-only capability has no plan that could be approved")
                .hint("remove `approval`, or raise `safety`"))
        }
        Mode::Manual => {
            let accept = accept(written.accept.as_ref(), context)?;
            let approvals = count(written.approvals.as_ref(), &accept)?;
            Ok(Approval { mode: Mode::Manual, accept, reason, approvals })
        }
        Mode::Auto => {
            if let Some(ways) = &written.accept {
                return Err(Wrong::at(ways, "`accept` has no meaning where nobody is asked (`mode: auto`)"));
            }
            if let Some(count) = &written.approvals {
                return Err(Wrong::at(
                    count,
                    "`approvals` has no meaning where nobody is asked (`mode: auto`)",
                ));
            }
            if context.safety > Safety::ReadOnly && reason.is_none() {
                return Err(Wrong::at(&written.mode, "`mode: auto` above read-only needs a `reason`")
                    .hint("add `reason: \"…\"`, or use `mode: manual`"));
            }
            Ok(Approval { reason, ..Approval::NOBODY })
        }
    }
}

fn accept(written: Option<&At<Vec<At<Accept>>>>, context: &Context<'_>) -> Result<Vec<Accept>, Wrong> {
    let Some(ways) = written else { return Ok(vec![Accept::Signed]) };
    if ways.value.is_empty() {
        return Err(Wrong::at(ways, "an empty list would accept no approval at all"));
    }
    let mut accept = Vec::new();
    for way in &ways.value {
        if accept.contains(&way.value) {
            return Err(Wrong::at(way, "this way is listed twice"));
        }
        if way.value == Accept::Piped {
            only_records(context).map_err(|why| {
                Wrong::at(way, format!("`piped` is not open to this binding: {why}"))
                    .hint("it is for bindings that only stage under gaps/, loops/, handoffs/ or state/")
            })?;
        }
        accept.push(way.value);
    }
    accept.sort_unstable();
    Ok(accept)
}

/// Whether a folder of the workspace holds nothing but records: gaps, loops, handoffs, and what capabilities keep.
pub fn is_record(path: &str) -> bool {
    path.split('/').next().is_some_and(|first| RECORDS.contains(&first))
}

/// Whether the only right above reading is staging records.
fn only_records(context: &Context<'_>) -> Result<(), String> {
    if context.effects.iter().any(|effect| *effect > RuleEffect::Read) {
        return Err("a rule of a service is above reading".to_owned());
    }
    let staged = || context.directories.iter().filter(|(_, access)| *access == Access::Stage);
    if staged().next().is_none() {
        return Err("it stages no directory".to_owned());
    }
    match staged().find(|(path, _)| !is_record(path)) {
        Some((path, _)) => Err(format!("it stages `{path}`")),
        None => Ok(()),
    }
}

fn count(written: Option<&At<u8>>, accept: &[Accept]) -> Result<u8, Wrong> {
    let Some(written) = written else { return Ok(1) };
    if !(1..=3).contains(&written.value) {
        return Err(Wrong::at(written, "approvals are a number from 1 to 3"));
    }
    // Only a signature says who approved, so only signatures can be counted by person.
    if written.value > 1 && accept != [Accept::Signed] {
        return Err(Wrong::at(written, "more than one approval needs `accept: [signed]`"));
    }
    Ok(written.value)
}
