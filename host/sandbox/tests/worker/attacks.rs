//! What native code tries that has broken out of the WebAssembly sandbox. Each attack says whether it got what it wanted.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::{Command, ExitCode};
use std::ptr::{null, null_mut};

use ops_policy::message::Input;
use ops_sandbox::job::Mount;
use ops_sandbox::worker;
use serde_json::{Value, json};

/// What it needs to know: a path, an address, a process.
type Attack = fn(&str) -> io::Result<String>;

/// Every attack by its name.
pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("nothing", |_| Ok("nothing".to_owned())),
    ("pid", |_| Ok(std::process::id().to_string())),
    ("count the files that may be open", |_| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        done(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }).map(|_| limit.rlim_max.to_string())
    }),
    ("read a file", |at| fs::read_to_string(at)),
    ("list a folder", |at| Ok(fs::read_dir(at)?.count().to_string())),
    ("write a file", |at| fs::write(at, "written").map(|()| String::new())),
    ("make a folder", |at| fs::create_dir(at).map(|()| String::new())),
    ("remove a file", |at| fs::remove_file(at).map(|()| String::new())),
    ("truncate a file", |at| truncate(at)),
    ("make a link", |at| std::os::unix::fs::symlink("/etc/passwd", at).map(|()| String::new())),
    ("set the times of a file", |at| {
        let path = CString::new(at).unwrap();
        done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), null(), 0) })
    }),
    ("set the times of an open file", |at| {
        File::options().append(true).open(at)?.set_modified(std::time::UNIX_EPOCH).map(|()| String::new())
    }),
    ("ask for a file's attributes", |at| {
        let path = CString::new(at).unwrap();
        // There is none of that name, and the kernel says so to whom it lets look.
        let none = unsafe { libc::getxattr(path.as_ptr(), c"user.none".as_ptr(), null_mut(), 0) };
        match done_call(none.try_into().unwrap()) {
            Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok("none".to_owned()),
            other => other,
        }
    }),
    ("look for a file", |at| fs::symlink_metadata(at).map(|found| found.len().to_string())),
    ("lock a file", |at| {
        let file = File::open(at)?;
        done(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH) })?;
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_RDLCK as i16;
        done(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock) })
    }),
    ("lock an open file", |_| {
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_UNLCK as i16;
        done(unsafe { libc::fcntl(0, libc::F_SETLK, &lock) })
    }),
    ("write out all disks", |_| done_call(unsafe { libc::syscall(libc::SYS_syncfs, 0) })),
    ("keep memory from being swapped", |_| {
        let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
        done(unsafe { libc::mlock(page, 4096) })
    }),
    ("rename within a folder", |at| {
        fs::create_dir(format!("{at}/made"))?;
        fs::write(format!("{at}/new"), "new")?;
        fs::rename(format!("{at}/new"), format!("{at}/made/renamed")).map(|()| String::new())
    }),
    ("connect over TCP", |at| TcpStream::connect(at).map(|_| String::new())),
    ("listen on TCP", |_| TcpListener::bind("127.0.0.1:0").map(|_| String::new())),
    ("send over UDP", |at| UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", at).map(|count| count.to_string())),
    ("connect to a socket's path", |at| UnixStream::connect(at).map(|_| String::new())),
    ("connect to an abstract socket", |at| {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(at)?).map(|_| String::new())
    }),
    ("make a socket", |_| UnixDatagram::unbound().map(|_| String::new())),
    ("make a pair of sockets", |_| UnixStream::pair().map(|_| String::new())),
    ("start a program", |_| Command::new("/bin/true").status().map(|status| status.to_string())),
    ("become a program", |_| become_a_program()),
    ("fork", |_| fork()),
    ("attach to a process", attach),
    ("read a process's memory", read_memory),
    ("read a process's memory as a file", read_memory_file),
    ("signal a process", |at| done(unsafe { libc::kill(number(at), libc::SIGCONT) })),
    ("signal a thread", |at| {
        done_call(unsafe { libc::syscall(libc::SYS_tgkill, number(at), number(at), libc::SIGCONT) })
    }),
    ("have a process signalled", |at| done(unsafe { libc::fcntl(0, libc::F_SETOWN, number(at)) })),
    ("look at a process's limits", |at| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        done(unsafe { libc::prlimit(number(at), libc::RLIMIT_NOFILE, null(), &mut limit) })
    }),
    ("hold a process", |at| done_call(unsafe { libc::syscall(libc::SYS_pidfd_open, number(at), 0) })),
    ("map executable memory", |_| {
        map(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC).map(|_| String::new())
    }),
    ("make memory executable", |_| {
        let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
        done(unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC) })
    }),
    ("make a file of memory", |_| {
        done_call(unsafe { libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0) })
    }),
    ("leave the namespace", |_| done(unsafe { libc::unshare(libc::CLONE_FS) })),
    ("make a shared segment", |_| {
        let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) };
        done(segment)?;
        done(unsafe { libc::shmctl(segment, libc::IPC_RMID, null_mut()) })
    }),
    ("be seen by others of its user", |_| done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) })),
    ("make a call of tomorrow", |_| {
        // Advice on the memory of no process: a kernel that has the call knows no such descriptor.
        let answer = done_call(unsafe { libc::syscall(libc::SYS_process_madvise, -1, 0, 0, 0, 0) });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok("it is there".to_owned()),
            other => other,
        }
    }),
    ("read an inherited descriptor", |at| {
        let mut bytes = [0; 64];
        let read = unsafe { libc::pread(number(at), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
    }),
    ("read the environment", |at| std::env::var(at).map_err(io::Error::other)),
    ("start a thread", |_| {
        std::thread::Builder::new().spawn(|| "ran").map(|thread| thread.join().unwrap().to_owned())
    }),
    ("write a great file", |at| {
        let mut file = File::create(at)?;
        for _ in 0..17 {
            file.write_all(&vec![0; 1 << 20])?;
        }
        Ok(String::new())
    }),
    ("die", |at| {
        unsafe { libc::raise(number(at)) };
        std::process::abort()
    }),
];

/// In a process for guests.
pub(crate) fn in_place_of_the_guest(input: &Input, _: &[Mount]) -> String {
    attack(&serde_json::from_str(&input.arguments).unwrap()).to_string()
}

/// In a process that is confined by nothing.
pub(crate) fn without_confinement(arguments: &str) -> ExitCode {
    println!("{}", attack(&serde_json::from_str(arguments).unwrap()));
    ExitCode::SUCCESS
}

/// In a process for guests on a host that has little, and may not have more.
pub(crate) fn poor() -> ExitCode {
    let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &few) }, 0);
    // The third version of the call, this process, and no right in any of the three sets.
    let (header, none) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    assert_eq!(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }, 0);
    worker::serve_with(Some(in_place_of_the_guest))
}

