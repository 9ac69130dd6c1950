//! The functions on files that would show a guest something of the host: the order of a folder's entries, times,
//! link counts, folder sizes, and inode numbers. And the two that make links, which no folder of a run may have.
//! Each replaces the engine's own.
//!
//! So a listing is sorted, every file was changed at the run's frozen time, and files are numbered in the order in
//! which the guest asks for them. Everything else about files is the engine's.

use std::collections::VecDeque;

use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, HostDescriptor as _, MetadataHashValue,
    PathFlags,
};

use crate::state::State;

/// The interface under the name that the engine's own functions have. A test fails if the engine moves on.
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";

/// The most files that a guest can tell apart.
const MOST_FILES: usize = 1 << 16;

/// A listing that is being read: the host's errors were told when it was made.
struct Listing(VecDeque<DirectoryEntry>);

type Answer<T> = Result<(Result<T, ErrorCode>,)>;

/// Replaces the functions, after the engine's own were linked.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut files = linker.instance(INTERFACE)?;
    link_listing(&mut files)?;
    link_stat(&mut files)?;
    link_numbers(&mut files)?;
    refuse_links(&mut files)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn link_listing(files: &mut LinkerInstance<State>) -> Result<()> {
    files.resource("directory-entry-stream", ResourceType::host::<Listing>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<Listing>::new_own(rep))?;
        Ok(())
    })?;
    files.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut store: StoreContextMut<'_, State>, (folder,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let state = store.data_mut();
                answer(match state.filesystem().read_directory(folder).await {
                    Ok(entries) => {
                        let entries = state.table.delete(entries)?.into_iter();
                        sorted(entries).and_then(|listing| Ok(state.table.push(listing)?))
                    }
                    Err(error) => Err(error),
                })
            })
        },
    )?;
    files.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: StoreContextMut<'_, State>, (listing,): (Resource<Listing>,)| -> Answer<_> {
            Ok((Ok(store.data_mut().table.get_mut(&listing)?.0.pop_front()),))
        },
    )
}

fn link_stat(files: &mut LinkerInstance<State>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.stat",
        |mut store: StoreContextMut<'_, State>, (file,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let stat = state.filesystem().stat(file).await;
                answer(stat.map(|stat| state.without_host(stat)))
            })
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.stat-at",
        |mut store: StoreContextMut<'_, State>,
         (folder, flags, path): (Resource<Descriptor>, PathFlags, String)| {
            Box::new(async move {
                let state = store.data_mut();
                let stat = state.filesystem().stat_at(folder, flags, path).await;
                answer(stat.map(|stat| state.without_host(stat)))
            })
        },
    )
}

fn link_numbers(files: &mut LinkerInstance<State>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.metadata-hash",
        |mut store: StoreContextMut<'_, State>, (file,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let hash = state.filesystem().metadata_hash(file).await;
                answer(hash.and_then(|hash| state.number(hash)))
            })
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.metadata-hash-at",
        |mut store: StoreContextMut<'_, State>,
         (folder, flags, path): (Resource<Descriptor>, PathFlags, String)| {
            Box::new(async move {
                let state = store.data_mut();
                let hash = state.filesystem().metadata_hash_at(folder, flags, path).await;
                answer(hash.and_then(|hash| state.number(hash)))
            })
        },
    )
}

/// Symbolic and hard links are refused as on a file system that is read only: the folder does not permit them. What
/// is staged is searched for them all the same.
fn refuse_links(files: &mut LinkerInstance<State>) -> Result<()> {
    const REFUSED: (Result<(), ErrorCode>,) = (Err(ErrorCode::NotPermitted),);
    files.func_wrap(
        "[method]descriptor.symlink-at",
        |_: StoreContextMut<'_, State>, _: (Resource<Descriptor>, String, String)| Ok(REFUSED),
    )?;
    files.func_wrap(
        "[method]descriptor.link-at",
        |_: StoreContextMut<'_, State>,
         _: (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String)| Ok(REFUSED),
    )
}

/// An error code is for the guest, anything else ends it.
fn answer<T>(result: Result<T, FsError>) -> Answer<T> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn sorted(entries: impl Iterator<Item = Result<DirectoryEntry, FsError>>) -> Result<Listing, FsError> {
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(Listing(entries.into()))
}

impl State {
    fn without_host(&self, stat: DescriptorStat) -> DescriptorStat {
        DescriptorStat {
            type_: stat.type_,
            link_count: 1,
            size: if stat.type_ == DescriptorType::Directory { 0 } else { stat.size },
            data_access_timestamp: None,
            data_modification_timestamp: Some(self.clock.wall()),
            status_change_timestamp: None,
        }
    }

    fn number(&mut self, hash: MetadataHashValue) -> Result<MetadataHashValue, FsError> {
        let next = self.file_numbers.len();
        let known = self.file_numbers.get(&(hash.lower, hash.upper)).copied();
        if known.is_none() && next >= MOST_FILES {
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let number = known.unwrap_or(next as u64 + 1);
        self.file_numbers.insert((hash.lower, hash.upper), number);
        Ok(MetadataHashValue { lower: number, upper: 0 })
    }
}
