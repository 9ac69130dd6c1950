//! A handoff: what somebody leaves for whoever goes on, for three days.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::{time, word, yaml};

/// How long a handoff is good.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(72);
/// How many are good at once.
pub const ACTIVE: usize = 20;
/// How many files are read.
const MOST: usize = 5_000;

/// One handoff, in the order in which its fields are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handoff {
    /// The version of this form.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Its id, which is the file's name.
    #[schemars(regex(pattern = r"^HO-[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$"))]
    pub id: String,
    /// What there is to know.
    #[schemars(length(max = 4000))]
    pub summary: String,
    /// When it was made, in UTC.
    #[schemars(length(max = 20))]
    pub created_at: String,
    /// Until when it is good, in UTC.
    #[schemars(length(max = 20))]
    pub expires_at: String,
    /// The loops that it is about.
    #[schemars(length(max = 50))]
    pub loops: Vec<String>,
    /// What is to be done next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub actions: Vec<String>,
    /// Who stands for it: a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub owner: Option<String>,
    /// The role that hands over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub from_role: Option<String>,
    /// The role that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub to_role: Option<String>,
}

impl Handoff {
    const FIELDS: [&'static str; 10] = [
        "version",
        "id",
        "summary",
        "created_at",
        "expires_at",
        "loops",
        "actions",
        "owner",
        "from_role",
        "to_role",
    ];

    /// An id of this moment. `unique` is the run's own, so that two of one second differ.
    pub fn id_at(now: Timestamp, unique: &str) -> String {
        let short: String = unique.chars().take(8).collect();
        format!("HO-{}-{short}", now.strftime("%Y%m%d-%H%M%S"))
    }

    /// Reads the text of the file of this handoff.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn parse(id: &str, text: &str) -> Result<Self, Finding> {
        let file = file_of(id);
        let handoff: Self = yaml::read(&file, text)?;
        let wrong = |what: String, fix: &str| Err(Finding::new(&file, 1, what, fix));
        if handoff.version != 1 {
            return wrong("the version is not 1".to_owned(), "write `version: 1`");
        }
        if handoff.id != id {
            return wrong(
                format!("the handoff is {:?}, and the file is named for {id:?}", handoff.id),
                "name it alike",
            );
        }
        if !time::is_time(&handoff.created_at) || !time::is_time(&handoff.expires_at) {
            return wrong("its times are not in UTC".to_owned(), "write them like 2026-03-02T09:00:00Z");
        }
        if let Some(other) = handoff.loops.iter().find(|id| !word::is_loop_id(id)) {
            return wrong(format!("{other:?} is no id of a loop"), "write it like LOOP-INFRA-CORE-20260302");
        }
        Ok(handoff)
    }

    /// Whether it is still good.
    pub fn is_active(&self, now: Timestamp) -> bool {
        // Times of one form are in the order of their letters.
        self.expires_at.as_str() > time::second(now).as_str()
    }

    /// Stages its file.
    ///
    /// # Errors
    /// `Failed` where it does not read back, or the directory is not granted for staging.
    pub fn write(&self, ctx: &Ctx) -> Result<(), Failure> {
        let Value::Object(values) = serde_json::to_value(self)? else {
            return Err(Failure::failed("a handoff is no object"));
        };
        let lines =
            Self::FIELDS.iter().filter_map(|key| Some(format!("{key}: {}\n", yaml::flow(values.get(*key)?))));
        let text: String = lines.collect();
        if Self::parse(&self.id, &text)? != *self {
            return Err(Failure::failed(format!("{} does not read back", file_of(&self.id))));
        }
        std::fs::write(ctx.directory("handoffs").join(format!("{}.yaml", self.id)), text).map_err(|error| {
            Failure::failed(format!(
                "{} cannot be staged ({error}); grant the directory `handoffs` with `access: stage` and pin again",
                file_of(&self.id)
            ))
        })
    }
}

/// All handoffs by their ids, which is the order in which they were made.
///
/// # Errors
/// `Failed` where the directory is not granted, or one of the files is not as it should be.
pub fn all(ctx: &Ctx) -> Result<BTreeMap<String, Handoff>, Failure> {
    let wrong = |error| {
        Failure::failed(format!(
            "the handoffs cannot be read ({error}); grant the directory `handoffs` and pin again"
        ))
    };
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(ctx.directory("handoffs")).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".yaml")).filter(|id| id.starts_with("HO-"));
        let Some(id) = id else { continue };
        let text = std::fs::read_to_string(entry.path()).map_err(wrong)?;
        all.insert(id.to_owned(), Handoff::parse(id, &text)?);
        if all.len() > MOST {
            return Err(Failure::failed(format!("there are more than {MOST} handoffs; remove old ones")));
        }
    }
    Ok(all)
}

/// The file of a handoff, relative to the workspace.
pub fn file_of(id: &str) -> String {
    format!("handoffs/{id}.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1\nid: HO-20261122-090000-0a1b2c3d\nsummary: checkpoint\ncreated_at: 2026-11-22T09:00:00Z\n\
                        expires_at: 2026-11-25T09:00:00Z\nloops: [LOOP-A]\n";

    #[test]
    fn one_form_and_one_lifetime() {
        let now: Timestamp = "2026-11-22T09:00:00.5Z".parse().unwrap();
        let id = Handoff::id_at(now, "0a1b2c3d4e5f");
        let handoff = Handoff::parse(&id, TEXT).unwrap();
        assert!(handoff.is_active(now) && handoff.is_active(now + LIFETIME - SignedDuration::from_secs(1)));
        assert!(!handoff.is_active(now + LIFETIME));
        for (from, to) in [
            ("version: 1", "version: 2"),
            ("0a1b2c3d", "0a1b2c3e"),
            ("09:00:00Z\nloops", "9:00\nloops"),
            ("LOOP-A", "loop"),
            ("summary: checkpoint", "summary: checkpoint\nstate: active"),
        ] {
            assert!(Handoff::parse(&id, &TEXT.replace(from, to)).is_err(), "{to}");
        }
    }
}
