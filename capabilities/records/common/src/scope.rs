//! A loop's scope file: front matter that programs read, and a text for people in which the acceptance stands.

mod front;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use ops_guest::{Ctx, Failure};
use serde_json::{Map, Value};

use crate::acceptance::Body;
use crate::finding::Finding;
use crate::surgery::{Lines, behind};
use crate::{evidence, time, word, yaml};
pub use front::{Front, Horizon, Readiness, Shown, Status};

/// How the files' names end.
const END: &str = ".scope.md";
/// How many loops a workspace has at most.
const MOST: usize = 5_000;
/// The longest scope file, in bytes.
const LONGEST: u64 = 256 << 10;
/// The word of a proof for the linked gaps: each is closed, or needs not be.
pub const LINKED_GAPS: &str = "linked-gaps";

/// A scope file, read.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The front matter.
    pub front: Front,
    /// What the text says to programs: acceptance and linked gaps.
    pub body: Body,
    /// The whole file.
    text: String,
    /// How many lines the front matter has, with its two fences.
    fence: usize,
}

impl Scope {
    /// The scope of a loop.
    ///
    /// # Errors
    /// `InvalidInput` where the id is none, `Conflict` where there is no such loop, `Failed` where its file is not as it
    /// should be.
    pub fn of(ctx: &Ctx, id: &str) -> Result<Self, Failure> {
        word::check_loop_id(id)?;
        let path = path(ctx, id);
        match std::fs::metadata(&path) {
            Ok(file) if file.len() > LONGEST => {
                let what = format!("the file is longer than {LONGEST} bytes");
                Err(Finding::new(&file_of(id), 1, what, "move what is long into a document").into())
            }
            Ok(_) => {
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|error| Failure::failed(format!("{}: {error}", file_of(id))))?;
                Ok(Self::parse(id, text)?)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::conflict(format!(
                "there is no loop {id} ({}); `loops.list --status all` shows those there are",
                file_of(id)
            ))),
            Err(error) => Err(Failure::failed(format!("{}: {error}", file_of(id)))),
        }
    }

    /// The scope of a loop that is not closed, which something can belong to.
    ///
    /// # Errors
    /// As of [`Scope::of`]; `Conflict` where the loop is closed.
    pub fn to_work_on(ctx: &Ctx, id: &str) -> Result<Self, Failure> {
        let scope = Self::of(ctx, id)?;
        if scope.front.status == Status::Closed {
            return Err(Failure::conflict(format!("{id} is closed; name a loop that is not, or create one")));
        }
        Ok(scope)
    }

    /// Reads the text of the scope file of this loop.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn parse(id: &str, text: String) -> Result<Self, Finding> {
        let file = file_of(id);
        let fences: Vec<usize> = text
            .split_inclusive('\n')
            .enumerate()
            .filter(|(_, line)| line.trim_end() == "---")
            .map(|(number, _)| number)
            .take(2)
            .collect();
        let &[0, last] = fences.as_slice() else {
            let what = "the file does not begin with front matter";
            return Err(Finding::new(&file, 1, what, "write it between two lines `---`"));
        };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        // An empty line in the place of the fence: errors tell the lines of the file.
        let front = lines.get(1..last).map_or_else(String::new, |lines| format!("\n{}", lines.concat()));
        let front: Front = yaml::read(&file, &front)?;
        let body = lines.get(last + 1..).map_or_else(String::new, |lines| lines.concat());
        let body = Body::parse(&body, last + 1);
        let scope = Self { front, body, text, fence: last + 1 };
        match scope.fault(id) {
            Some((key, what, fix)) => {
                let line = Lines::new(&scope.text).key(&Lines::margin(1..last), key).unwrap_or(0);
                Err(Finding::new(&file, line + 1, what, fix))
            }
            None => Ok(scope),
        }
    }

    /// What does not fit together: at which key, what, and what to do.
    fn fault(&self, id: &str) -> Option<(&'static str, String, &'static str)> {
        let front = &self.front;
        if front.loop_id != id || !word::is_loop_id(id) {
            let what = format!("the loop is {:?}, and the file is named for {id:?}", front.loop_id);
            return Some(("loop_id", what, "name the file for the loop: LOOP-….scope.md"));
        }
        if !time::is_date(&front.created) && !time::is_time(&front.created) {
            return Some(("created", "`created` is no date".to_owned(), "write it like 2026-03-02"));
        }
        let texts = [("owner", &front.owner), ("scope", &front.scope), ("objective", &front.objective)];
        for (key, text) in texts {
            if text.trim().is_empty() || !word::is_shown_as_it_is(text, true) {
                let what = format!("`{key}` is empty, or has characters that cannot be shown");
                return Some((key, what, "say it in words"));
            }
        }
        let closed = front.status == Status::Closed;
        if closed != front.closed_at.as_deref().is_some_and(time::is_time) {
            let what = "a closed loop has the time `closed_at`, and no other has".to_owned();
            return Some(("status", what, "close it with `ops loops close`"));
        }
        let count = self.body.acceptance.len();
        if !front.proof.is_empty() && front.proof.len() != count {
            let what =
                format!("`proof` has {} entries, and the acceptance has {count} lines", front.proof.len());
            return Some(("proof", what, "give each line its entry, in the order of the lines"));
        }
        if front.proof.iter().any(Vec::is_empty) {
            let what = "an entry of `proof` names nothing".to_owned();
            return Some(("proof", what, "name the capabilities whose runs show the line, or linked-gaps"));
        }
        if let Some(word) = front.proof.iter().flatten().find(|word| !is_proof(word)) {
            let what = format!("`proof` names {word:?}, which is neither a capability nor linked-gaps");
            return Some(("proof", what, "name capabilities as `ops cap list` does"));
        }
        for shown in &front.evidence {
            if let Some(key) = shown.runs.iter().find(|key| !evidence::is_run_key(key)) {
                let what = format!("`evidence` names {key:?}, which is no run key");
                return Some(("evidence", what, "name runs; `ops receipts list` shows their keys"));
            }
            if shown.line == 0 || usize::try_from(shown.line).is_ok_and(|line| line > count) {
                let what = format!("`evidence` is for line {}, and the acceptance has {count}", shown.line);
                return Some(("evidence", what, "count the lines of the acceptance from 1"));
            }
        }
        None
    }

    /// The whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file as it is when it is closed. The text for people stays as it is, byte for byte.
    ///
    /// # Errors
    /// `Failed` where the front matter is written in a way that cannot be changed by the line.
    pub fn closed(&self, at: String, evidence: Vec<Shown>) -> Result<Self, Failure> {
        let mut wanted = self.front.clone();
        (wanted.status, wanted.closed_at, wanted.evidence) = (Status::Closed, Some(at), evidence);
        let unchangeable = || {
            Failure::failed(format!(
                "{}: its front matter is written in a way that cannot be changed by the line; write one field a line",
                file_of(&wanted.loop_id)
            ))
        };
        let (old, new) = (fields(&self.front)?, fields(&wanted)?);
        let mut lines = Lines::new(&self.text);
        let mut block = Lines::margin(1..self.fence - 1);
        for key in Front::FIELDS.iter().rev().filter(|key| old.get(**key) != new.get(**key)) {
            let written = new.get(*key).map(|value| lines.set(&mut block, key, &written(value), "status"));
            if written != Some(true) {
                return Err(unchangeable());
            }
        }
        let new = Self::parse(&wanted.loop_id, lines.to_string())?;
        let same = new.front == wanted && new.rest() == self.rest();
        if same { Ok(new) } else { Err(unchangeable()) }
    }

    /// What follows the front matter.
    fn rest(&self) -> Vec<&str> {
        self.text.lines().skip(self.fence).collect()
    }

    /// A new scope file: this front matter, and this text.
    ///
    /// # Errors
    /// `Failed` where it does not read back.
    pub fn new(front: &Front, body: &str) -> Result<Self, Failure> {
        let values = fields(front)?;
        let mut text = "---\n".to_owned();
        for key in Front::FIELDS {
            if let Some(value) = values.get(key) {
                text.push_str(&format!("{key}:{}\n", behind(&written(value))));
            }
        }
        text.push_str("---\n\n");
        text.push_str(body);
        let scope = Self::parse(&front.loop_id, text)?;
        if scope.front != *front {
            return Err(Failure::failed(format!("{} does not read back", file_of(&front.loop_id))));
        }
        Ok(scope)
    }

    /// Stages the file.
    ///
    /// # Errors
    /// `Failed` where the directory is not granted for staging.
    pub fn write(&self, ctx: &Ctx) -> Result<(), Failure> {
        let id = &self.front.loop_id;
        std::fs::write(path(ctx, id), &self.text).map_err(|error| {
            Failure::failed(format!(
                "{} cannot be staged ({error}); grant the directory `loops` with `access: stage` and pin again",
                file_of(id)
            ))
        })
    }
}

