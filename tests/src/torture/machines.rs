//! Machines that count what is done to them: a stand-in, which answers as much as the torture tests ask of it.
//!
//! One request is served after the other, so that [`Machines::done`] knows of everything that was sent before it was
//! asked, also by a program that is dead by then.

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::server::{self, Reply, Seen};

/// How long a client may take to send what it began.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its method and path, such as `POST /a`.
    pub what: String,
    /// Its body.
    pub body: String,
    /// What it was answered.
    pub answer: String,
}

/// The server. It stops with the test's process.
pub struct Machines {
    address: SocketAddr,
    changes: Arc<Mutex<Vec<Change>>>,
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
        let changes = Arc::new(Mutex::new(Vec::new()));
        let known = changes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that was killed has nothing to be told.
                serve(stream, &known);
            }
        });
        Self { address, changes }
    }

    /// The origin, `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets everything: the machines are as they were at first.
    pub fn reset(&self) {
        self.done();
        self.changes.lock().unwrap().clear();
    }

    /// What was done, in order. Every request that had been sent when this was called is in it.
    pub fn done(&self) -> Vec<Change> {
        // It is the last in the queue; when the other end closes it, all before it were served.
        let stream = TcpStream::connect(self.address).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::io::copy(&mut &stream, &mut std::io::sink()).unwrap();
        self.changes.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, changes: &Mutex<Vec<Change>>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Some(request) = server::read(&mut BufReader::new(&stream)) else { return };
    let (status, answer) = answer(&request, &changes.lock().unwrap());
    if request.method != "GET" {
        let change = Change {
            what: format!("{} {}", request.method, request.target),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            answer: answer.clone(),
        };
        changes.lock().unwrap().push(change);
    }
    server::answer(stream, Reply::Answer(status, answer)).ok();
}

/// A machine is there once it was cloned, and is never busy.
fn answer(request: &Seen, before: &[Change]) -> (u16, String) {
    let (method, path) = (request.method.as_str(), request.target.as_str());
    let is_there = |machine: &str| before.iter().any(|change| change.what == format!("POST {machine}/clone"));
    match method {
        "GET" if path.ends_with("/task") => (200, "done".to_owned()),
        "GET" if is_there(path) => (200, "{}".to_owned()),
        "GET" => (404, "{}".to_owned()),
        _ => (200, format!("{method} {path} was number {}", before.len() + 1)),
    }
}
