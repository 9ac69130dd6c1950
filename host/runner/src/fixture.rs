//! A real run as a test of its capability: `fixture.json`, which `ops_guest::testing::World::fixture` loads.
//!
//! In this order: the recording is checked as for a replay; every text that came from outside is replaced (arguments,
//! config, contracts, files and their names, answers); the component runs again in the sandbox in that world, and what it asks and
//! returns there is what the test will expect. So nothing of the real run is in the expectations that is not in the
//! inputs. It runs twice, with two fixed seeds: a word that differs comes from random bytes, and the fixture has
//! `[random]` in its place, which stands for any one word. The run's own seed is a secret and is in no fixture.

mod form;
mod placeholders;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ops_ledger::store::Ledger;
use ops_policy::message::{
    Call, CallError, Failure, Header, Input, Invoked, NetError, Request, Response, Undo,
};
use ops_sandbox::component::Component;
use ops_sandbox::job::End;
use ops_sandbox::tree;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};

use self::placeholders::Placeholders;
use self::script::Script;
use crate::ending::Ending;
use crate::journal::{Answer, Entry, Question};
use crate::recording::{Ended, Recorded, Recording, RecordingError, blob};
use crate::replay::{Given, Restored};
use crate::runner::Runner;
use crate::workspace::replace;

/// The format's version, in every fixture.
const VERSION: u32 = 1;
/// Stands for one word that comes from random bytes.
const RANDOM: &str = "[random]";
/// Header fields of answers whose values stay: they steer a client and tell nothing.
const PLAIN_FIELDS: [&str; 3] = ["content-type", "content-length", "retry-after"];

/// What became of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// How many questions it answers.
    pub crossings: usize,
    /// Where the capability left the way of the real run, if it did: its placeholders were no good there.
    pub departed: Option<String>,
}

impl Runner {
    /// Writes the last phase of a run as a fixture into a folder. `keep` are names of fields, or JSON pointers, whose
    /// texts stay as they are.
    ///
    /// # Errors
    ///
    /// There is no such run; it cannot be replayed; the host stopped it; something that it saw is no text; the file
    /// cannot be written.
    pub fn export_fixture(&self, key: &str, folder: &Path, keep: &[String]) -> Result<Exported, Ending> {
        let stored = self.ledger().receipt(key)?;
        let (document, crossings, departed) = self
            .checked_recording(&stored)
            .and_then(|checked| self.fixture(&checked.recording, keep))
            .map_err(|error| Ending::denied("fixture", format!("{key}: no fixture can be made: {error}")))?;
        let fail = |error: &dyn std::fmt::Display| Ending::usage(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| fail(&error))?;
        let file = folder.join("fixture.json");
        let mut text = serde_json::to_string_pretty(&document).map_err(|error| fail(&error))?;
        text.push('\n');
        replace(&file, text.as_bytes(), 0o644).map_err(|error| fail(&error))?;
        Ok(Exported { file, crossings, departed })
    }

    fn fixture(
        &self,
        recording: &Recording,
        keep: &[String],
    ) -> Result<(Value, usize, Option<String>), RecordingError> {
        let phase = recording.phases.last().ok_or_else(|| refused("no guest ran"))?;
        if !matches!(phase.end, Ended::Output(_) | Ended::Failed(_)) {
            return Err(refused("the host stopped the run, so there is nothing that a test could expect"));
        }
        let entries = recording.entries(self.ledger(), phase)?;
        let mut made = Placeholders::new(keep);
        // Twice: a text of the last answer tells that the same one, as a field's name in the arguments, is data.
        self.veiled(recording, phase, &entries, &mut made)?;
        let (input, given, entries) = self.veiled(recording, phase, &entries, &mut made)?;
        let anew = Recording { input, ..recording.clone() };
        let component = self.recorded_component(recording)?;
        let engine = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let engine = engine.map_err(|error| RecordingError::Damaged(format!("no runtime: {error}")))?;
        let again = |seed: u8| {
            let phase = Recorded { seed: hex::encode([seed; 32]), ..phase.clone() };
            engine.block_on(self.scripted(&component, &anew, &phase, &given, entries.clone()))
        };
        let (one, other) = (again(1)?, again(2)?);
        let departed = one.departed.clone().or_else(|| {
            let same = matches!(phase.end, Ended::Output(_)) == one.end.get("output").is_some();
            (!same).then(|| "it ended in another way".to_owned())
        });
        let crossings = one.crossings.iter().zip(&other.crossings).map(|(one, other)| randomless(one, other));
        let crossings: Vec<_> = crossings.collect();
        let end = randomless(&one.end, &other.end);
        let document = json!({
            "version": VERSION,
            "capability": recording.capability,
            "phase": phase.phase,
            "clock": {"seconds": phase.clock.seconds, "nanoseconds": phase.clock.nanoseconds},
            "arguments": parse(&anew.input.arguments)?,
            "config": parse(&anew.input.config)?,
            "services": anew.input.services,
            "contracts": texts(&given.contracts),
            "directories": given.folders.iter().map(|(name, files)| (name.clone(), texts(files))).collect::<BTreeMap<_, _>>(),
            "crossings": crossings,
            "end": end,
        });
        Ok((document, crossings.len(), departed))
    }

