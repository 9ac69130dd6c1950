//! `ops mcp serve`, and a small client of it that speaks protocol 2026-07-28: one message there, one back. It sends
//! whatever a test wants, right or wrong, and sees every byte that comes back.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scratch::{Ran, Scratch, ran};

/// The protocol's version in every request.
pub const PROTOCOL: &str = "2026-07-28";
/// How long a server may take for one answer. Nothing but a defect takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// `ops mcp serve --http`. It ends when this is dropped.
pub struct Served {
    child: Child,
    port: u16,
}

/// Somebody who calls tools over HTTP.
#[derive(Clone, Debug)]
pub struct Agent {
    port: u16,
    token: String,
}

/// `ops mcp serve` on pipes, and whoever is at their other end. It ends when this is dropped.
pub struct Piped {
    child: Child,
    to: Option<ChildStdin>,
    lines: Receiver<String>,
    number: u64,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status; 200 on pipes.
    pub status: u16,
    /// The whole of it as it came: a head and a body, or a line.
    pub raw: String,
    /// The JSON-RPC message; null where there is none.
    pub message: Value,
}

/// The envelope that a tool of the host's answers with.
#[derive(Clone, Debug)]
pub struct Said {
    /// `structuredContent`.
    pub content: Value,
    /// Whether it is an error.
    pub is_error: bool,
}

impl Served {
    /// Starts a server at a port and waits until it is ready. `command` is `ops` with everything around it; the words
    /// are added here.
    pub fn start(mut command: Command, port: u16) -> Self {
        let at = format!("127.0.0.1:{port}");
        command.args(["mcp", "serve", "--http", &at, "--tokens", "tokens"]);
        Self::started(command, port)
    }

    /// The same where the words are there already, for one who starts it through another program.
    pub fn started(mut command: Command, port: u16) -> Self {
        let mut told = tempfile::tempfile().unwrap();
        let child = command.stderr(told.try_clone().unwrap()).spawn().unwrap();
        let mut served = Self { child, port };
        served.wait_until_ready(&mut told);
        served
    }

    fn wait_until_ready(&mut self, told: &mut File) {
        let end = Instant::now() + PATIENCE;
        let head = format!("GET /readyz HTTP/1.0\r\nhost: 127.0.0.1:{}\r\n\r\n", self.port);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut why = String::new();
                told.rewind().unwrap();
                told.read_to_string(&mut why).unwrap();
                panic!("ops mcp serve ended with {status}: {why}");
            }
            let ready = exchange(self.port, &head, "").is_some_and(|answer| answer.status == 200);
            if ready {
                return;
            }
            assert!(Instant::now() < end, "ops mcp serve is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Somebody with a token.
    pub fn agent(&self, token: &str) -> Agent {
        Agent { port: self.port, token: token.to_owned() }
    }

    /// Its process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Sends a request with these parameters.
    pub fn request(&self, method: &str, params: Value) -> Answer {
        self.send(&message(1, method, params))
    }

    /// Sends a message as it is.
    pub fn send(&self, message: &Value) -> Answer {
        let method = message["method"].as_str().unwrap_or_default();
        let name = message["params"]["name"].as_str().or(message["params"]["uri"].as_str());
        let name = name.map_or_else(String::new, |name| format!("mcp-name: {name}\r\n"));
        let body = message.to_string();
        let head = format!(
            "POST /mcp HTTP/1.0\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: {PROTOCOL}\r\nmcp-method: {method}\r\n\
             {name}content-length: {}\r\n\r\n",
            self.port,
            self.token,
            body.len()
        );
        exchange(self.port, &head, &body).expect("the server answers nothing")
    }

    /// Calls a tool.
    #[track_caller]
    pub fn call(&self, tool: &str, arguments: &Value) -> Said {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).said()
    }

    /// The names of the tools.
    #[track_caller]
    pub fn tools(&self) -> Vec<Value> {
        self.request("tools/list", json!({})).result()["tools"].as_array().unwrap().clone()
    }
}

