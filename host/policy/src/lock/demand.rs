//! Components that are read when they are asked for, each once.
//!
//! Their texts come out of a lock that was checked whole before, so one that cannot be read now was written by another
//! version of this program. It is refused and never left out: a list without it would say that nothing is there.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Component, LockError, check_digest, malformed, not_listed};
use crate::visible::{clip, visible};

/// The components of a lock, by path, of which few are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct OnDemand(BTreeMap<String, Entry>);

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct Entry {
    text: Box<RawValue>,
    #[serde(skip)]
    read: OnceLock<Component>,
}

impl OnDemand {
    /// What was pinned of a component; none where the lock does not have it.
    ///
    /// # Errors
    ///
    /// Its text is not one that this program reads.
    pub fn get(&self, path: &str) -> Result<Option<&Component>, LockError> {
        self.0.get(path).map(|entry| entry.read(path)).transpose()
    }

    /// All of them, by path.
    ///
    /// # Errors
    ///
    /// Those of [`OnDemand::get`], of any of them.
    pub fn all(&self) -> Result<BTreeMap<&String, &Component>, LockError> {
        self.0.iter().map(|(path, entry)| Ok((path, entry.read(path)?))).collect()
    }

    /// Whether these bytes are the ones that were pinned for a component.
    ///
    /// # Errors
    ///
    /// A path that is not in the lock, bytes with another digest, and those of [`OnDemand::get`].
    pub fn check(&self, path: &str, bytes: &[u8]) -> Result<(), LockError> {
        let pinned = self.get(path)?.ok_or_else(|| not_listed(path))?;
        check_digest(path, pinned.digest, bytes)
    }
}

impl Entry {
    fn read(&self, path: &str) -> Result<&Component, LockError> {
        if let Some(component) = self.read.get() {
            return Ok(component);
        }
        let component = serde_json::from_str(self.text.get())
            .map_err(|error| malformed("ops.lock", format!("{}: {error}", clip(&visible(path), 200))))?;
        Ok(self.read.get_or_init(|| component))
    }
}
