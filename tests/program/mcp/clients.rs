//! Clients that others wrote list and call tools, over both transports: the PyPI package `mcp`, in both versions of the
//! protocol, and `inspector --cli` from npm.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use libtest_mimic::Trial;
use ops_tests::agent::{Served, token};
use ops_tests::scratch::{Scratch, ran, repository};
use ops_tests::server::free_port;
use ops_tests::skip;
use serde_json::{Value, json};

/// A version of the protocol, as the PyPI client calls it.
pub(crate) const LEGACY: &str = "legacy";
pub(crate) const STATELESS: &str = "2026-07-28";

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name, run: fn()| skip::trial(format!("mcp::clients::{name}"), missing(), run);
    vec![
        trial("pypi_mcp_lists_and_calls_over_streams", pypi_over_streams),
        trial("pypi_mcp_lists_and_calls_over_http", pypi_over_http),
        trial("inspector_lists_and_calls_over_streams", inspector_over_streams),
        trial("inspector_lists_and_calls_over_http", inspector_over_http),
    ]
}

/// What it takes to run them, if it is missing.
pub(crate) fn missing() -> Option<&'static str> {
    let there = tool("node_modules/.bin/mcp-inspector").exists() && tool("bin/python").exists();
    (!there).then_some("a client of MCP")
}

/// A tool that `tests/live-deps.sh` installs.
pub(crate) fn tool(path: &str) -> PathBuf {
    repository().join("target/mcp").join(path)
}

/// A session of the PyPI client. It ends when this is dropped.
pub(crate) struct Session {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Session {
    /// Talks to `ops mcp serve`, which it starts itself.
    pub(crate) fn over_streams(scratch: &Scratch, mode: &str) -> Self {
        let mut command = Command::new(tool("bin/python"));
        scratch.around(&mut command).arg(driver()).args([mode, "stdio"]).arg(scratch.program());
        Self::started(command.args(["mcp", "serve"]))
    }

    /// Talks to a server with a token.
    pub(crate) fn over_http(served: &Served, mode: &str, token: &str) -> Self {
        let mut command = Command::new(tool("bin/python"));
        command.arg(driver()).args([mode, "http", &served.url()]).env("MCP_TOKEN", token);
        Self::started(&mut command)
    }

    fn started(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn does(&mut self, wish: &Value) -> Value {
        writeln!(self.to, "{wish}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The tools.
    pub(crate) fn list(&mut self) -> Vec<Value> {
        let listed = self.does(&json!({"do": "list"}));
        listed["tools"].as_array().unwrap_or_else(|| panic!("{listed}")).clone()
    }

    /// The envelope that a tool answers with.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.does(&json!({"do": "call", "name": tool, "arguments": arguments}));
        answer.get("structuredContent").unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// The text of a resource.
    pub(crate) fn read(&mut self, uri: &str) -> String {
        let answer = self.does(&json!({"do": "read", "uri": uri}));
        answer["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn driver() -> PathBuf {
    repository().join("tests/mcp/client.py")
}

/// A workspace with one honest capability, which an agent named `tester` may call.
fn workspace() -> Scratch {
    let scratch = Scratch::new();
    let settings = scratch.path("ops/ops.yaml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(settings, text + "agents: {reader: [tester]}\n").unwrap();
    scratch.bind(
        "guest-echo",
        "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n",
    );
    scratch
}

fn serve(scratch: &Scratch) -> (Served, String) {
    let token = token(scratch, "tester");
    (Served::start(scratch.command(), free_port()), token)
}

fn uses(mut session: Session, scratch: &Scratch) {
    let tools = session.list();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["test_guest_echo", "ops_plan_status", "ops_receipt", "ops_explain", "ops_status"]);
    let before = scratch.receipts().len();
    let echoed = session.call("test_guest_echo", &json!({"text": "a b", "times": 2}));
    assert_eq!(
        (&echoed["status"], &echoed["data"]["texts"]),
        (&json!("done"), &json!(["a b", "a b"])),
        "{echoed}"
    );
    assert_eq!(scratch.receipts().len(), before + 1);
    let run = echoed["run_key"].as_str().unwrap();
    assert!(session.read(&format!("ops://receipts/{run}")).contains(run));
    let wrong = session.call("test_guest_echo", &json!({"text": "a", "times": 101}));
    assert!(wrong["message"].as_str().unwrap().contains("/times"), "{wrong}");
}

fn pypi_over_streams() {
    let scratch = workspace();
    for mode in [LEGACY, STATELESS] {
        uses(Session::over_streams(&scratch, mode), &scratch);
    }
}

fn pypi_over_http() {
    let scratch = workspace();
    let (served, token) = serve(&scratch);
    for mode in [LEGACY, STATELESS] {
        uses(Session::over_http(&served, mode, &token), &scratch);
    }
}

/// Runs the inspector with these words in a workspace, and returns what it prints.
fn inspector(scratch: &Scratch, words: &[&str]) -> Value {
    let mut command = Command::new(tool("bin/node"));
    scratch.around(&mut command).arg(tool("node_modules/.bin/mcp-inspector")).arg("--cli").args(words);
    ran(&mut command).exits(0).json()
}

fn inspects(scratch: &Scratch, server: &[&str]) {
    let inspect = |words: &[&str]| inspector(scratch, &[server, words].concat());
    // `--strict` fails where a schema would not be understood by some client.
    let listed = inspect(&["--method", "tools/list", "--strict"]);
    let tools = listed["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "test_guest_echo"), "{listed}");
    let call =
        ["--method", "tools/call", "--tool-name", "test_guest_echo", "--tool-arg", "text=a b", "times=2"];
    let echoed = inspect(&call);
    assert_eq!(echoed["structuredContent"]["data"]["texts"], json!(["a b", "a b"]), "{echoed}");
    let resources = inspect(&["--method", "resources/templates/list"]);
    assert!(!resources["resourceTemplates"].as_array().unwrap().is_empty(), "{resources}");
}

fn inspector_over_streams() {
    let scratch = workspace();
    // It hands nothing of its own environment on.
    let state = format!("XDG_STATE_HOME={}", path(&scratch.path("state")));
    inspects(&scratch, &[path(&scratch.program()), "mcp", "serve", "-e", &state]);
}

fn inspector_over_http() {
    let scratch = workspace();
    let (served, token) = serve(&scratch);
    inspects(&scratch, &[&served.url(), "--header", &format!("Authorization: Bearer {token}")]);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
