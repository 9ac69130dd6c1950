//! Compiled components on disk.
//!
//! A compiled component is native code that the engine maps and runs without looking at it, so this folder is as
//! trusted as our own program file. What is checked, in this order: the folder is a real folder, ours, and nobody
//! else may enter it (when the sandbox starts); the files are regular, ours and read-only; the digest over the card beside the
//! compiled file and that file, taken over the open descriptors, is the one that was recorded when they were written.
//! Anything else is a miss, and the component is compiled again from its own bytes. Files are found by the digest of those
//! bytes and a word for engine, settings and processor, of which the engine checks its own again when it maps a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use blake3::Hasher;
use ops_policy::digest::Digest;
use rustix::fs::{
    AtFlags, FileType, MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fstat, fsync, memfd_create,
    openat, renameat, unlinkat,
};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::card::Card;

/// The largest compiled file that is read, in bytes. Compiled code is several times as long as its source.
const FILE_BYTES: i64 = 1 << 30;

/// The longest record, in bytes. The names that a component imports and exports come to less.
const RECORD_BYTES: usize = 16 << 20;

/// How much of a file is hashed at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// Why the folder cannot serve as a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be created or opened.
    #[error("the folder for compiled components, {path}, cannot be used: {why}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// Somebody else could put code into it.
    #[error(
        "the folder for compiled components, {path}, must belong to the user who runs ops, with mode 0700, because what lies in it is run: {why}; remove it, and it is made anew"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The open file that a component's code is in, and what was read off it. That file was checked, and nothing changes it.
pub(crate) struct Compiled {
    pub(crate) file: File,
    pub(crate) card: Card,
}

/// An open cache folder.
pub(crate) struct Cache {
    folder: OwnedFd,
    /// Engine, settings and processor, as one word in each file's name.
    engine: String,
}

impl Cache {
    pub(crate) fn open(path: &Path, engine: String) -> Result<Self, CacheError> {
        let refuse = |why: io::Error| CacheError::Folder { path: path.to_owned(), why };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refuse)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| refuse(error.into()))?;
        let stat = fstat(&folder).map_err(|error| refuse(error.into()))?;
        let not_ours = |why| CacheError::NotOurs { path: path.to_owned(), why };
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(not_ours(format!("it belongs to user {}", stat.st_uid)));
        }
        if stat.st_mode & 0o7777 != 0o700 {
            return Err(not_ours(format!("its mode is {:04o}", stat.st_mode & 0o7777)));
        }
        Ok(Self { folder, engine })
    }

    /// The compiled component, if it is here and is what was once written.
    pub(crate) fn get(&self, digest: Digest) -> Option<Compiled> {
        match self.read(digest) {
            Ok(component) => component,
            Err(why) => {
                tracing::warn!(%digest, %why, "a compiled component in the cache is not used, because it is not as it was left");
                None
            }
        }
    }

    fn read(&self, digest: Digest) -> io::Result<Option<Compiled>> {
        let Some(mut compiled) = self.open_file(&self.name(digest, "cwasm"))? else { return Ok(None) };
        let Some(record) = self.open_file(&self.name(digest, "record"))? else { return Ok(None) };
        let mut text = String::new();
        record.take(RECORD_BYTES as u64 + 1).read_to_string(&mut text)?;
        let not_ours = || io::Error::other("its record is not as we left it");
        let (expected, card) =
            text.split_once('\n').filter(|_| text.len() <= RECORD_BYTES).ok_or_else(not_ours)?;
        let mut hasher = Hasher::new();
        hasher.update(card.as_bytes());
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = compiled.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
        }
        if hasher.finalize().to_hex().as_str() != expected {
            return Err(io::Error::other("its digest is not the recorded one"));
        }
        let card = serde_json::from_str(card)?;
        Ok(Some(Compiled { file: compiled, card }))
    }

    /// Opens a file of the cache. `None` where there is none.
    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && stat.st_mode & 0o7377 == 0
            && stat.st_size <= FILE_BYTES;
        if ours {
            Ok(Some(file.into()))
        } else {
            Err(io::Error::other(format!("{name} is not as we left it")))
        }
    }

    /// Keeps a compiled component, and what was read off it, for the next time.
    pub(crate) fn put(&self, digest: Digest, compiled: &[u8], card: &Card) -> io::Result<()> {
        let card = serde_json::to_string(card)?;
        let mut hasher = Hasher::new();
        hasher.update(card.as_bytes());
        hasher.update(compiled);
        let record = format!("{}\n{card}", hasher.finalize());
        if record.len() > RECORD_BYTES {
            return Err(io::Error::other("its imports and exports are too long to be recorded"));
        }
        self.write(&self.name(digest, "cwasm"), compiled)?;
        self.write(&self.name(digest, "record"), record.as_bytes())?;
        Ok(fsync(&self.folder)?)
    }

    /// Writes a file beside its place and moves it there, so that no reader ever sees half of it.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = format!("{name}.{}.new", std::process::id());
        // What a process of the same number left behind when it was killed.
        let _ = unlinkat(&self.folder, &beside, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.folder, &beside, flags, Mode::RUSR)?);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let moved = written.and_then(|()| Ok(renameat(&self.folder, &beside, &self.folder, name)?));
        if moved.is_err() {
            let _ = unlinkat(&self.folder, &beside, AtFlags::empty());
        }
        moved
    }

    fn name(&self, digest: Digest, kind: &str) -> String {
        format!("{}-{}.{kind}", digest.hex(), self.engine)
    }
}

