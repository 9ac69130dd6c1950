//! The separate-user deployment: workspace, state, keys and secrets belong to one user of this machine, the agent is
//! another, and all that it has is a token for `ops mcp serve --http`.
//!
//! The host may change two things at a server on loopback that knows the host's secret, and counts what it is sent
//! with it. It may also put messages into an outbox, which is so small a right that a binding may let people say yes in
//! other ways than by signing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ops_tests::agent::{Agent, Said, Served, token};
use ops_tests::scratch::{Ran, Scratch, ran};
use ops_tests::server::{Reply, Server, free_port};
use ops_tests::users::User;
use serde_json::{Value, json};

/// What changes two things.
pub(super) const TWO: &str = "test.guest.two-effects";
/// Its tool.
pub(super) const TWO_TOOL: &str = "test_guest_two_effects";
/// What puts messages into the outbox, and its tool.
pub(super) const MAIL: &str = "communications.mail.send.test";
pub(super) const MAIL_TOOL: &str = "communications_mail_send_test";
/// The agent's name, which its token proves.
pub(super) const ROBOT: &str = "robot";

/// What only the host knows.
const SECRET: &str = "only-the-host-knows-2718";

/// Two users and what lies between them.
pub(super) struct World {
    pub(super) scratch: Scratch,
    pub(super) server: Server,
    /// The agent's user, and a folder of its own.
    pub(super) robot: User,
    pub(super) own: tempfile::TempDir,
    token: String,
}

