//! The front matter of a scope file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gap::Severity;

/// Where a loop stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody works on it yet.
    Planned,
    /// It is being worked on.
    Open,
    /// Its acceptance is shown.
    Closed,
}

/// When it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Horizon {
    /// It is next.
    Now,
    /// It comes after what is next.
    Later,
    /// It has no date.
    Future,
}

/// Whether somebody can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// Yes.
    Runnable,
    /// Something else must come first.
    Blocked,
}

/// The runs that show one line of the acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The line of the acceptance, counted from 1 over all its sections.
    #[schemars(range(min = 1, max = 100))]
    pub line: u32,
    /// The runs' keys.
    #[schemars(length(max = 50))]
    pub runs: Vec<String>,
}

/// The front matter of a scope file, in the order in which its fields are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// The loop's id, which is the file's name.
    #[schemars(regex(pattern = r"^LOOP-[A-Z0-9]+(-[A-Z0-9]+)*$"))]
    pub loop_id: String,
    /// The day on which it was made.
    #[schemars(length(max = 20))]
    pub created: String,
    /// Where it stands.
    pub status: Status,
    /// When it was closed: a time in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub closed_at: Option<String>,
    /// What shows each line of the acceptance, once it is closed or where somebody names it before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub evidence: Vec<Shown>,
    /// Who stands for it: a role.
    #[schemars(length(max = 64))]
    pub owner: String,
    /// The domain that it is about.
    #[schemars(length(max = 64))]
    pub scope: String,
    /// How much it matters.
    pub priority: Severity,
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<Horizon>,
    /// Whether somebody can begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_readiness: Option<Readiness>,
    /// What it is for.
    #[schemars(length(max = 1000))]
    pub objective: String,
    /// For each line of the acceptance, in its order: the capabilities whose runs show it, with ` --dry-run` behind one whose
    /// dry run does; or `linked-gaps`, which is shown when each linked gap was closed by runs, was given to another loop, or
    /// has a blocker with evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub proof: Vec<Vec<String>>,
}

impl Front {
    /// The names of the fields, in the order in which they are written.
    pub(super) const FIELDS: [&'static str; 12] = [
        "loop_id",
        "created",
        "status",
        "closed_at",
        "evidence",
        "owner",
        "scope",
        "priority",
        "horizon",
        "execution_readiness",
        "objective",
        "proof",
    ];
}
