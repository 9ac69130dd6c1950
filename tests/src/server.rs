//! A small HTTP/1.1 server on loopback that writes down what it is sent, and answers as a test wants it: well, badly,
//! slowly, or not at all. A stand-in.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target: path and query.
    pub target: String,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answer with this status and body.
    Answer(u16, String),
    /// Answer with these header fields too, and offer the connection for another request.
    Fields(u16, Vec<(&'static str, String)>, String),
    /// Write whatever this writes, head and all, then close.
    Stream(fn(&mut TcpStream) -> io::Result<()>),
    /// Close the connection without a word.
    HangUp,
    /// Say nothing for this long, then close.
    Silence(Duration),
}

/// The server. It stops with the test's process; each test has its own.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Seen {
    /// The value of a header field; its name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// Starts a server that answers as `reply` says; it is given the request and how many came before it.
    pub fn start(reply: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(move |stream, log| serve(&stream, log, &reply))
    }

    /// A server that begins a long answer to everything and resets the connection in its middle.
    pub fn resetting() -> Self {
        Self::listen(|stream, log| {
            let _ = reset(stream, log);
        })
    }

    fn listen(handle: impl Fn(TcpStream, &Mutex<Vec<Seen>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (log, count, handle) = (seen.clone(), connections.clone(), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().unwrap() += 1;
                let (log, handle) = (log.clone(), handle.clone());
                std::thread::spawn(move || handle(stream, &log));
            }
        });
        Self { address, seen, connections }
    }

    /// A server that answers 200 and `text` to everything.
    pub fn answering(text: &str) -> Self {
        let text = text.to_owned();
        Self::start(move |_, _| Reply::Answer(200, text.clone()))
    }

    /// Its origin, `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were opened so far, whatever was sent on them.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Seen>>, reply: &impl Fn(&Seen, usize) -> Reply) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        // A client that has gone away is no failure of the server's.
        let again = answer(stream.try_clone().unwrap(), reply(&request, before)).unwrap_or(false);
        if !again {
            return;
        }
    }
}

/// Answers one request. Returns whether the connection is good for another.
pub(crate) fn answer(mut stream: TcpStream, reply: Reply) -> io::Result<bool> {
    match reply {
        Reply::Answer(status, body) => {
            let fields =
                [("content-type", "application/json".to_owned()), ("connection", "close".to_owned())];
            write_answer(&mut stream, status, &fields, &body)?;
        }
        Reply::Fields(status, fields, body) => {
            write_answer(&mut stream, status, &fields, &body)?;
            return Ok(true);
        }
        Reply::Stream(write) => write(&mut stream)?,
        Reply::HangUp => {}
        Reply::Silence(time) => std::thread::sleep(time),
    }
    Ok(false)
}

fn write_answer(
    stream: &mut TcpStream,
    status: u16,
    fields: &[(&'static str, String)],
    body: &str,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())
}

/// What a connection's buffers cannot hold together, so that a client must have read a part once it is written.
const BEYOND_ALL_BUFFERS: usize = 24 << 20;

/// Writes the first half of an answer and resets the connection.
fn reset(mut stream: TcpStream, log: &Mutex<Vec<Seen>>) -> io::Result<()> {
    // The request is looked at and stays where it is: closing before all was read is what sends a reset.
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut seen = [0; 4096];
    loop {
        let length = stream.peek(&mut seen)?;
        if let Some(request) = read(&mut &seen[..length]) {
            log.lock().unwrap().push(request);
            break;
        }
        // A part of it, or its end already. What comes next cannot be waited for while this stays where it is.
        if length == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let promised = 2 * BEYOND_ALL_BUFFERS;
    stream.write_all(format!("HTTP/1.1 200 -\r\ncontent-length: {promised}\r\n\r\n").as_bytes())?;
    stream.write_all(&vec![b'x'; BEYOND_ALL_BUFFERS])
}

/// The next request of a connection, where it comes whole.
pub(crate) fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap_or(0));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { method, target, headers, body })
}

/// A port that nobody listens on. It lies below those that the kernel hands out by itself, so that no connection of
/// another test takes it before the server does; another run of the tests starts elsewhere.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 1000).unwrap() * 10;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