impl World {
    /// With nothing more in `ops.yaml` than it takes.
    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// With one more line in `ops.yaml`.
    pub(super) fn with(settings: &str) -> Self {
        let server = Server::start(|seen, _| match seen.header("authorization") {
            Some(given) if given == format!("Bearer {SECRET}") => Reply::Answer(200, "done".to_owned()),
            _ => Reply::Answer(401, "who are you".to_owned()),
        });
        let host = User::new("host");
        let robot = User::new("robot");
        let own = tempfile::tempdir().unwrap();
        robot.owns(own.path());
        let (ids, name) = (host.ids(), host.name().to_owned());
        let scratch = Scratch::of(host);
        let secret = scratch.path("home/web-token");
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&secret, Some(ids.0), Some(ids.1)).unwrap();
        scratch.write(
            "ops/ops.yaml",
            &format!(
                "workspace: demo\nsecrets:\n  web-token: {{from: \"file:{}\", origins: [\"{}\"]}}\n\
                 agents: {{proposer: [{ROBOT}]}}\nrequire: {{user: {name}}}\n{settings}\n",
                secret.display(),
                server.origin()
            ),
        );
        for guest in ["guest-two-effects", "communications-mail-send-test"] {
            scratch.place(guest);
        }
        scratch.write_binding(&two_effects(&server));
        scratch.write_binding(&outbox_binding());
        scratch.pin();
        let token = token(&scratch, ROBOT);
        Self { scratch, server, robot, own, token }
    }

    /// Serves, as the host's user.
    pub(super) fn serve(&self) -> Served {
        self.serve_with(|_| ())
    }

    /// The same, after something was done to the command.
    pub(super) fn serve_with(&self, change: impl FnOnce(&mut Command)) -> Served {
        let mut command = self.scratch.command();
        change(&mut command);
        Served::start(command, free_port())
    }

    /// The agent, by its token.
    pub(super) fn agent(&self, served: &Served) -> Agent {
        served.agent(&self.token)
    }

    /// A plan that waits, for which the agent asked.
    #[track_caller]
    pub(super) fn plan(&self, agent: &Agent) -> String {
        let said = agent.call(TWO_TOOL, &json!({})).is("planned");
        let receipt = self.receipt_of(&said.run());
        assert_eq!((&receipt["actor"]["id"], &receipt["actor"]["via"]), (&json!(ROBOT), &json!("mcp")));
        assert_eq!(receipt["host"]["deployment"], "separate-user");
        said.plan()
    }

    /// A plan that a person has approved.
    #[track_caller]
    pub(super) fn approved(&self, agent: &Agent) -> String {
        let plan = self.plan(agent);
        self.scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
        plan
    }

    /// The agent calls with a plan's id.
    #[track_caller]
    pub(super) fn apply(&self, agent: &Agent, plan: &str) -> Said {
        agent.call(TWO_TOOL, &json!({"plan_id": plan}))
    }

    /// A program as the agent's user, in a folder of its own. `OPS_WORKSPACE` says where the host's is.
    pub(super) fn as_robot(&self, program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.robot.runs(&mut command);
        command.args(words).current_dir(self.own.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.own.path()).env("XDG_STATE_HOME", self.own.path().join("state"));
        command.env("OPS_WORKSPACE", self.scratch.path("ops"));
        command
    }

    /// The agent's user runs `ops` on the host's workspace, as `run` does it: for that user there is none.
    #[track_caller]
    pub(super) fn gets_nowhere(&self, words: &[&str], run: impl FnOnce(&mut Command) -> Ran) {
        run(&mut self.as_robot(self.scratch.program(), words)).exits(2).says("is no workspace");
    }

    /// How often each thing was changed: requests that came with the host's secret.
    pub(super) fn effects(&self) -> Vec<String> {
        let seen = self.server.seen();
        let known = |seen: &&ops_tests::server::Seen| {
            seen.method == "POST" && seen.header("authorization") == Some(&format!("Bearer {SECRET}"))
        };
        seen.iter().filter(known).map(|seen| seen.target.clone()).collect()
    }

    /// The messages in the outbox.
    pub(super) fn outbox(&self) -> usize {
        fs::read_dir(self.scratch.path("ops/state/outbox")).map_or(0, Iterator::count)
    }

    /// The receipt of a run.
    #[track_caller]
    pub(super) fn receipt_of(&self, run: &str) -> Value {
        let folder = self.scratch.path(&format!("receipts/sessions/R{run}"));
        let receipt = ops_tests::scratch::predicate(&folder);
        assert_eq!(receipt["run"]["id"], run);
        receipt
    }

    /// Checks that nothing was changed, that every receipt holds, and that the last one has this status.
    #[track_caller]
    pub(super) fn nothing_came_of_it(&self, status: &str) {
        assert_eq!((self.effects(), self.outbox()), (vec![], 0));
        self.receipts_hold();
        assert_eq!(self.scratch.last_receipt()["run"]["status"], status);
    }

    /// Checks every receipt and the ledger.
    #[track_caller]
    pub(super) fn receipts_hold(&self) {
        self.scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    }

    /// A folder that the agent's user may write, and everybody may read.
    pub(super) fn own(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }
}

fn two_effects(server: &Server) -> String {
    format!(
        "\
capability: {TWO}
component: components/guest_two_effects.wasm
safety: mutating
approval: {{mode: manual}}
services:
  web:
    origin: {}
    addresses: [127.0.0.1/32]
    credential: {{secret: web-token, header: Authorization, as: \"Bearer {{}}\"}}
    rules:
      - {{id: task, method: GET, path: /task, effect: read}}
      - {{id: a, method: POST, path: /a, effect: mutate}}
      - {{id: b, method: POST, path: /b, effect: mutate}}
",
        server.origin()
    )
}

fn outbox_binding() -> String {
    format!(
        "\
capability: {MAIL}
component: components/communications_mail_send_test.wasm
safety: mutating
approval: {{mode: manual, accept: [signed, piped, confirmed]}}
directories:
  outbox: {{path: state/outbox, access: stage}}
config: {{from: ops@example.test, allowed_recipient_domains: [example.test]}}
"
    )
}

/// What the agent asks to be sent.
pub(super) fn letter() -> Value {
    json!({"to": ["alice@example.test"], "subject": "S", "body": "B"})
}

/// Runs a program with a yes in its standard input.
pub(super) fn with_yes(command: &mut Command) -> Ran {
    let (read, mut write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut write, b"yes\nyes\nyes\n").unwrap();
    drop(write);
    ran(command.stdin(read))
}
