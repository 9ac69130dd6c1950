//! The system calls that a process for guests has given up.
//!
//! What a guest's process does is known: it computes, maps memory, waits, talks over the socket that it has, and works
//! on the files of its folders. What leads out of it is refused: programs and processes, other processes' memory and
//! signals, sockets, executable pages, mounts and namespaces, the kernel's own machinery. Where a run has no folders,
//! whatever names a file is refused too, so that it holds on a kernel without Landlock.
//!
//! The list is closed upwards: calls that are newer than it ([`NEWER`]) are not there at all for this process.

use libc::{c_long, c_ulong};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
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
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_statfs,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
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
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_readlink,
    libc::SYS_access,
];
#[cfg(not(target_arch = "x86_64"))]
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

fn program(with_files: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let always = REFUSED.iter().chain(REFUSED_HERE);
    let files = FILES.iter().chain(FILES_HERE).filter(|_| !with_files);
    let mut rules: std::collections::BTreeMap<_, _> =
        always.chain(files).map(|number| (*number, Vec::new())).collect();
    rules.extend(refused_by_argument()?);
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?;
    Ok([absent(), filter.try_into()?].concat())
}

/// The calls of which some uses are refused. The rules of a call are alternatives; the conditions of a rule hold together.
fn refused_by_argument() -> Result<Vec<(c_long, Vec<SeccompRule>)>, seccompiler::BackendError> {
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
        // a descriptor that signals somebody else
        (libc::SYS_fcntl, [8, 10, 15].map(command).into_iter().collect::<Result<_, _>>()?),
        (
            libc::SYS_ioctl,
            [libc::TIOCSTI, libc::TIOCLINUX, FIOSETOWN, SIOCSPGRP]
                .map(command)
                .into_iter()
                .collect::<Result<_, _>>()?,
        ),
    ])
}

/// Who is told of a socket's signals; the numbers are the same on all processors that matter here.
const FIOSETOWN: c_ulong = 0x8901;
const SIOCSPGRP: c_ulong = 0x8902;

/// The head of the program: what is not there at all. `clone3` has its flags where no filter can see them; the C
/// library goes on with `clone`.
fn absent() -> BpfProgram {
    let statement = |code: u32, k: u32| sock_filter { code: short(code), jt: 0, jf: 0, k };
    let jump = |code: u32, k: u32, jt, jf| sock_filter {
        code: short(libc::BPF_JMP | code | libc::BPF_K),
        jt,
        jf,
        k,
    };
    let missing = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        // the number of the call is the first word of what a filter sees
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JEQ, u32::try_from(libc::SYS_clone3).unwrap_or(NEWER), 1, 0),
        jump(libc::BPF_JGE, NEWER, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, missing),
    ]
}

/// A code of an instruction; all are below 256.
fn short(code: u32) -> u16 {
    u16::try_from(code).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_made_for_both_kinds_of_runs() {
        let (files, none) = (program(true).unwrap(), program(false).unwrap());
        assert!(none.len() > files.len() && none.len() < 4096, "the kernel takes 4096 instructions");
        assert_eq!(files.first().map(|first| first.k), Some(0));
    }

    #[test]
    fn no_call_is_listed_twice() {
        let lists = [REFUSED, REFUSED_HERE, FILES, FILES_HERE].concat();
        let by_argument = refused_by_argument().unwrap();
        let mut all: Vec<_> =
            lists.into_iter().chain(by_argument.into_iter().map(|(number, _)| number)).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.last().is_some_and(|last| *last < i64::from(NEWER)));
    }
}