/// Compiled code in a file of memory alone that nobody can change, for a cache that cannot be written.
pub(crate) fn in_memory(compiled: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("component", flags)?);
    file.write_all(compiled)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

/// Maps compiled code of a file that was checked, or made, as said below; by this process or by the one that started it
/// and handed it over.
///
/// # Errors
///
/// It is not for this engine and this processor.
#[expect(unsafe_code, reason = "the engine maps native code that it cannot check; the argument is below")]
pub(crate) fn map(engine: &Engine, compiled: &File) -> io::Result<Component> {
    // By way of the descriptor, so that the file that was checked is the file that is mapped.
    let path = format!("/proc/self/fd/{}", compiled.as_raw_fd());
    // SAFETY: the file must hold what this engine wrote, and must not change while it is mapped. It holds what
    // `put` wrote, because its digest, taken over this descriptor, is the recorded one. Nobody but this user can
    // reach it or its record (folder 0700 and ours), and nothing of ours writes to it: it is made with mode 0400
    // under another name and only ever replaced as a whole, which leaves the mapped one alone. The engine checks
    // its own version and settings in it. Of `in_memory` the seals say the same. A process for guests maps the file that
    // its host has checked, by a descriptor that the host gave it.
    let component = unsafe { Component::deserialize_file(engine, path) };
    component.map_err(|error| io::Error::other(crate::text::first_line(&error)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use tokio::sync::Mutex;

    use super::*;
    use crate::engine::{Guests, Sandbox, SandboxError};
    use crate::job::End;
    use crate::testing::{Guest, Script, job};

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == kind)).collect()
    }

    #[test]
    fn the_second_load_does_not_compile() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("deep/cache");
        let guest = Guest::default().build();
        assert!(!Sandbox::new(&cache).unwrap().load(&guest).unwrap().from_cache());
        assert!(Sandbox::new(&cache).unwrap().load(&guest).unwrap().from_cache());
        let [compiled] = &files(&cache, "cwasm")[..] else { panic!("one file") };
        assert_eq!(compiled.metadata().unwrap().permissions().mode() & 0o7777, 0o400);
        assert!(files(&cache, "new").is_empty());
    }

    #[tokio::test]
    async fn what_was_compiled_is_found_by_its_digest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let guest = Guest::default().build();
        let digest = Digest::of(&guest);
        assert!(Sandbox::new(&cache).unwrap().load_cached(digest).is_none(), "it was never compiled");
        let loaded = Sandbox::new(&cache).unwrap().load(&guest).unwrap();
        let sandbox = Sandbox::new(&cache).unwrap();
        let found = sandbox.load_cached(digest).unwrap();
        assert!(found.from_cache());
        assert_eq!((found.digest(), found.interface_digest()), (digest, loaded.interface_digest()));
        assert_eq!((found.imports(), found.exports()), (loaded.imports(), loaded.exports()));
        let broker = Arc::new(Mutex::new(Script::default()));
        let ran = Guests::new(&found).unwrap().run(job().0, broker).await;
        assert_eq!(ran.end, End::Output(r#"{"a":1}"#.to_owned()));
        assert!(sandbox.load_cached(Digest::of(b"another")).is_none());
        let compiled = files(&cache, "cwasm").remove(0);
        let mut flipped = std::fs::read(&compiled).unwrap();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::remove_file(&compiled).unwrap();
        std::fs::write(&compiled, flipped).unwrap();
        chmod(&compiled, 0o400);
        assert!(sandbox.load_cached(digest).is_none(), "it is not as we left it");
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_written_costs_no_run() {
        let (sandbox, folder) = crate::testing::sandbox();
        // The open folder is there and takes no file any more.
        std::fs::remove_dir(folder.path().join("cache")).unwrap();
        let component = sandbox.load(&Guest::default().build()).unwrap();
        assert!(!component.from_cache() && files(folder.path(), "cwasm").is_empty());
        let broker = Arc::new(Mutex::new(Script::default()));
        let ran = Guests::new(&component).unwrap().run(job().0, broker).await;
        assert_eq!(ran.end, End::Output(r#"{"a":1}"#.to_owned()));
        let mut file =
            File::options().write(true).open(format!("/proc/self/fd/{}", component.file().as_raw_fd()));
        assert!(file.as_mut().map_or(true, |file| file.write_all(b"x").is_err()), "nobody can change it");
    }

    #[test]
    fn a_file_that_is_not_as_we_left_it_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(&folder.path().join("cache")).unwrap();
        let cache = folder.path().join("cache");
        let guest = Guest::default().build();
        sandbox.load(&guest).unwrap();
        let compiled = files(&cache, "cwasm").remove(0);
        let record = files(&cache, "record").remove(0);
        let good = std::fs::read(&compiled).unwrap();
        let spoil = |path: &Path, bytes: &[u8], mode| {
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, bytes).unwrap();
            chmod(path, mode);
        };
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let spoilers: [(&str, &dyn Fn()); 8] = [
            ("a flipped bit", &|| spoil(&compiled, &flipped, 0o400)),
            ("half a file", &|| spoil(&compiled, &good[..good.len() / 2], 0o400)),
            ("a file that others may write", &|| chmod(&compiled, 0o422)),
            ("a link", &|| {
                std::fs::rename(&compiled, folder.path().join("elsewhere")).unwrap();
                std::os::unix::fs::symlink(folder.path().join("elsewhere"), &compiled).unwrap();
            }),
            ("another record", &|| spoil(&record, "0".repeat(64).as_bytes(), 0o400)),
            ("a longer record", &|| {
                spoil(&record, &[std::fs::read(&record).unwrap(), b"0".to_vec()].concat(), 0o400)
            }),
            ("another card", &|| {
                let changed = std::fs::read_to_string(&record).unwrap().replace("guest@", "gu3st@");
                spoil(&record, changed.as_bytes(), 0o400);
            }),
            ("no record", &|| std::fs::remove_file(&record).unwrap()),
        ];
        for (what, spoiler) in spoilers {
            assert!(sandbox.load(&guest).unwrap().from_cache(), "before {what}");
            spoiler();
            assert!(!sandbox.load(&guest).unwrap().from_cache(), "{what}");
        }
        assert!(sandbox.load(&guest).unwrap().from_cache());
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        for mode in [0o755, 0o770, 0o701, 0o1700] {
            std::fs::create_dir_all(&cache).unwrap();
            chmod(&cache, mode);
            let error = Sandbox::new(&cache).err().unwrap();
            assert!(matches!(error, SandboxError::Cache(CacheError::NotOurs { .. })), "{mode:o}: {error}");
        }
        chmod(&cache, 0o700);
        assert!(Sandbox::new(&cache).is_ok());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&cache, &link).unwrap();
        assert!(matches!(Sandbox::new(&link), Err(SandboxError::Cache(CacheError::Folder { .. }))));
    }
}
