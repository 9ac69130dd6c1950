//! What a run needs of its capability besides the arguments, made ready once: binding, manifest, compiled component and
//! schemas.
//!
//! It is taken again for as long as the lock has the same hash and the system says that the files of binding and
//! component are the ones that were compared with it (`seen`). All of it was read from bytes that this lock vouches for,
//! and each run has the lock itself verified before it asks. A file whose change did not show would thus change nothing:
//! what was vouched for would run once more, and never what was not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ops_policy::digest::Digest;
use ops_sandbox::component::Component;

use crate::ending::Ending;
use crate::pinned::{Capability, Pinned};
use crate::runner::Runner;
use crate::schema::Schema;
use crate::seen::Identity;

/// How many capabilities are kept ready. Each holds a file open.
const MOST: usize = 64;

/// A capability that is ready to run.
pub(crate) struct Ready {
    pub(crate) capability: Arc<Capability>,
    pub(crate) component: Component,
    pub(crate) input: Schema,
    pub(crate) output: Schema,
}

/// Those that are ready, by name.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_name: BTreeMap<String, Place>,
    /// How often one was taken or put here: who was taken longest ago goes first.
    turns: u64,
}

struct Place {
    lock: Digest,
    files: Files,
    turn: u64,
    ready: Arc<Ready>,
}

/// Binding and component.
type Files = [Identity; 2];

impl Shelf {
    /// The one of that name, if lock and files are what they were.
    fn take(
        &self,
        name: &str,
        lock: Digest,
        files: impl Fn(&Capability) -> Option<Files>,
    ) -> Option<Arc<Ready>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { by_name, turns } = &mut *kept;
        let place = by_name.get_mut(name).filter(|place| place.lock == lock)?;
        if files(&place.ready.capability) != Some(place.files) {
            return None;
        }
        *turns += 1;
        place.turn = *turns;
        Some(place.ready.clone())
    }

    fn put(&self, lock: Digest, files: Files, ready: Arc<Ready>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turns += 1;
        let turn = kept.turns;
        kept.by_name.insert(ready.capability.name.clone(), Place { lock, files, turn, ready });
        if kept.by_name.len() > MOST {
            let oldest =
                kept.by_name.iter().min_by_key(|(_, place)| place.turn).map(|(name, _)| name.clone());
            oldest.map(|name| kept.by_name.remove(&name));
        }
    }
}

impl Runner {
    /// A capability that was made ready before, if nothing of it has changed since.
    pub(crate) fn at_hand(&self, pinned: &Pinned, name: &str) -> Option<Arc<Ready>> {
        self.ready().take(name, pinned.lock.digest, |capability| {
            self.settled(&capability.binding_file)
                .zip(self.settled(&capability.binding.component))
                .map(Into::into)
        })
    }

    /// What the system says of a file of the workspace. `None` where it was changed so lately that it does not count.
    pub(crate) fn settled(&self, file: &str) -> Option<Identity> {
        Identity::settled(&self.workspace().root().join(file))
    }

    /// Makes a capability ready: its component's bytes, read once, hashed and compared with the lock, then compiled or
    /// taken from the cache. `binding` is what the system said of the binding's file before that was read.
    pub(crate) fn make_ready(
        &self,
        pinned: &Pinned,
        capability: Arc<Capability>,
        binding: Option<Identity>,
    ) -> Result<Arc<Ready>, Ending> {
        let files = binding.zip(self.settled(&capability.binding.component)).map(Into::into);
        let bytes = pinned.component_bytes(self.workspace(), &capability.binding.component)?;
        let component = self
            .sandbox()?
            .load_hashed(&bytes, capability.component_digest)
            .map_err(|error| Ending::denied("component", error.to_string()))?;
        let input = Schema::new(capability.manifest.input.clone());
        let output = Schema::new(capability.manifest.output.clone());
        let ready = Arc::new(Ready { capability, component, input, output });
        if let Some(files) = files {
            self.ready().put(pinned.lock.digest, files, ready.clone());
        }
        Ok(ready)
    }
}
