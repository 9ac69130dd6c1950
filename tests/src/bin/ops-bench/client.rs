//! A client of an MCP server on pipes, as cheap as one can be: it shares the processors with what it measures. Lines are
//! put together beforehand but for their number, and an answer is looked through for what it must have, not parsed.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// What clients of today speak: it begins with a handshake, and has pings.
    V2025,
    /// What follows it: every request says who asks.
    V2026,
}

/// A tool with its arguments, and what a good answer of it has in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    /// Bytes that each answer has: where it has a receipt, the key of its run.
    pub(crate) proof: &'static str,
}

/// The guest that answers what it was given.
pub(crate) const ECHO: Tool =
    Tool { name: "test_guest_echo", arguments: r#"{"text":"a"}"#, proof: r#""run_key":"CAP-"# };
/// The guest that spins until it is stopped.
pub(crate) const SPINS: Tool = Tool { name: "test_guest_spins", arguments: "{}", proof: "" };

/// One at the other end of a server's pipes. The server is killed when this is dropped.
pub(crate) struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    protocol: Protocol,
    number: u64,
    /// What was read and not taken yet: `read[taken..filled]`.
    read: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Client {
    /// Starts a server and shakes hands with it.
    pub(crate) fn start(mut command: Command, protocol: Protocol) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        let read = vec![0; 1 << 16];
        let mut client = Self { child, to, from, protocol, number: 0, read, taken: 0, filled: 0 };
        if protocol == Protocol::V2025 {
            let about = json!({"name": "ops-bench", "version": "0"});
            client.ask(
                "initialize",
                &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about}),
            );
            client.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        }
        client
    }

    /// Sends a request and waits for its answer; whatever else comes before that is dropped. Returns the result.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let number = self.send(method, params);
        loop {
            let mut message: Value = serde_json::from_slice(self.line()).unwrap();
            if message["id"] == number {
                assert!(message.get("result").is_some(), "{method} was answered with {message}");
                return message["result"].take();
            }
        }
    }

    /// Sends a request. Returns its number.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.number += 1;
        let mut params = params.clone();
        if self.protocol == Protocol::V2026 {
            params["_meta"] = serde_json::from_str(META).unwrap();
        }
        let message = json!({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params});
        self.write(format!("{message}\n").as_bytes());
        self.number
    }

    /// Says something that is not answered.
    pub(crate) fn tell(&mut self, method: &str, mut params: Value) {
        if self.protocol == Protocol::V2026 {
            params["_meta"] = serde_json::from_str(META).unwrap();
        }
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.write(format!("{message}\n").as_bytes());
    }

    /// Begins to call a tool. Returns the number of the request.
    pub(crate) fn begin(&mut self, tool: Tool) -> u64 {
        self.send(
            "tools/call",
            &json!({"name": tool.name, "arguments": serde_json::from_str::<Value>(tool.arguments).unwrap()}),
        )
    }

    /// Calls a tool this often, one call after the other. Returns how long each took.
    pub(crate) fn one_by_one(&mut self, tool: Tool, calls: usize) -> Vec<Duration> {
        let call = Call::new(tool, self.protocol);
        let mut line = Vec::new();
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            self.number += 1;
            line.clear();
            call.line(self.number, &mut line);
            let began = Instant::now();
            self.write(&line);
            let answered = call.check(self.line());
            times.push(began.elapsed());
            assert_eq!(answered, self.number, "another request was answered");
        }
        times
    }

    /// Calls a tool this often, with some calls in flight all the time. What comes in one piece is followed up in one
    /// piece. Returns how long all took.
    pub(crate) fn in_flight(&mut self, tool: Tool, calls: usize, at_once: usize) -> Duration {
        let call = Call::new(tool, self.protocol);
        let mut open = Vec::with_capacity(at_once);
        let (mut lines, mut sent) = (Vec::new(), 0);
        let began = Instant::now();
        while sent < calls || !open.is_empty() {
            lines.clear();
            while sent < calls && open.len() < at_once {
                self.number += 1;
                sent += 1;
                open.push(self.number);
                call.line(self.number, &mut lines);
            }
            if !lines.is_empty() {
                self.write(&lines);
            }
            loop {
                let answered = call.check(self.line());
                let at = open.iter().position(|number| *number == answered);
                open.swap_remove(at.expect("an answer to nothing that was asked"));
                if !self.has_line() {
                    break;
                }
            }
        }
        began.elapsed()
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the server's input and waits for its end.
    pub(crate) fn finish(mut self) {
        self.to = None;
        assert!(self.child.wait().unwrap().success(), "the server failed");
    }

    fn write(&mut self, bytes: &[u8]) {
        self.to.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn has_line(&self) -> bool {
        self.read[self.taken..self.filled].contains(&b'\n')
    }

    /// The next line.
    fn line(&mut self) -> &[u8] {
        let mut looked = 0;
        loop {
            let unread = &self.read[self.taken..self.filled];
            if let Some(length) = unread[looked..].iter().position(|byte| *byte == b'\n') {
                let start = self.taken;
                self.taken += looked + length + 1;
                return &self.read[start..start + looked + length];
            }
            looked = unread.len();
            if self.taken > 0 {
                self.read.copy_within(self.taken..self.filled, 0);
                (self.taken, self.filled) = (0, looked);
            } else if self.filled == self.read.len() {
                self.read.resize(2 * self.read.len(), 0);
            }
            let got = self.from.read(&mut self.read[self.filled..]).unwrap();
            assert!(got > 0, "the server has gone");
            self.filled += got;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every request of protocol 2026-07-28 says of its client.
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"ops-bench","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A request that is the same each time but for its number.
struct Call {
    tool: Tool,
    after_number: String,
}

impl Call {
    fn new(tool: Tool, protocol: Protocol) -> Self {
        let meta = if protocol == Protocol::V2026 { format!(",\"_meta\":{META}") } else { String::new() };
        let Tool { name, arguments, .. } = tool;
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}{meta}}}"#);
        Self { tool, after_number: format!(",\"method\":\"tools/call\",\"params\":{params}}}\n") }
    }

    fn line(&self, number: u64, to: &mut Vec<u8>) {
        write!(to, "{{\"jsonrpc\":\"2.0\",\"id\":{number}{}", self.after_number).unwrap();
    }

    /// Which request a line answers, and well.
    fn check(&self, line: &[u8]) -> u64 {
        let line = std::str::from_utf8(line).unwrap();
        let good = line.contains("\"result\":")
            && !line.contains("\"isError\":true")
            && line.contains(self.tool.proof);
        assert!(good, "a call failed: {line}");
        let number = line.split_once("\"id\":").map_or("", |(_, after)| after);
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        number[..digits].parse().unwrap_or_else(|_| panic!("an answer to nothing: {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_request_of_its_protocol() {
        for (protocol, has_meta) in [(Protocol::V2025, false), (Protocol::V2026, true)] {
            let mut line = Vec::new();
            Call::new(ECHO, protocol).line(7, &mut line);
            assert_eq!(line.pop(), Some(b'\n'));
            let message: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(message["id"], 7);
            assert_eq!(message["params"]["arguments"]["text"], "a");
            assert_eq!(message["params"].get("_meta").is_some(), has_meta);
        }
    }

    #[test]
    fn an_answer_is_checked() {
        let call = Call::new(ECHO, Protocol::V2025);
        let good =
            r#"{"jsonrpc":"2.0","id":12,"result":{"structuredContent":{"run_key":"CAP-1"},"isError":false}}"#;
        assert_eq!(call.check(good.as_bytes()), 12);
        for bad in [
            r#"{"jsonrpc":"2.0","id":12,"error":{"code":-32602,"message":"\"run_key\":\"CAP-"}}"#,
            r#"{"jsonrpc":"2.0","id":12,"result":{"structuredContent":{"run_key":"CAP-1"},"isError":true}}"#,
            r#"{"jsonrpc":"2.0","id":12,"result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{"run_key":"CAP-1"}}"#,
        ] {
            assert!(std::panic::catch_unwind(|| call.check(bad.as_bytes())).is_err(), "{bad}");
        }
    }

    /// `cat` answers each request with the request itself.
    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let long = "x".repeat(100_000);
        let mut client = Client::start(Command::new("cat"), Protocol::V2026);
        for text in ["a", &long, "", &long, "b"] {
            client.write(format!("{text}\n").as_bytes());
            assert_eq!(client.line(), text.as_bytes());
        }
        client.write(b"1\n2\n3\n");
        assert_eq!(client.line(), b"1");
        client.finish();
    }
}
