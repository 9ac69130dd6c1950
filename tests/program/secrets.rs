//! Secrets with odd bytes, from every place that they can come from, against a server that hands back all it is sent:
//! no file of the workspace, the state or the receipts holds one in any usual spelling, nor does anything that is
//! printed.
//!
//! `forms` says how a secret may be spelt; `sources` plants one in each kind of place, `infisical` in a stand-in for
//! such a server; `refused` has the secrets that must not be used.

mod forms;
mod infisical;
mod refused;
mod sources;

use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, ran};
use ops_tests::server::{Reply, Seen, Server};
use ops_tests::skip;
use serde_json::Value;

use crate::hostile::yard::{Run, Yard, contains};

/// A test: what it shows, and the story.
type Test = (&'static str, fn(&Yard));

/// The one guest of these tests.
const GUEST: &str = "fills-secret";

pub(crate) fn trials() -> Vec<Trial> {
    let python = (!skip::has_program("python3")).then_some("python3");
    let local = sources::TESTS.iter().chain(refused::TESTS).map(|(what, test)| (*what, *test, None));
    let remote = infisical::TESTS.iter().map(|(what, test)| (*what, *test, python));
    let trial = |(what, story, missing): (&str, fn(&Yard), Option<&str>)| {
        skip::trial(format!("secrets::{what}"), missing, move || {
            let yard = Yard::new(GUEST);
            story(&yard);
            yard.is_unharmed();
        })
    };
    let search = skip::trial("secrets::each_spelling_is_found", None, forms::each_is_found);
    local.chain(remote).map(trial).chain([search]).collect()
}

/// The guests that are tested here.
pub(crate) fn guests() -> Vec<&'static str> {
    vec![GUEST]
}

/// A workspace in which the service `mail` is sent two secrets: `token` in a header, `password` in its bodies.
struct Vault<'a> {
    yard: &'a Yard,
    /// What the program finds in its environment besides the usual.
    environment: Vec<(String, String)>,
    /// Everything that was printed so far.
    printed: String,
}

impl<'a> Vault<'a> {
    /// `settings` are the lines of `ops.yaml` after the workspace's name.
    fn new(yard: &'a Yard, origin: &str, settings: &str, more: &str) -> Self {
        yard.scratch.write("ops/ops.yaml", &format!("workspace: demo\n{settings}"));
        yard.bind(&format!(
            "safety: mutating\napproval: {{mode: manual}}\n{more}services:\n  mail:\n    origin: {origin}\n    \
             addresses: [127.0.0.1/32]\n    \
             credential: {{secret: token, header: X-Token, as: \"Token {{}}\"}}\n    \
             secrets:\n      - {{name: password, at: /auth/password, rule: login}}\n      \
             - {{name: password, at: /auth/password, rule: password}}\n    \
             rules:\n      - {{id: login, method: POST, path: /login, effect: read}}\n      \
             - {{id: password, method: POST, path: /password, effect: mutate}}"
        ));
        Self { yard, environment: Vec::new(), printed: String::new() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn call(&mut self, mut command: Command) -> Ran {
        let ran = ran(command.envs(self.environment.iter().map(|(name, value)| (name, value))));
        self.printed.push_str(&format!("{}\n{}\n", ran.stdout, ran.stderr));
        ran
    }

    /// Runs the guest.
    fn run(&mut self, words: &[&str]) -> Run<'a> {
        let ran = self.call(self.yard.command(words));
        self.yard.ended(ran)
    }

    /// Runs `ops` with these words.
    fn ops(&mut self, words: &[&str]) -> Ran {
        let mut command = self.yard.scratch.command();
        command.args(words);
        self.call(command)
    }

    /// Checks that a secret is nowhere, in no spelling.
    #[track_caller]
    fn holds_nothing_of(&self, secret: &str) {
        assert_eq!(self.files_with(secret), <[&str; 0]>::default(), "they hold `{secret}`");
    }

    /// The files that hold a secret in some spelling, each with the spelling. It must not have been printed.
    #[track_caller]
    fn files_with(&self, secret: &str) -> Vec<String> {
        let (files, forms) = (self.yard.files(), forms::of(secret));
        for (how, form) in &forms {
            assert!(!contains(self.printed.as_bytes(), form.as_bytes()), "`{secret}` was printed, {how}");
        }
        let holds = |content: &[u8]| forms.iter().find(|(_, form)| contains(content, form.as_bytes()));
        let found = files.iter().filter_map(|(path, content)| Some((path, holds(content)?.0)));
        found.map(|(path, how)| format!("{} ({how})", path.display())).collect()
    }
}

/// A server that hands back the token and the password that it was sent, in every spelling that it knows, in its
/// header fields and in its body.
fn echoing() -> Server {
    Server::start(|seen, _| {
        let mut fields = Vec::new();
        let mut body = String::from_utf8_lossy(&seen.body).into_owned();
        for (name, secret) in [("x-token-was", token(seen)), ("x-password-was", password(seen))] {
            fields.push((name, secret.clone()));
            for (_, form) in forms::around(&secret) {
                fields.push(("x-echo", form.clone()));
                body.push_str(&format!("\n{form}"));
            }
        }
        Reply::Fields(200, fields, body)
    })
}

fn token(seen: &Seen) -> String {
    seen.header("x-token").unwrap_or_default().trim_start_matches("Token ").to_owned()
}

fn password(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    body["auth"]["password"].as_str().unwrap_or_default().to_owned()
}