    /// What the capability was given and answered, with its texts replaced.
    fn veiled(
        &self,
        recording: &Recording,
        phase: &Recorded,
        entries: &[Entry],
        made: &mut Placeholders,
    ) -> Result<(Input, Given, Vec<Entry>), RecordingError> {
        let input = Input {
            arguments: made.json(&parse(&recording.input.arguments)?).to_string(),
            config: made.json(&parse(&recording.input.config)?).to_string(),
            services: recording.input.services.clone(),
        };
        let given = given(self.ledger(), recording, phase, made)?;
        let entries = entries.iter().map(|entry| veiled(entry, made)).collect::<Result<Vec<_>, _>>()?;
        Ok((input, given, entries))
    }

    /// Runs the component with these answers. Returns what it asked and how it ended, and where it left the way.
    async fn scripted(
        &self,
        component: &Component,
        recording: &Recording,
        phase: &Recorded,
        given: &Given,
        entries: Vec<Entry>,
    ) -> Result<Way, RecordingError> {
        let world = Restored::with(self.workspace().state(), given)?;
        let script = Arc::new(Mutex::new(Script::new(entries)));
        let end = self.take(component, recording, phase, &world, script.clone(), &Notify::new()).await?;
        let script = script.lock().await;
        let departed = match (&script.departed, script.left()) {
            (Some(departed), _) => Some(departed.clone()),
            (None, 0) => None,
            (None, left) => Some(format!("it ended {left} questions early, with {}", ended(&end))),
        };
        Ok(Way { crossings: script.crossed.iter().map(crossing).collect(), end: ended(&end), departed })
    }
}

/// The way that a capability took.
struct Way {
    /// What it asked and was answered.
    crossings: Vec<Value>,
    end: Value,
    /// Where it left the way of the real run.
    departed: Option<String>,
}

/// Contracts and files with their texts replaced, and the names of the files: the guest and the test see those. The
/// names of contracts and folders are those of the capability's manifest and stay.
fn given(
    ledger: &Ledger,
    recording: &Recording,
    phase: &Recorded,
    made: &mut Placeholders,
) -> Result<Given, RecordingError> {
    let mut given = Given::default();
    let veil = |digest, made: &mut Placeholders| {
        let bytes = blob(ledger, &recording.run, digest)?;
        let text = String::from_utf8(bytes).map_err(|_| refused("a file that it saw is no text"))?;
        Ok::<_, RecordingError>(content(&text, made).into_bytes())
    };
    for (name, digest) in &recording.contracts {
        given.contracts.push((name.clone(), veil(digest, made)?));
    }
    for folder in &phase.folders {
        let mut files = Vec::new();
        for (path, entry) in &folder.tree.entries {
            match entry {
                tree::Entry::File { digest, .. } => files.push((made.file(path), veil(digest, made)?)),
                tree::Entry::Directory { .. } => {
                    given.directories.push(format!("{}/{}", folder.name, made.file(path)));
                }
            }
        }
        given.folders.push((folder.name.clone(), files));
    }
    Ok(given)
}

/// JSON as JSON, everything else word by word.
fn content(text: &str, made: &mut Placeholders) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => made.json(&value).to_string(),
        _ => made.words(text),
    }
}

/// An entry whose answer has placeholders. Its question is only compared by its shape.
fn veiled(entry: &Entry, made: &mut Placeholders) -> Result<Entry, RecordingError> {
    let answer = match &entry.answer {
        Answer::Response(response) => {
            let text =
                std::str::from_utf8(&response.body).map_err(|_| refused("an answer's body is no text"))?;
            let body = content(text, made).into_bytes();
            let field = |Header { name, value }: &Header| {
                let plain = PLAIN_FIELDS.contains(&name.as_str());
                let value = if plain { value.clone() } else { made.text(value) };
                Header { name: made.header(name), value }
            };
            let headers = response.headers.iter().map(field).collect();
            Answer::Response(Response { status: response.status, headers, body })
        }
        Answer::Error(error) => Answer::Error(silent(error)),
        Answer::Invoked(answers) => {
            Answer::Invoked(answers.iter().map(|answer| silent_call(answer, made)).collect())
        }
        other => other.clone(),
    };
    if matches!(entry.question, Question::FetchUrl(_) | Question::Malformed { .. }) {
        return Err(refused("it asks by plain wasi:http, which no scripted world answers"));
    }
    Ok(Entry { answer, ..entry.clone() })
}

/// The same error without its text, which names hosts and addresses.
fn silent(error: &NetError) -> NetError {
    let why = || "as recorded".to_owned();
    match error {
        NetError::NotGranted(_) => NetError::NotGranted(why()),
        NetError::InvalidRequest(_) => NetError::InvalidRequest(why()),
        NetError::Unreachable(_) => NetError::Unreachable(why()),
        NetError::Tls(_) => NetError::Tls(why()),
        NetError::Timeout(_) => NetError::Timeout(why()),
        NetError::Connection(_) => NetError::Connection(why()),
        NetError::TooLarge(_) => NetError::TooLarge(why()),
        NetError::Limit(_) => NetError::Limit(why()),
    }
}

