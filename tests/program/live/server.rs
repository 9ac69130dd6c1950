//! A mail server of the test's own: Cyrus for mailboxes and JMAP, exim for submission, both on loopback and in a
//! folder that goes with them.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use ops_tests::scratch::repository;
use ops_tests::server::free_port;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tempfile::TempDir;

use super::imap::Imap;
use super::lmtp;

/// Where Debian puts the programs: Cyrus' server, its part that speaks JMAP and the one that keeps the index, what sets
/// passwords, and exim.
const CYRUS: &str = "/usr/lib/cyrus/bin/master";
const CYRUS_HTTPD: &str = "/usr/lib/cyrus/bin/httpd";
const CYRUS_SQUATTER: &str = "/usr/lib/cyrus/bin/squatter";
const SASLPASSWD: &str = "/usr/sbin/saslpasswd2";
const EXIM: &str = "/usr/sbin/exim4";

/// Who has a mailbox or administers them; a password each.
const USERS: [&str; 6] = ["cyrus", "ops", "alice", "bob", "carol", "dave"];

/// What it takes to start the servers, if it is missing.
pub(super) fn missing() -> Option<&'static str> {
    if ![CYRUS, CYRUS_HTTPD, SASLPASSWD, EXIM].into_iter().all(|program| Path::new(program).exists()) {
        Some("a mail server (Cyrus, exim)")
    } else if !geteuid().is_root() {
        Some("the right to start servers as their own users (root)")
    } else {
        None
    }
}

/// A user's password.
pub(super) fn password(user: &str) -> String {
    format!("only-{user}-knows-4711")
}

/// The running servers. They end when this is dropped, in a panic too.
pub(super) struct MailServer {
    cyrus: Group,
    _exim: Group,
    ports: Ports,
    folder: TempDir,
}

struct Ports {
    smtp: u16,
    lmtp: u16,
    imap: u16,
    http: u16,
}

impl MailServer {
    /// Starts both and waits until they answer, with an inbox for each user and more for ops.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        prepare(folder.path(), &ports);
        let at = |name: &str| folder.path().join(name);
        // Exim first: Cyrus offers submission only once somebody takes mail from it.
        let exim = Group::start(Command::new(EXIM).arg("-C").arg(at("exim.conf")).args(["-bdf", "-q5s"]));
        answers(ports.smtp);
        let cyrus = Group::start(
            Command::new(CYRUS)
                .arg("-C")
                .arg(at("imapd.conf"))
                .arg("-M")
                .arg(at("cyrus.conf"))
                .arg("-p")
                .arg(at("run/master.pid")),
        );
        for port in [ports.imap, ports.http, ports.lmtp] {
            answers(port);
        }
        let server = Self { cyrus, _exim: exim, ports, folder };
        let mut admin = server.reader("cyrus");
        for command in [
            "CREATE user/alice",
            "CREATE user/bob",
            "CREATE user/carol",
            "CREATE user/dave",
            "CREATE user/ops",
            r"CREATE user/ops/Drafts (USE (\Drafts))",
            r"CREATE user/ops/Sent (USE (\Sent))",
        ] {
            admin.run(command);
        }
        server
    }

    /// The port that speaks JMAP.
    pub(super) fn jmap(&self) -> u16 {
        self.ports.http
    }

    /// A user's own view of the mailboxes.
    pub(super) fn reader(&self, user: &str) -> Imap {
        Imap::login(self.ports.imap, user, &password(user))
    }

    /// Waits until exim has nothing left to deliver and a user has as many messages, and returns them. Messages are
    /// taken by exim before the program is answered, so what is not here then was never sent.
    pub(super) fn messages(&self, user: &str, count: usize) -> Vec<String> {
        let mut reader = self.reader(user);
        wait_for("mail to be delivered", || self.queued() == "0" && reader.inbox().len() >= count);
        reader.inbox()
    }

    /// Puts a message into the inbox of ops, as a neighbour of the mail server does. It is there, and in the index, when
    /// this returns.
    pub(super) fn deliver(&self, message: &str) {
        lmtp::deliver(self.ports.lmtp, "ops@example.test", message);
        let settings = self.folder.path().join("imapd.conf");
        check(Command::new(CYRUS_SQUATTER).arg("-C").arg(settings).args(["-i", "user/ops"]));
    }

    /// The lines of exim's log that note a message taken.
    pub(super) fn taken(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("exim/log/mainlog")).unwrap_or_default();
        log.lines().filter(|line| line.contains(" <= ")).map(str::to_owned).collect()
    }

    /// Stops Cyrus.
    pub(super) fn stop(&mut self) {
        self.cyrus.stop();
    }

    fn queued(&self) -> String {
        let output =
            Command::new(EXIM).arg("-C").arg(self.folder.path().join("exim.conf")).arg("-bpc").output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    }
}

/// Writes the configuration, the folders and the passwords.
fn prepare(folder: &Path, ports: &Ports) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["cyrus.conf", "imapd.conf", "exim.conf"] {
        let mut text =
            fs::read_to_string(repository().join("tests/live").join(format!("{name}.in"))).unwrap();
        for (mark, port) in
            [("@SMTP@", ports.smtp), ("@LMTP@", ports.lmtp), ("@IMAP@", ports.imap), ("@HTTP@", ports.http)]
        {
            text = text.replace(mark, &port.to_string());
        }
        fs::write(folder.join(name), text.replace("@DIR@", folder.to_str().unwrap())).unwrap();
    }
    for (owner, folders) in [
        ("cyrus:mail", ["conf", "spool", "search", "sieve", "run", "run/proc", "run/lock"].as_slice()),
        ("Debian-exim:Debian-exim", &["exim", "exim/spool", "exim/log"]),
    ] {
        for name in folders {
            fs::create_dir(folder.join(name)).unwrap();
            check(Command::new("chown").arg(owner).arg(folder.join(name)));
        }
    }
    for user in USERS {
        // The password goes in by standard input: arguments can be read by everybody.
        let file = folder.join("password");
        fs::write(&file, password(user)).unwrap();
        check(
            Command::new(SASLPASSWD)
                .args(["-p", "-c", "-u", "mail.example.test", "-f"])
                .arg(folder.join("sasldb2"))
                .arg(user)
                .stdin(fs::File::open(&file).unwrap()),
        );
        fs::remove_file(&file).unwrap();
    }
    check(Command::new("chown").arg("cyrus:mail").arg(folder.join("sasldb2")));
}

fn check(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_ports() -> Ports {
    Ports { smtp: free_port(), lmtp: free_port(), imap: free_port(), http: free_port() }
}

/// Waits until somebody listens there.
fn answers(port: u16) {
    wait_for("a server to answer", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// Waits until the mail server, which notes when a message came in whole seconds, has come to another one. It reads the
/// kernel's coarse clock, which is behind ours by up to a tick, and none is longer than 10 ms.
pub(super) fn next_second() {
    let since_1970 = || SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = since_1970().as_secs();
    wait_for("the next second", || (since_1970() - Duration::from_millis(20)).as_secs() > now);
}

/// Asks again and again until the answer is yes.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server and the processes that it starts: one process group, stopped as one.
struct Group(Child);

impl Group {
    fn start(command: &mut Command) -> Self {
        let quiet = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().unwrap())
    }

    fn stop(&mut self) {
        // Without its process there is no group either, and nothing to do.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop();
    }
}
