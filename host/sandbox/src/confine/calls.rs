//! The system calls that a process for guests has given up.
//!
//! What a guest's process does is known: it computes, maps memory, waits, talks over the socket that it has, and works
//! on the files of its folders. What leads out of it is refused: programs and processes, other processes' memory and
//! signals, sockets, executable pages, mounts and namespaces, the kernel's own machinery. Where a run has no folders,
//! whatever names a file is refused too, so that it holds on a kernel without Landlock.
//!
//! The list is closed upwards: calls that are newer than it ([`NEWER`]) are not there at all for this process.

use std::collections::BTreeMap;

use libc::{c_long, c_ulong};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// The number of `process_madvise`, from Linux 5.10. All calls of this number and above are newer than what the C library and the
/// engine need; so are, by their numbers, those of the x32 ABI. Their callers go on without them.
const NEWER: u32 = 440;

/// Refused, whatever the arguments.
const REFUSED: &[c_long] = &[
    // programs and processes
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_personality,
    // other processes: their memory, their signals, their place in the queue
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_setrlimit,
    // sockets, and descriptors that come through one
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    // what processes of one user share without a file
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // rights
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // mounts, namespaces, roots
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    // the kernel's own machinery, much of which no folder bounds
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_seccomp,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_inotify_add_watch,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // of files: what no guest can ask for, in its folders or elsewhere
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // the same, of which Landlock keeps nothing
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_statfs,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    // what holds up others: all of a disk, a lock on a file
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_flock,
    // what no guest needs of memory, sockets, pipes and the old way to wait for a disk
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mlockall,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_remap_file_pages,
    libc::SYS_setsockopt,
    libc::SYS_inotify_init1,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_io_setup,
    libc::SYS_io_submit,
];

/// The same, where the processor has calls that others do without.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_uselib,
    libc::SYS_modify_ldt,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS__sysctl,
    libc::SYS_mknod,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_kexec_file_load,
    libc::SYS_inotify_init,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

/// Whatever names a file, for a run without folders.
const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_utimensat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
];

/// The same, where the processor has calls that others do without.
#[cfg(target_arch = "x86_64")]
const FILES_HERE: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_readlink,
    libc::SYS_access,
    libc::SYS_stat,
    libc::SYS_lstat,
];
#[cfg(target_arch = "aarch64")]
const FILES_HERE: &[c_long] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FILES_HERE: &[c_long] = &[];

/// Gives up the calls, for this thread and all that it will start.
///
/// # Errors
///
/// The kernel has no seccomp filters, or the filter cannot be made for this processor.
pub(super) fn deny(with_files: bool) -> Result<(), seccompiler::Error> {
    let program = program(with_files).map_err(seccompiler::Error::Backend)?;
    seccompiler::apply_filter_all_threads(&program)
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    /// It is not there at all.
    Absent,
    /// Its arguments decide.
    ByArgument,
}

/// The program: what the kernel asks of each call, and, once for each number, when it takes the program in. So it finds
/// a number in a few steps, and only the calls whose arguments decide go on to the crate's list of comparisons.
fn program(with_files: bool) -> Result<BpfProgram, BackendError> {
    let by_argument = refused_by_argument()?;
    let ranges = ranges(with_files, by_argument.iter().map(|(number, _)| *number));
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let tail = SeccompFilter::new(
        by_argument.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        arch,
    )?;
    let mut program = head(audit(arch));
    program.extend(search(&ranges)?);
    let length = u32::try_from(program.len()).unwrap_or(u32::MAX);
    for (place, step) in (1_u32..).zip(&mut program) {
        if step.code == short(libc::BPF_JMP | libc::BPF_JA) {
            step.k = length.saturating_sub(place);
        }
    }
    let tail: BpfProgram = tail.try_into()?;
    Ok([program, tail].concat())
}

