//! A process for guests takes away from itself what no guest needs, before the first guest instruction.
//!
//! In this order: it is the first to go when memory runs short, and it gives way to others; limits on what it may
//! use; nobody of its user may look into it; Landlock leaves it the folders of its run and no other file, no port, no
//! signal to others; seccomp (`calls`) leaves it no way to another program, process, socket or executable page.
//! Nothing of this can be taken back, and it holds for every thread that is started later: so it happens while there
//! is one.
//!
//! Without seccomp nothing runs. A kernel without Landlock is said, and is enough unless a run needs it.

mod calls;

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, nice, set_dumpable_behavior, setrlimit,
};
use serde::{Deserialize, Serialize};

use crate::job::{End, Mount};
use crate::tree;

/// The newest Landlock that this was written for. Of an older one all is used that it has.
const LANDLOCK: ABI = ABI::V9;

/// How much a process for guests gives way to others.
const NICE: i32 = 5;

/// How readily the kernel ends it when memory runs short; a thousand is the most.
const OOM_SCORE: &str = "500";

/// The most open files: a handle of the guest's may be one, and the host's side has a few.
const FILES: u64 = 2048;

/// What a guest's process is confined by, besides the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The version of Landlock's interface that is in force, where the kernel has Landlock.
    pub landlock: Option<u32>,
}

impl Confinement {
    /// The names of what is in force, as receipts have them. The engine's own sandbox comes first.
    pub fn names(self) -> Vec<String> {
        let mut names: Vec<_> = ["wasm", "process", "seccomp"].map(str::to_owned).into();
        names.extend(self.landlock.map(|version| format!("landlock-{version}")));
        names
    }
}

/// Whether this kernel has Landlock, for this process.
pub fn has_landlock() -> bool {
    Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok_and(
        // Without Landlock a rule set is made, and holds nothing.
        |created| Option::<std::os::fd::OwnedFd>::from(created).is_some(),
    )
}

/// Confines this process to these folders, for good. The product calls it in the processes that it starts for guests, and
/// nowhere else.
///
/// # Errors
///
/// How the run ends, where it cannot be confined as it has to be.
pub fn confine(mounts: &[Mount], needs_landlock: bool) -> Result<Confinement, End> {
    let unconfined = |what: &str, why: &dyn std::fmt::Display| End::Unconfined(format!("{what}: {why}"));
    // A process that is not ended first, or that is as urgent as others, is as confined.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let _ = nice(NICE);
    let largest = tree::Limits::default().file;
    for (resource, most) in [(Resource::Core, 0), (Resource::Nofile, FILES), (Resource::Fsize, largest)] {
        // Nobody may raise a limit that the host itself has.
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| unconfined("its limits could not be set", &error))?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| unconfined("it could not be closed to others of its user", &error))?;
    // Where the kernel has no Landlock this is no error, and holds nothing. Where it has it, it has to hold.
    let status =
        restrict(&folders(mounts)?).map_err(|error| unconfined("Landlock did not take hold", &error))?;
    let landlock = version(&status);
    if needs_landlock && landlock.is_none() {
        return Err(no_landlock());
    }
    calls::deny(!mounts.is_empty())
        .map_err(|why| unconfined("seccomp refused the filter of system calls", &why))?;
    Ok(Confinement { landlock })
}

/// How a run ends that needs Landlock, where the kernel has none.
pub(crate) fn no_landlock() -> End {
    End::Unconfined(
        "this kernel has no Landlock, which ops.yaml requires; use a kernel of 5.13 or newer with Landlock enabled \
         (`landlock` in its parameter `lsm`), or take `landlock: true` out of `require:`"
            .to_owned(),
    )
}

type Folder = (PathFd, BitFlags<AccessFs>);

/// The folders with what may be done in them.
fn folders(mounts: &[Mount]) -> Result<Vec<Folder>, End> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{
        WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
    });
    let folder = |mount: &Mount| {
        let opened = PathFd::new(&mount.host).map_err(|_| not_opened(&mount.guest))?;
        Ok((opened, if mount.writable { read | write } else { read }))
    };
    mounts.iter().map(folder).collect()
}

/// How a run ends whose folder is not there.
pub(crate) fn not_opened(folder: &str) -> End {
    End::NotStarted(format!("the copy of the folder `{folder}` cannot be opened"))
}

fn restrict(folders: &[Folder]) -> Result<RestrictionStatus, RulesetError> {
    let rules = folders.iter().map(|(folder, access)| Ok(PathBeneath::new(folder.as_fd(), *access)));
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(rules.map(|rule: Result<_, RulesetError>| rule))?
        .restrict_self()
}

/// The version of the interface that is in force.
fn version(status: &RestrictionStatus) -> Option<u32> {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            Some(effective_abi as u32)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_has_names() {
        assert_eq!(Confinement { landlock: Some(6) }.names(), ["wasm", "process", "seccomp", "landlock-6"]);
        assert_eq!(Confinement { landlock: None }.names(), ["wasm", "process", "seccomp"]);
    }
}
