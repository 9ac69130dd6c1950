//! The API of Proxmox VE, as far as machines are made and filled with it.
//!
//! Everything below `/api2/json`. Bodies are JSON, which Proxmox VE takes besides forms, because the host checks and
//! rewrites JSON; flags in them are 0 and 1. Answers are `{"data": …}`, errors have a `message` and, for parameters,
//! `errors`. Long work answers with the id of a task (UPID), which is asked about until it has stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use ops_guest::{Ctx, Failure, Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The name under which a binding maps the server.
pub const SERVICE: &str = "pve";
/// How often a task or a process is asked about.
const EVERY: Duration = Duration::from_secs(2);
/// The longest task id that is taken, in characters.
const LONGEST_UPID: usize = 200;
/// How much of a server's text is passed on, in characters.
const EXCERPT: usize = 300;

/// A VM at its node.
#[derive(Clone, Debug)]
pub struct Vm<'a> {
    /// The node.
    pub node: &'a str,
    /// Its number.
    pub id: u32,
}

impl Vm<'_> {
    /// The path of something of this VM; `rest` is empty or begins with a slash.
    pub fn path(&self, rest: &str) -> String {
        format!("/api2/json/nodes/{}/qemu/{}{rest}", self.node, self.id)
    }

    /// A `GET` of something of this VM.
    pub fn get(&self, rest: &str) -> Request {
        Request::get(SERVICE, self.path(rest))
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// What an answer holds.
///
/// # Errors
/// `Failed` if it is not in the form of the API.
pub fn data<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    Ok(response.json::<Envelope<T>>()?.data)
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: BTreeMap<String, Value>,
}

/// What the server says is wrong, in a line.
pub fn refusal(response: &Response) -> String {
    let refusal: Refusal = response.json().unwrap_or_default();
    let fields = refusal.errors.iter().map(|(field, why)| match why {
        Value::String(why) => format!("{field}: {why}"),
        other => format!("{field}: {other}"),
    });
    let told: Vec<_> = std::iter::once(refusal.message.trim().to_owned()).chain(fields).collect();
    let told = excerpt(
        &told.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
    );
    if told.is_empty() { format!("status {}", response.status) } else { told }
}

/// A server's text for one line: blanks in place of line breaks, and only so much of it.
pub fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(EXCERPT).collect();
    if line.chars().nth(EXCERPT).is_some() {
        short.push('…');
    }
    short
}

/// A task that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id, for the server's log.
    pub upid: String,
    /// How long it took, in whole seconds.
    pub seconds: u64,
}

#[derive(Deserialize)]
struct TaskStatus {
    status: String,
    exitstatus: Option<String>,
}

/// Waits until the task that an effect was answered with has stopped. `what` names the work, for example
/// `the clone of VM 214`.
///
/// # Errors
/// `Failed` if the answer names no task, if the task ends otherwise than well, or not in `timeout`.
pub fn finished(
    ctx: &Ctx,
    node: &str,
    answer: &Response,
    what: &str,
    timeout: Duration,
) -> Result<Task, Failure> {
    let upid: String = data(answer)?;
    if !is_upid(&upid) {
        return Err(Failure::failed(format!(
            "the server answered {what} with {:?}, which is no task",
            excerpt(&upid)
        )));
    }
    let start = ctx.elapsed();
    let exit = ctx.poll(what, EVERY, timeout, || {
        let request = Request::get(SERVICE, format!("/api2/json/nodes/{node}/tasks/{upid}/status"));
        let task: TaskStatus = data(&ctx.fetch(request)?)?;
        match (task.status.as_str(), task.exitstatus) {
            ("stopped", exit) => Ok(Some(exit.unwrap_or_else(|| "no exit status".to_owned()))),
            _ => Ok(None),
        }
    })?;
    // A task with warnings has done its work; the server keeps what it warned of.
    if exit != "OK" && !exit.starts_with("WARNINGS:") {
        return Err(Failure::failed(format!(
            "the task of {what} ended with: {}; the server's log of it is that of {upid}",
            excerpt(&exit)
        )));
    }
    Ok(Task { seconds: ctx.elapsed().saturating_sub(start).as_secs(), upid })
}

/// A task id becomes a part of a path, where other characters would have a meaning.
fn is_upid(text: &str) -> bool {
    text.starts_with("UPID:")
        && text.len() <= LONGEST_UPID
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":!@._-".contains(&byte))
}

/// A value of a query, percent-encoded but for what every server reads in the same way.
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(body: &str) -> Response {
        Response { status: 500, headers: vec![], body: body.into() }
    }

    #[test]
    fn refusals_are_told_in_a_line() {
        for (body, told) in [
            (r#"{"data": null, "message": "no such VM\n"}"#, "no such VM"),
            (
                r#"{"errors": {"vmid": "VM 9000 already exists"}, "message": "Parameter verification failed.\n"}"#,
                "Parameter verification failed.; vmid: VM 9000 already exists",
            ),
            (r#"{"data": null}"#, "status 500"),
            ("<html>", "status 500"),
        ] {
            assert_eq!(refusal(&answer(body)), told);
        }
        assert_eq!(excerpt(&"x".repeat(301)).chars().count(), 301);
    }

    #[test]
    fn a_task_id_stays_one_segment() {
        assert!(is_upid("UPID:pve1:000003E8:00001B58:6B02A11F:qmclone:9000:root@pam!ops:"));
        for bad in ["", "UPID:a/../b", "UPID:a b", "UPID:a?b", "upid:a", &format!("UPID:{}", "a".repeat(200))]
        {
            assert!(!is_upid(bad), "{bad:?}");
        }
    }

    #[test]
    fn values_are_encoded() {
        assert_eq!(encode("/etc/a b+c&d=é"), "%2Fetc%2Fa%20b%2Bc%26d%3D%C3%A9");
    }

    proptest! {
        /// Whatever a server answers becomes one short line.
        #[test]
        fn any_refusal_is_one_line(body in any::<Vec<u8>>(), message in any::<String>()) {
            let told = serde_json::json!({"message": message, "errors": {message.clone(): message}}).to_string();
            for body in [body, told.into_bytes()] {
                let told = refusal(&Response { status: 500, headers: vec![], body });
                prop_assert!(!told.is_empty() && !told.contains('\n') && told.chars().count() <= EXCERPT + 1);
            }
        }

        /// No text ends a value of a query, or begins another one.
        #[test]
        fn any_text_stays_one_value(text in any::<String>()) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            prop_assert!(encode(&text).bytes().all(plain));
        }
    }
}