/// What came of a call, its output word by word.
fn silent_call(answer: &Invoked, made: &mut Placeholders) -> Invoked {
    let outcome = match &answer.outcome {
        Ok(output) => Ok(content(output, made)),
        Err(CallError::NotGranted(_)) => Err(CallError::NotGranted("as recorded".to_owned())),
        Err(CallError::Failed(_)) => Err(CallError::Failed("as recorded".to_owned())),
    };
    let run = answer.run.as_deref().map(|run| made.text(run));
    Invoked { run, milliseconds: answer.milliseconds, outcome }
}

fn crossing(entry: &Entry) -> Value {
    let answer = match &entry.answer {
        Answer::Response(response) => json!({
            "status": response.status, "headers": fields(&response.headers), "body": body(&response.body),
        }),
        Answer::Error(error) => json!({"error": error}),
        Answer::Planned | Answer::Refused => json!("planned"),
        Answer::Invoked(answers) => answers.iter().map(invoked).collect(),
    };
    match &entry.question {
        Question::Perform(effect) => {
            let undo = match &effect.undo {
                Undo::Request(back) => json!({"request": asked(back)}),
                Undo::ByHand(text) => json!({"by_hand": text}),
                Undo::Impossible(text) => json!({"impossible": text}),
            };
            json!({
                "effect": asked(&effect.request), "summary": effect.summary, "undo": undo, "answer": answer,
                "clock": entry.clock,
            })
        }
        Question::Fetch(request) => json!({"read": asked(request), "answer": answer, "clock": entry.clock}),
        Question::Invoke(calls) => {
            let calls: Vec<_> = calls.iter().map(called).collect();
            json!({"invoke": calls, "answer": answer, "clock": entry.clock})
        }
        Question::FetchUrl(_) | Question::Malformed { .. } => Value::Null,
    }
}

fn called(call: &Call) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    json!({"capability": call.capability, "arguments": arguments})
}

fn invoked(answer: &Invoked) -> Value {
    let (name, what) = match &answer.outcome {
        Ok(output) => ("output", serde_json::from_str(output).unwrap_or_default()),
        Err(CallError::NotGranted(why)) => ("not_granted", json!(why)),
        Err(CallError::Failed(why)) => ("failed", json!(why)),
    };
    json!({"run": answer.run, "milliseconds": answer.milliseconds, name: what})
}

fn asked(request: &Request) -> Value {
    json!({
        "service": request.service, "method": request.method, "path": request.path,
        "headers": fields(&request.headers), "body": request.body.as_deref().map(body),
    })
}

fn fields(headers: &[Header]) -> Value {
    headers.iter().map(|field| json!([field.name, field.value])).collect()
}

/// A body as JSON where it is an object or a list, else as text.
fn body(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => json!({"json": value}),
        _ => json!({"text": String::from_utf8_lossy(bytes)}),
    }
}

fn ended(end: &End) -> Value {
    match end {
        End::Output(output) => json!({"output": serde_json::from_str::<Value>(output).unwrap_or_default()}),
        End::Failed(failure) => json!({"failure": failure_text(failure)}),
        other => json!({"stopped": format!("{other:?}")}),
    }
}

fn failure_text(failure: &Failure) -> Value {
    json!(failure)
}

/// The first value, with `[random]` for each word of a text in which the two differ.
fn randomless(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Value::String(randomless_text(one, other)),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).map(|(one, other)| randomless(one, other)).collect()
        }
        (Value::Object(one), Value::Object(other)) => {
            let field = |(name, value): (&String, &Value)| {
                (
                    name.clone(),
                    other.get(name).map_or_else(|| value.clone(), |other| randomless(value, other)),
                )
            };
            Value::Object(one.iter().map(field).collect())
        }
        _ => one.clone(),
    }
}

fn randomless_text(one: &str, other: &str) -> String {
    let split = |text: &str| -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut in_word = None;
        for c in text.chars() {
            let word = c.is_alphanumeric();
            match words.last_mut().filter(|_| in_word == Some(word)) {
                Some(last) => last.push(c),
                None => words.push(c.into()),
            }
            in_word = Some(word);
        }
        words
    };
    let (words, others) = (split(one), split(other));
    if words.len() != others.len() {
        return RANDOM.to_owned();
    }
    words.iter().zip(&others).map(|(one, other)| if one == other { one } else { RANDOM }).collect()
}

fn texts(files: &[(String, Vec<u8>)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, bytes)| (name.clone(), String::from_utf8_lossy(bytes).into_owned())).collect()
}

fn parse(text: &str) -> Result<Value, RecordingError> {
    serde_json::from_str(text).map_err(|error| RecordingError::Damaged(error.to_string()))
}

fn refused(why: &str) -> RecordingError {
    RecordingError::None { code: "fixture", why: why.to_owned() }
}