/// All loops by their ids.
///
/// # Errors
/// `Failed` where the directory is not granted, or one of the files is not as it should be.
pub fn all(ctx: &Ctx) -> Result<BTreeMap<String, Scope>, Failure> {
    ids(ctx)?.into_iter().map(|id| Ok((id.clone(), Scope::of(ctx, &id)?))).collect()
}

/// The ids of all loops, in their order.
///
/// # Errors
/// `Failed` where the directory is not granted, or has a scope file whose name is none.
pub fn ids(ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let wrong = |error| {
        Failure::failed(format!(
            "the loops cannot be read ({error}); grant the directory `loops` and pin again"
        ))
    };
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(ctx.directory("loops")).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(END)) else { continue };
        if !word::is_loop_id(id) {
            let found = Finding::new(&file_of(id), 1, "its name is no id of a loop", "rename it");
            return Err(found.into());
        }
        ids.push(id.to_owned());
    }
    if ids.len() > MOST {
        return Err(Failure::failed(format!("there are more than {MOST} loops; move closed ones elsewhere")));
    }
    ids.sort();
    Ok(ids)
}

/// The file of a loop, relative to the workspace.
pub fn file_of(id: &str) -> String {
    format!("loops/{id}{END}")
}

fn path(ctx: &Ctx, id: &str) -> PathBuf {
    ctx.directory("loops").join(format!("{id}{END}"))
}

fn is_proof(word: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    let word = word.strip_suffix(evidence::DRY).unwrap_or(word);
    word == LINKED_GAPS || (word.contains('.') && word.len() <= 100 && word.split('.').all(name))
}

/// A value behind a key at the margin: a list of maps or lists with one of them a line.
fn written(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().any(|row| row.is_object() || row.is_array()) => {
            rows.iter().map(|row| format!("\n  - {}", yaml::flow(row))).collect()
        }
        value => yaml::flow(value),
    }
}

fn fields(front: &Front) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(front)? {
        Value::Object(fields) => Ok(fields),
        other => Err(Failure::failed(format!("front matter is no object: {other}"))),
    }
}

#[cfg(test)]
mod tests;