/// What becomes of all numbers, each range by its first.
fn ranges(with_files: bool, by_argument: impl Iterator<Item = c_long>) -> Vec<(u32, Verdict)> {
    let refused = REFUSED.iter().chain(REFUSED_HERE);
    let files = FILES.iter().chain(FILES_HERE).filter(|_| !with_files);
    let mut listed: BTreeMap<u32, Verdict> =
        by_argument.map(|number| (numbered(number), Verdict::ByArgument)).collect();
    // What is refused altogether has no argument that could decide.
    listed.extend(refused.chain(files).map(|number| (numbered(*number), Verdict::Refused)));
    // `clone3` has its flags where no filter can see them; the C library goes on with `clone`.
    listed.insert(numbered(libc::SYS_clone3), Verdict::Absent);
    let mut all: Vec<_> = (0..NEWER)
        .map(|number| (number, listed.get(&number).copied().unwrap_or(Verdict::Allowed)))
        .chain([(NEWER, Verdict::Absent)])
        .collect();
    all.dedup_by_key(|(_, verdict)| *verdict);
    all
}

/// The number of a call. All that are listed are below [`NEWER`], and a test says so.
fn numbered(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(NEWER)
}

/// The steps that find the range of a number, which is loaded already.
fn search(ranges: &[(u32, Verdict)]) -> Result<BpfProgram, BackendError> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    match (low, high) {
        (_, [(_, verdict)]) if low.is_empty() => Ok(vec![verdict.step()]),
        (_, [(from, _), ..]) => {
            let (low, high) = (search(low)?, search(high)?);
            let over = u8::try_from(low.len()).map_err(|_| BackendError::FilterTooLarge(low.len()))?;
            Ok([vec![jump(libc::BPF_JGE, *from, over, 0)], low, high].concat())
        }
        (_, []) => Ok(Vec::new()),
    }
}

impl Verdict {
    fn step(self) -> sock_filter {
        let answer = |action: u32| statement(libc::BPF_RET | libc::BPF_K, action);
        match self {
            Self::Allowed => answer(libc::SECCOMP_RET_ALLOW),
            Self::Refused => answer(libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
            Self::Absent => answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
            // To the end of the search; how far that is, is known when it is whole.
            Self::ByArgument => statement(libc::BPF_JMP | libc::BPF_JA, 0),
        }
    }
}

/// Ends a process that calls as another processor would (its numbers mean something else), and loads the number of the
/// call, which is the first word of what a filter sees; the second is the processor.
fn head(audit: u32) -> BpfProgram {
    vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 4),
        jump(libc::BPF_JEQ, audit, 1, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS),
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
    ]
}

/// A processor as a filter sees it: its number in ELF files, with the marks for 64 bits and little-endian
/// (`linux/audit.h`).
fn audit(arch: TargetArch) -> u32 {
    const MARKS: u32 = 0xc000_0000;
    let machine = match arch {
        TargetArch::x86_64 => libc::EM_X86_64,
        TargetArch::aarch64 => libc::EM_AARCH64,
        TargetArch::riscv64 => libc::EM_RISCV,
    };
    MARKS | u32::from(machine)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: short(code), jt: 0, jf: 0, k }
}

fn jump(comparison: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: short(libc::BPF_JMP | comparison | libc::BPF_K), jt, jf, k }
}

/// A code of an instruction; all are below 256.
fn short(code: u32) -> u16 {
    u16::try_from(code).unwrap_or_default()
}

/// The calls of which some uses are refused. The rules of a call are alternatives; the conditions of a rule hold together.
fn refused_by_argument() -> Result<Vec<(c_long, Vec<SeccompRule>)>, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let when = |argument, length, comparison, value| {
        SeccompCondition::new(argument, length, comparison, value).and_then(|one| SeccompRule::new(vec![one]))
    };
    let executable = || {
        let flag = libc::PROT_EXEC.unsigned_abs().into();
        when(2, Dword, MaskedEq(flag), flag)
    };
    let command = |command: u64| when(1, Dword, Eq, command);
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let this = u64::from(std::process::id());
    let named = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA]
        .map(|option| SeccompCondition::new(0, Dword, Ne, option.unsigned_abs().into()))
        .into_iter()
        .collect::<Result<_, _>>()?;
    Ok(vec![
        // a thread, and nothing that is more than one
        (libc::SYS_clone, vec![when(0, Qword, MaskedEq(thread), 0)?]),
        // the way in which the C library ends its own process
        (libc::SYS_tgkill, vec![when(0, Dword, Ne, this)?]),
        // no code but the component's, which is mapped already
        (libc::SYS_mmap, vec![executable()?]),
        (libc::SYS_mprotect, vec![executable()?]),
        (libc::SYS_pkey_mprotect, vec![executable()?]),
        // to read its own limits
        (libc::SYS_prlimit64, vec![when(0, Dword, Ne, 0)?, when(2, Qword, Ne, 0)?]),
        // to give threads and memory their names
        (libc::SYS_prctl, vec![SeccompRule::new(named)?]),
        // to the peer of the socket that it has
        (libc::SYS_sendto, vec![when(4, Qword, Ne, 0)?]),
        // of a file that is open; Landlock does not keep the times of others
        (libc::SYS_utimensat, vec![when(1, Qword, Ne, 0)?]),
        (libc::SYS_fcntl, COMMANDS.map(command).into_iter().collect::<Result<_, _>>()?),
        (
            libc::SYS_ioctl,
            [libc::TIOCSTI, libc::TIOCLINUX, FIOSETOWN, SIOCSPGRP]
                .map(command)
                .into_iter()
                .collect::<Result<_, _>>()?,
        ),
    ])
}

