//! What the attacks are after: files, sockets, a process with a key in its memory. And hosts that lack something.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use ops_sandbox::job::Mount;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
use tempfile::TempDir;

/// What nobody outside may read.
pub(crate) const SECRET: &str = "the key that signs every receipt";

/// A host with something to lose.
pub(crate) struct Victim {
    pub(crate) folder: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    _abstract: UnixListener,
    /// A file without the flag that closes it when another program starts.
    open: OwnedFd,
    /// In the memory of this process.
    key: String,
}

impl Victim {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["read", "stage", "beside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("file"), SECRET).unwrap();
        }
        // By a number that a process for guests has nothing else under.
        let open =
            fcntl_dupfd_cloexec(fs::File::open(folder.path().join("beside/file")).unwrap(), 500).unwrap();
        fcntl_setfd(&open, FdFlags::empty()).unwrap();
        let name = SocketAddr::from_abstract_name(folder.path().to_str().unwrap()).unwrap();
        // Without confinement the attacks have to work, also where the kernel lets nobody but a parent look on.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _unix: UnixListener::bind(folder.path().join("socket")).unwrap(),
            _abstract: UnixListener::bind_addr(&name).unwrap(),
            folder,
            open,
            key: SECRET.chars().collect(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The folders of a run.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        let mount = |name: &str, writable| Mount {
            guest: format!("/{name}"),
            host: PathBuf::from(self.path(name)),
            writable,
        };
        vec![mount("read", false), mount("stage", true)]
    }

    /// Where each attack strikes.
    pub(crate) fn targets(&self) -> BTreeMap<&'static str, String> {
        let process = std::process::id();
        let key = format!("{process} {} {}", self.key.as_ptr() as usize, self.key.len());
        [
            ("read a file", self.path("beside/file")),
            ("list a folder", self.path("beside")),
            ("write a file", self.path("beside/written")),
            ("make a folder", self.path("beside/made")),
            ("set the times of a file", self.path("beside/file")),
            ("ask for a file's attributes", self.path("beside/file")),
            ("remove a file", self.path("beside/written")),
            ("connect over TCP", self.tcp.local_addr().unwrap().to_string()),
            ("send over UDP", self.udp.local_addr().unwrap().to_string()),
            ("connect to a socket's path", self.path("socket")),
            ("connect to an abstract socket", self.folder.path().to_str().unwrap().to_owned()),
            ("attach to a process", process.to_string()),
            ("read a process's memory", key.clone()),
            ("read a process's memory as a file", key),
            ("signal a process", process.to_string()),
            ("signal a thread", process.to_string()),
            ("have a process signalled", process.to_string()),
            ("look at a process's limits", process.to_string()),
            ("hold a process", process.to_string()),
            ("read an inherited descriptor", self.open.as_raw_fd().to_string()),
            ("read the environment", "PATH".to_owned()),
        ]
        .into()
    }
}

/// Does something on a host whose kernel does not have these calls. It holds for what is started there too.
pub(crate) fn without_calls<T: Send>(calls: &[i64], errno: i32, work: impl FnOnce() -> T + Send) -> T {
    let rules = calls.iter().map(|number| (*number, Vec::new())).collect();
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// The calls of Landlock.
pub(crate) const LANDLOCK: [i64; 3] =
    [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
