//! Machines that count what is done to them: a stand-in, which answers as much as the torture tests ask of it.
//!
//! One request is served after the other, so that [`Machines::done`] knows of everything that was sent before it was
//! asked, also by a program that is dead by then.

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{self, Reply, Seen};

/// How long a client may take to send what it began.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its method and path, such as `POST /a`.
    pub what: String,
    /// What it was answered.
    pub answer: String,
}

/// The server. It stops with the test's process.
pub struct Machines {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
}

/// What was done to the machines, and which of them is busy.
#[derive(Default)]
struct World {
    changes: Vec<Change>,
    busy: Option<String>,
}

impl Default for Machines {
    fn default() -> Self {
        Self::start()
    }
}

impl Machines {
    /// Machines to which nothing has been done.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let known = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &known);
            }
        });
        Self { address, world }
    }

    /// The origin, `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets everything: the machines are as they were at first.
    pub fn reset(&self) {
        self.done();
        *self.world.lock().unwrap() = World::default();
    }

    /// Keeps a machine busy with what it was told, until the next call.
    pub fn keep_busy(&self, machine: Option<&str>) {
        self.world.lock().unwrap().busy = machine.map(str::to_owned);
    }

    /// What was done, in order. Every request that had been sent when this was called is in it.
    pub fn done(&self) -> Vec<Change> {
        // It is the last in the queue; when the other end closes it, all before it were served.
        let stream = TcpStream::connect(self.address).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::io::copy(&mut &stream, &mut std::io::sink()).unwrap();
        self.world.lock().unwrap().changes.clone()
    }
}

fn serve(stream: TcpStream, world: &Mutex<World>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Some(request) = server::read(&mut BufReader::new(&stream)) else { return };
    let mut world = world.lock().unwrap();
    let (status, answer) = world.answer(&request);
    if request.method != "GET" {
        let what = format!("{} {}", request.method, request.target);
        world.changes.push(Change { what, answer: answer.clone() });
    }
    drop(world);
    // A client that was killed has nothing to be told.
    server::answer(stream, Reply::Answer(status, answer)).ok();
}

impl World {
    /// What is answered, and as much of the rest of both APIs as is asked for.
    fn answer(&self, request: &Seen) -> (u16, String) {
        if request.target.starts_with("/api2/json/") {
            return self.pve(request);
        }
        let (method, path) = (request.method.as_str(), request.target.as_str());
        if method != "GET" {
            return (200, format!("{method} {path} was number {}", self.changes.len() + 1));
        }
        if let Some(machine) = path.strip_suffix("/task") {
            let busy = self.busy.as_ref().is_some_and(|busy| machine.ends_with(&format!("/{busy}")));
            return (200, if busy { "busy" } else { "done" }.to_owned());
        }
        // A machine is there once it was cloned.
        (if self.has_done(&format!("POST {path}/clone")) { 200 } else { 404 }, "{}".to_owned())
    }

    fn has_done(&self, what: &str) -> bool {
        self.changes.iter().any(|change| change.what == what)
    }

    /// A Proxmox VE of one node, one template and one number that is free. Its tasks are done at once.
    fn pve(&self, request: &Seen) -> (u16, String) {
        let path = request.target.trim_start_matches("/api2/json/");
        let data = match (request.method.as_str(), path) {
            ("GET", "cluster/nextid?vmid=214")
                if self.has_done("POST /api2/json/nodes/pve1/qemu/9000/clone") =>
            {
                let taken = json!({"errors": {"vmid": "VM 214 already exists"}, "data": null});
                return (400, taken.to_string());
            }
            ("GET", "cluster/nextid?vmid=214") => json!("214"),
            ("GET", "nodes/pve1/qemu/9000/config") => json!({
                "template": 1,
                "scsi0": "local-lvm:base-9000-disk-0,size=10G",
                "ide2": "local-lvm:vm-9000-cloudinit,media=cdrom",
            }),
            ("GET", "nodes/pve1/qemu/214/status/current") => {
                let runs = self.has_done("POST /api2/json/nodes/pve1/qemu/214/status/start");
                json!({"status": if runs { "running" } else { "stopped" }})
            }
            ("GET", task) if task.starts_with("nodes/pve1/tasks/") => {
                json!({"status": "stopped", "exitstatus": "OK"})
            }
            ("PUT", "nodes/pve1/qemu/214/config") => Value::Null,
            ("POST" | "PUT", _) => {
                let kind = path.rsplit('/').next().unwrap_or_default();
                json!(format!("UPID:pve1:0001:{:04X}:0001:qm{kind}:214:ops@pve:", self.changes.len()))
            }
            _ => return (501, json!({"message": "not known to the stand-in", "data": null}).to_string()),
        };
        (200, json!({"data": data}).to_string())
    }
}