/// What is refused of `fcntl`: a descriptor that signals somebody else (set owner, set signal, set owner or thread), and
/// locks, leases and notices on files (`asm-generic/fcntl.h`, `linux/fcntl.h`).
const COMMANDS: [u64; 9] = [8, 10, 15, 6, 7, 37, 38, 1024, 1026];

/// Who is told of a socket's signals; the numbers are the same on all processors that matter here.
const FIOSETOWN: c_ulong = 0x8901;
const SIOCSPGRP: c_ulong = 0x8902;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program says of a call without arguments: the kernel's reading of it, as far as the head and the search go.
    fn answer(program: &[sock_filter], processor: u32, number: u32) -> Option<u32> {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            match (u32::from(step.code), step.k) {
                (code, place) if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    loaded = [number, processor][usize::try_from(place / 4).unwrap()];
                }
                (code, k) if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    at += usize::from(if loaded == k { step.jt } else { step.jf });
                }
                (code, k) if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => {
                    at += usize::from(if loaded >= k { step.jt } else { step.jf });
                }
                (code, action) if code == libc::BPF_RET | libc::BPF_K => return Some(action),
                (code, far) if code == libc::BPF_JMP | libc::BPF_JA => {
                    at += usize::try_from(far).unwrap();
                    // The list of comparisons begins as the head does.
                    assert_eq!((program[at].code, program[at].k), (program[0].code, 4));
                    return None;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_number_has_its_answer() {
        let here = audit(TargetArch::try_from(std::env::consts::ARCH).unwrap());
        let errno = |errno: i32| Some(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs());
        for with_files in [true, false] {
            let program = program(with_files).unwrap();
            let refused: Vec<_> =
                REFUSED.iter().chain(REFUSED_HERE).map(|number| numbered(*number)).collect();
            let files: Vec<_> = FILES.iter().chain(FILES_HERE).map(|number| numbered(*number)).collect();
            let by_argument: Vec<_> =
                refused_by_argument().unwrap().into_iter().map(|(number, _)| numbered(number)).collect();
            for number in (0..600).chain([u32::MAX, 0x4000_0000, 0x4000_003b]) {
                let expected = if number >= NEWER || number == numbered(libc::SYS_clone3) {
                    errno(libc::ENOSYS)
                } else if refused.contains(&number) || (!with_files && files.contains(&number)) {
                    errno(libc::EPERM)
                } else if by_argument.contains(&number) {
                    None
                } else {
                    Some(libc::SECCOMP_RET_ALLOW)
                };
                assert_eq!(answer(&program, here, number), expected, "{number}");
                assert_eq!(answer(&program, 0x4000_0003, number), Some(libc::SECCOMP_RET_KILL_PROCESS));
            }
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let lists = [REFUSED, REFUSED_HERE, FILES, FILES_HERE].concat();
        let by_argument = refused_by_argument().unwrap();
        // Without folders this one is refused whatever its arguments.
        let by_argument =
            by_argument.into_iter().map(|(number, _)| number).filter(|number| *number != libc::SYS_utimensat);
        let mut all: Vec<_> = lists.into_iter().chain(by_argument).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.last().is_some_and(|last| *last < i64::from(NEWER)));
    }
}