fn attack(arguments: &Value) -> Value {
    let text = |name: &str| arguments[name].as_str().unwrap();
    let (_, attack) = ATTACKS.iter().find(|(name, _)| *name == text("attack")).expect("a known attack");
    match attack(text("at")) {
        Ok(got) => json!({ "got": got }),
        Err(error) => json!({ "refused": error.to_string() }),
    }
}

fn number(at: &str) -> i32 {
    at.parse().unwrap()
}

fn done(result: i32) -> io::Result<String> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}

fn done_call(result: i64) -> io::Result<String> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}

fn truncate(at: &str) -> io::Result<String> {
    let path = CString::new(at).unwrap();
    done(unsafe { libc::truncate(path.as_ptr(), 0) })
}

/// Where it works this process is gone, and the other one says so.
fn become_a_program() -> io::Result<String> {
    let words = [c"sh", c"-c", c"echo '{\"got\":\"another program\"}'"].map(|word| word.as_ptr());
    let words = [words[0], words[1], words[2], null()];
    done(unsafe { libc::execve(c"/bin/sh".as_ptr(), words.as_ptr(), [null()].as_ptr()) })
}

fn fork() -> io::Result<String> {
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::_exit(0) }
    }
    done(child)?;
    done(unsafe { libc::waitpid(child, null_mut(), 0) })
}

fn attach(at: &str) -> io::Result<String> {
    let process = number(at);
    done_call(unsafe { libc::ptrace(libc::PTRACE_ATTACH, process, 0, 0) })?;
    done(unsafe { libc::waitpid(process, null_mut(), libc::__WALL) })?;
    done_call(unsafe { libc::ptrace(libc::PTRACE_DETACH, process, 0, 0) })
}

/// `process address length`
fn place(at: &str) -> (i32, usize, usize) {
    let parts: Vec<usize> = at.split(' ').map(|part| part.parse().unwrap()).collect();
    (parts[0].try_into().unwrap(), parts[1], parts[2])
}

fn read_memory(at: &str) -> io::Result<String> {
    let (process, address, length) = place(at);
    let mut bytes = vec![0_u8; length];
    let to = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let from = libc::iovec { iov_base: address as *mut _, iov_len: length };
    let read = unsafe { libc::process_vm_readv(process, &to, 1, &from, 1, 0) };
    if read < 0 { Err(io::Error::last_os_error()) } else { Ok(String::from_utf8_lossy(&bytes).into_owned()) }
}

fn read_memory_file(at: &str) -> io::Result<String> {
    let (process, address, length) = place(at);
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    memory.seek(SeekFrom::Start(address as u64))?;
    let mut bytes = vec![0; length];
    memory.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn map(protection: i32) -> io::Result<*mut libc::c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = unsafe { libc::mmap(null_mut(), 4096, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page) }
}
