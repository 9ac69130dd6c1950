//! What a host that serves many runs need not read again: files of which the system says that nothing has changed.
//!
//! A file is known by device, inode, size and times. Its change time cannot be set by whoever writes to it, but it is
//! coarse: a second write within the same tick would not show. So what was read is remembered only where the file's last
//! change lay a while back when it was read. And the lock is verified anew every second all the same, because an
//! approver's time can be over.
//!
//! `ops status` looks at every component each time it is typed. Where that is much to read, what was seen is kept in the
//! host's state, which a workspace cannot reach. Nothing runs on the word of it: a run reads and hashes its component.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use ops_policy::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::pinned::{Pinned, Refusal};
use crate::runner::Runner;
use crate::trust;
use crate::workspace::{APPROVERS, LOCK, SETTINGS, Workspace, replace};

/// How long a lock that was verified is taken for verified.
const VERIFIED: Duration = Duration::from_secs(1);
/// How long ago a file's last change must be for what was read to be remembered. File systems tick in hundredths of a
/// second, some old ones in two.
const SETTLED: Duration = Duration::from_secs(3);

/// What was seen of components, in the state folder.
const FILE: &str = "seen.json";
/// From so many bytes on, what was seen is kept for the next process: a twentieth of a second of reading and hashing.
const WORTH_KEEPING: u64 = 32 * 1024 * 1024;

/// What was read and need not be read again.
#[derive(Default)]
pub(crate) struct Seen {
    lock: Mutex<Option<Verified>>,
    components: Mutex<Option<Components>>,
}

/// Components that hold the bytes of their digests, by path.
#[derive(Default)]
struct Components {
    known: BTreeMap<String, (Identity, Digest)>,
    /// How many bytes were read to know what the file in the state does not say.
    unsaved: u64,
}

struct Verified {
    files: [Identity; 4],
    at: Instant,
    pinned: Arc<Pinned>,
}

/// What the system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    file: [u64; 3],
    times: [i64; 4],
}

impl Identity {
    /// `None` where there is no such file, or it was changed so lately that another change might not show.
    pub(crate) fn settled(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(about.ctime()).ok()?);
        if SystemTime::now().duration_since(changed).ok()? < SETTLED {
            return None;
        }
        Some(Self {
            file: [about.dev(), about.ino(), about.size()],
            times: [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()],
        })
    }
}

impl Seen {
    /// The workspace's lock, verified, with what it covers for the whole workspace.
    ///
    /// # Errors
    ///
    /// Those of [`Pinned::load`].
    pub(crate) fn pinned(&self, workspace: &Workspace, now: Timestamp) -> Result<Arc<Pinned>, Refusal> {
        let root = workspace.root();
        let files = [trust::path(workspace), root.join(LOCK), root.join(SETTINGS), root.join(APPROVERS)];
        // Before they are read: a change in between then shows at the next look.
        let [trust, lock, settings, approvers] = files.map(|path| Identity::settled(&path));
        let files = trust.zip(lock).zip(settings.zip(approvers)).map(|((a, b), (c, d))| [a, b, c, d]);
        let mut known = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(known), Some(files)) = (known.as_ref(), files)
            && known.files == files
            && known.at.elapsed() < VERIFIED
        {
            return Ok(known.pinned.clone());
        }
        *known = None;
        let pinned = Arc::new(Pinned::load(workspace, now)?);
        *known = files.map(|files| Verified { files, at: Instant::now(), pinned: pinned.clone() });
        Ok(pinned)
    }
}

impl Runner {
    /// The workspace's lock, verified, with what it covers for the whole workspace.
    ///
    /// # Errors
    ///
    /// Those of [`Pinned::load`].
    pub(crate) fn pinned(&self, now: Timestamp) -> Result<Arc<Pinned>, Refusal> {
        self.seen().pinned(self.workspace(), now)
    }

    /// Checks that a component's file holds the bytes of that digest, reading it only where it may have changed.
    ///
    /// # Errors
    ///
    /// It does not, or cannot be read.
    pub(crate) fn check_component(&self, pinned: &Pinned, path: &str, digest: Digest) -> Result<(), Refusal> {
        let identity = Identity::settled(&self.workspace().root().join(path));
        let is_seen = self.components(|seen| seen.known.get(path).copied());
        if identity.is_some() && is_seen == identity.map(|identity| (identity, digest)) {
            return Ok(());
        }
        pinned.component_bytes(self.workspace(), path)?;
        if let Some(identity) = identity {
            self.components(|seen| {
                let [.., size] = identity.file;
                seen.unsaved = seen.unsaved.saturating_add(size);
                seen.known.insert(path.to_owned(), (identity, digest));
            });
        }
        Ok(())
    }

    /// Looks at, or adds to, what was seen of components; the first time, with what the state says.
    fn components<T>(&self, look: impl FnOnce(&mut Components) -> T) -> T {
        let mut seen = self.seen().components.lock().unwrap_or_else(PoisonError::into_inner);
        look(seen.get_or_insert_with(|| {
            // What cannot be read is as good as nothing: then everything is read again.
            let kept = std::fs::read(self.workspace().state().join(FILE)).ok();
            let known = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            Components { known, unsaved: 0 }
        }))
    }

    /// Keeps what was seen of components for the next process, where it saves that one much reading.
    pub(crate) fn remember_components(&self) {
        self.components(|seen| {
            if seen.unsaved < WORTH_KEEPING {
                return;
            }
            seen.known.retain(|path, _| self.workspace().has(path));
            let path = self.workspace().state().join(FILE);
            let bytes = serde_json::to_vec(&seen.known).unwrap_or_default();
            // Where it cannot be written, the next process reads again.
            if replace(&path, &bytes, 0o600).is_ok() {
                seen.unsaved = 0;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_just_written_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert_eq!(Identity::settled(&file), None, "there is none");
        fs::write(&file, "one").unwrap();
        assert_eq!(Identity::settled(&file), None);
        // A file's times can be set back by its owner; the time of its last change cannot.
        fs::File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(Identity::settled(&file), None);
        let old = Identity::settled(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(Identity::settled(Path::new("/proc/self/exe")), Some(old));
    }
}
