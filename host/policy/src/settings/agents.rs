//! `agents:` of `ops.yaml`: which names may come through MCP, and as what. The lock covers it, so nobody gets a role
//! that no approver has signed for. What proves a name, a token for one, is not in here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::name;
use crate::yaml::{At, Wrong};

/// The most names in all.
const MOST: usize = 1000;

/// What an agent may ask for. It may approve, grant and resolve nothing, whatever its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs of read-only capabilities.
    Reader,
    /// Plans as well, and the carrying out of its own plans once they are approved.
    Proposer,
}

impl Role {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Proposer => "proposer",
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {reader: [alice-laptop], proposer: [ci]}")]
pub(super) struct Written {
    #[serde(default)]
    reader: Vec<At<String>>,
    #[serde(default)]
    proposer: Vec<At<String>>,
}

impl Written {
    pub(super) fn check(self) -> Result<BTreeMap<String, Role>, Wrong> {
        let mut agents = BTreeMap::new();
        let readers = self.reader.into_iter().map(|name| (name, Role::Reader));
        for (name, role) in readers.chain(self.proposer.into_iter().map(|name| (name, Role::Proposer))) {
            name::check_word(&name.value).map_err(|why| Wrong::at(&name, why))?;
            if agents.len() >= MOST {
                return Err(Wrong::at(&name, format!("there are more than {MOST} agents")));
            }
            if let Some(other) = agents.insert(name.value.clone(), role) {
                let text = format!("`{}` is listed twice, as {} before", name.value, other.as_str());
                return Err(Wrong::at(&name, text).hint("an agent has one role"));
            }
        }
        Ok(agents)
    }
}