impl Piped {
    /// Starts a server on pipes.
    pub fn start(mut command: Command) -> Self {
        command.args(["mcp", "serve"]);
        Self::started(command)
    }

    /// The same where the words are there already.
    pub fn started(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || read_lines(from, |text| line.send(text).is_ok()));
        Self { child, to, lines, number: 0 }
    }

    /// Sends a request and does not wait for its answer. Returns its number.
    pub fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.number += 1;
        self.send(&message(self.number, method, params));
        self.number
    }

    /// Sends a message as it is.
    pub fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    /// Sends a line, whatever it is.
    pub fn send_line(&mut self, line: &str) {
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that the server writes.
    pub fn line(&mut self) -> Answer {
        let raw = self.lines.recv_timeout(PATIENCE).expect("the server writes nothing");
        Answer { status: 200, message: serde_json::from_str(&raw).unwrap_or_default(), raw }
    }

    /// Sends a request and takes the lines up to its answer. Returns all of them; the last is the answer.
    pub fn request(&mut self, method: &str, params: Value) -> Vec<Answer> {
        let number = self.ask(method, params);
        let mut all = Vec::new();
        loop {
            all.push(self.line());
            if all.last().is_some_and(|answer| answer.message["id"] == number) {
                return all;
            }
        }
    }

    /// Closes the server's input and waits for its end. Returns the lines that were left.
    pub fn finish(mut self) -> Vec<String> {
        self.to = None;
        let left = self.lines.iter().collect();
        assert!(self.child.wait().unwrap().success(), "ops mcp serve failed");
        left
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// The result.
    #[track_caller]
    pub fn result(&self) -> &Value {
        self.message.get("result").unwrap_or_else(|| panic!("no result in:\n{}", self.raw))
    }

    /// The envelope in the result of a tool.
    #[track_caller]
    pub fn said(&self) -> Said {
        let result = self.result();
        let content =
            result.get("structuredContent").unwrap_or_else(|| panic!("no envelope in:\n{}", self.raw));
        Said { content: content.clone(), is_error: result["isError"] == true }
    }
}

impl Said {
    /// Checks the status word.
    #[track_caller]
    pub fn is(self, status: &str) -> Self {
        assert_eq!(self.content["status"], status, "{}", self.content);
        self
    }

    /// The id of the plan that waits.
    #[track_caller]
    pub fn plan(&self) -> String {
        self.content["plan"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no plan in {}", self.content))
            .to_owned()
    }

    /// The run's key.
    #[track_caller]
    pub fn run(&self) -> String {
        self.content["run_key"].as_str().unwrap_or_else(|| panic!("no run in {}", self.content)).to_owned()
    }

    /// What it says to people.
    pub fn message(&self) -> &str {
        self.content["message"].as_str().unwrap_or_default()
    }
}

/// A request of protocol 2026-07-28. `_meta` of the parameters is kept and completed.
pub fn message(number: u64, method: &str, mut params: Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": PROTOCOL,
        "io.modelcontextprotocol/clientInfo": {"name": "ops-tests", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (name, value) in params["_meta"].as_object().into_iter().flatten() {
        meta[name] = value.clone();
    }
    params["_meta"] = meta;
    json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
}

/// A token for an agent, in the file that [`Served::start`] names.
pub fn token(scratch: &Scratch, name: &str) -> String {
    let made: Ran = ran(scratch.command().args(["mcp", "token", name, "--tokens", "tokens"])).exits(0);
    made.stdout.trim().to_owned()
}

/// One request on a connection of its own, in HTTP/1.0, so that an answer ends where the connection does.
fn exchange(port: u16, head: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).ok()?;
    let raw = String::from_utf8(raw).expect("an answer that is no UTF-8");
    let (head, body) = raw.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // In a stream of events the answer is the last of them.
    let body = body.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(body);
    Some(Answer { status, message: serde_json::from_str(body).unwrap_or_default(), raw })
}

fn read_lines(from: ChildStdout, mut take: impl FnMut(String) -> bool) {
    for line in BufReader::new(from).lines() {
        if !line.is_ok_and(&mut take) {
            return;
        }
    }
}
