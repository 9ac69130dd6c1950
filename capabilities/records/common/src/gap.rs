//! A gap: one recorded deficiency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{evidence, time, word};

/// What kind of deficiency it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What is written as the truth is out of date.
    StaleSsot,
    /// Something that should be there is not.
    MissingEntry,
    /// An agent did what it should not do.
    AgentBehavior,
    /// A document leaves a reader in doubt.
    UnclearDoc,
    /// The same is said in two places.
    DuplicateTruth,
    /// A program does not do what it should.
    RuntimeBug,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can wait.
    Low,
    /// It should be done soon.
    Medium,
    /// It hinders operations, or lets a fault go unseen.
    High,
    /// It endangers operations now.
    Critical,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is there.
    Open,
    /// It is gone, and runs show it.
    Fixed,
    /// Nothing more will be done about it, and the notes or the blocker say why.
    Closed,
}

/// What stands in the way of fixing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlockerClass {
    /// A check fails each time, for a known reason.
    Deterministic,
    /// What is looked at is too old to tell.
    Freshness,
    /// Something else must be done first.
    Dependency,
    /// Something must be removed first.
    Cleanup,
    /// A rule forbids it.
    Policy,
    /// It is in somebody else's hands.
    External,
}

/// One gap, in the order in which its fields are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Its id, which it keeps.
    #[schemars(regex(pattern = r"^GAP-OP-[0-9]{3,6}$"))]
    pub id: String,
    /// One line that names it; without one, the beginning of the description does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub title: Option<String>,
    /// What kind of deficiency it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// Where it stands.
    pub status: Status,
    /// Who stands for it: a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub owner: Option<String>,
    /// Who or what found it.
    #[schemars(length(max = 200))]
    pub discovered_by: String,
    /// When it was found: a date, or a time in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub discovered_at: Option<String>,
    /// The document or file that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 400))]
    pub doc: Option<String>,
    /// What is missing or wrong.
    #[schemars(length(max = 4000))]
    pub description: String,
    /// The loop that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^LOOP-[A-Z0-9]+(-[A-Z0-9]+)*$"))]
    pub parent_loop: Option<String>,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocker_class: Option<BlockerClass>,
    /// The runs that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub blocker_evidence: Vec<String>,
    /// The check that would find it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub regression_lock_id: Option<String>,
    /// The runs that show that it is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub fixed_in: Vec<String>,
    /// When it was fixed or closed: a date, or a time in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub closed_at: Option<String>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub notes: Option<String>,
}

impl Gap {
    /// The names of the fields, in the order in which they are written.
    pub const FIELDS: [&'static str; 17] = [
        "id",
        "title",
        "type",
        "severity",
        "status",
        "owner",
        "discovered_by",
        "discovered_at",
        "doc",
        "description",
        "parent_loop",
        "blocker_class",
        "blocker_evidence",
        "regression_lock_id",
        "fixed_in",
        "closed_at",
        "notes",
    ];

    /// Its title, or one made of its description.
    pub fn title(&self) -> String {
        self.title.clone().unwrap_or_else(|| word::title_of(&self.description))
    }

    /// Whether it is there still.
    pub fn is_open(&self) -> bool {
        self.status == Status::Open
    }

    /// Whether it names what stands in its way, with runs that show it.
    pub fn is_blocked(&self) -> bool {
        self.blocker_class.is_some() && !self.blocker_evidence.is_empty()
    }

    /// What of it does not fit together: what is wrong, and what to do.
    pub(crate) fn fault(&self) -> Option<(String, &'static str)> {
        let id = &self.id;
        if !word::is_gap_id(id) {
            return Some((format!("{id:?} is no id of a gap"), "write it like GAP-OP-665"));
        }
        let texts = [&self.title, &self.owner, &self.doc, &self.notes, &self.regression_lock_id];
        let texts = texts.into_iter().flatten().chain([&self.discovered_by, &self.description]);
        for text in texts {
            if text.trim().is_empty() || !word::is_shown_as_it_is(text, true) {
                return Some((
                    format!("{id} has an empty text, or one with characters that cannot be shown"),
                    "say it in words, or leave the field out",
                ));
            }
        }
        let times = [&self.discovered_at, &self.closed_at];
        if let Some(time) =
            times.into_iter().flatten().find(|time| !time::is_date(time) && !time::is_time(time))
        {
            let what = format!("{id} has the time {time:?}, which is neither a date nor a time in UTC");
            return Some((what, "write it like 2026-03-02 or 2026-03-02T09:00:00Z"));
        }
        if let Some(parent) = self.parent_loop.as_ref().filter(|parent| !word::is_loop_id(parent)) {
            let what = format!("{id} belongs to {parent:?}, which is no id of a loop");
            return Some((what, "write it like LOOP-INFRA-CORE-20260302"));
        }
        let keys = self.fixed_in.iter().chain(&self.blocker_evidence);
        if let Some(key) = keys.into_iter().find(|key| !evidence::is_run_key(key)) {
            let what = format!("{id} names {key:?} as evidence, which is no run key");
            return Some((what, "name runs; `ops receipts list` shows their keys"));
        }
        if self.blocker_class.is_some() == self.blocker_evidence.is_empty() {
            let what = format!("{id} has one of blocker_class and blocker_evidence, not both");
            return Some((what, "a blocker is a class and the runs that show it"));
        }
        self.fault_of_status()
    }

    fn fault_of_status(&self) -> Option<(String, &'static str)> {
        let id = &self.id;
        match self.status {
            Status::Open if !self.fixed_in.is_empty() || self.closed_at.is_some() => Some((
                format!("{id} is open and says when or by what it was fixed"),
                "close it with `gaps.close`, or remove fixed_in and closed_at",
            )),
            Status::Fixed if self.fixed_in.is_empty() => {
                Some((format!("{id} is fixed, but no run shows it"), "name the runs in fixed_in"))
            }
            Status::Closed if self.notes.is_none() && !self.is_blocked() && self.fixed_in.is_empty() => {
                Some((format!("{id} is closed, and nothing says why"), "say it in notes"))
            }
            _ => None,
        }
    }
}
