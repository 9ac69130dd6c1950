//! An ear on the wire: everything that the program sends to the mail server passes through it and is kept.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes connections on to a port of this machine.
pub(super) struct Watch {
    port: u16,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Watch {
    pub(super) fn over(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = heard.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let log = log.clone();
                let place = {
                    let mut log = log.lock().unwrap();
                    log.push(Vec::new());
                    log.len() - 1
                };
                // A server that is gone looks like one that hangs up.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, |bytes| log.lock().unwrap()[place].extend(bytes)));
                std::thread::spawn(move || pass(server, client, |_| {}));
            }
        });
        Self { port, heard }
    }

    /// The origin to bind a service to.
    pub(super) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was sent so far, by connection.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// How many of the connections asked for something to be made or sent.
    pub(super) fn changes(&self) -> usize {
        self.heard().iter().filter(|text| text.contains("/set")).count()
    }
}

/// Copies until the one side is done, noting each piece before it goes on.
fn pass(mut from: TcpStream, mut to: TcpStream, note: impl Fn(&[u8])) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        note(&piece[..length]);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
