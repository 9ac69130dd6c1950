//! The file of all gaps, and how it is changed.
//!
//! Each change goes the same way: the lines that are meant are written anew, the result is read again, strictly, and
//! compared with what was meant. Only then it is staged.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use ops_guest::{Ctx, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::finding::Finding;
use crate::gap::Gap;
use crate::surgery::{Lines, List};
use crate::{time, word, yaml};

/// The file's name in the directory `gaps`.
pub const NAME: &str = "operational.gaps.yaml";
/// The file, relative to the workspace.
pub const FILE: &str = "gaps/operational.gaps.yaml";
/// How many gaps a file holds at most.
const MOST: usize = 5_000;
/// A file that lists none.
const EMPTY: &str = "# What is known to be missing or wrong. `ops cap run gaps.file` adds to it, `gaps.close` closes.\n\
                     version: 1\nupdated: 1970-01-01\ngaps: []\n";

/// The file as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gaps {
    /// The version of this form.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The day of the last change.
    #[schemars(length(max = 20))]
    pub updated: String,
    /// Open ones and closed ones.
    #[schemars(length(max = 5000))]
    pub gaps: Vec<Gap>,
}

/// The file, read.
#[derive(Clone, Debug)]
pub struct GapFile {
    text: String,
    gaps: Gaps,
}

impl GapFile {
    /// The file of the directory `gaps`; where there is none yet, one that lists nothing.
    ///
    /// # Errors
    /// `Failed` where the directory is not granted, or the file is not as it should be.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        match std::fs::read_to_string(path(ctx)) {
            Ok(text) => Ok(Self::parse(text)?),
            Err(error) if error.kind() == ErrorKind::NotFound && ctx.directory("gaps").is_dir() => {
                Ok(Self::parse(EMPTY.to_owned())?)
            }
            Err(error) => Err(Failure::failed(format!(
                "{FILE} cannot be read ({error}); grant the directory `gaps` in the binding and pin again"
            ))),
        }
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn parse(text: String) -> Result<Self, Finding> {
        let gaps: Gaps = yaml::read(FILE, &text)?;
        let file = Self { text, gaps };
        file.check().map_or(Ok(()), Err)?;
        Ok(file)
    }

    fn check(&self) -> Option<Finding> {
        let top = |what: &str, fix: &str| Some(Finding::new(FILE, 1, what, fix));
        if self.gaps.version != 1 {
            return top("the version is not 1", "write `version: 1`");
        }
        if !time::is_date(&self.gaps.updated) && !time::is_time(&self.gaps.updated) {
            return top("`updated` is no date", "write it like 2026-03-02");
        }
        if self.gaps.gaps.len() > MOST {
            return top("it lists more than 5000 gaps", "move what is closed into another file");
        }
        let mut seen = BTreeMap::new();
        for (place, gap) in self.gaps.gaps.iter().enumerate() {
            let found = gap.fault().map(|(what, fix)| (what, fix.to_owned()));
            let twin = seen.insert(gap.id.as_str(), place).map(|first| {
                (
                    format!("{} is listed twice, first on line {}", gap.id, self.line(first)),
                    "give one of them a number of its own".to_owned(),
                )
            });
            if let Some((what, fix)) = found.or(twin) {
                return Some(Finding::new(FILE, self.line(place), what, fix));
            }
        }
        None
    }

    /// All gaps, in the file's order.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps.gaps
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The gap with this id.
    ///
    /// # Errors
    /// `Conflict` where there is none.
    pub fn find(&self, id: &str) -> Result<&Gap, Failure> {
        self.gaps.gaps.iter().find(|gap| gap.id == id).ok_or_else(|| {
            Failure::conflict(format!("{FILE} has no {id}; `gaps.list --status all` shows what it has"))
        })
    }

    /// The line of a gap, from 1; 1 where its lines cannot be told.
    pub fn line_of(&self, id: &str) -> usize {
        self.gaps.gaps.iter().position(|gap| gap.id == id).map_or(1, |place| self.line(place))
    }

    fn line(&self, place: usize) -> usize {
        let list =
            Lines::new(&self.text).list("gaps").filter(|list| list.items.len() == self.gaps.gaps.len());
        list.and_then(|list| list.items.get(place).map(|item| item.lines.start + 1)).unwrap_or(1)
    }

    /// The id behind the highest one.
    pub fn next_id(&self) -> String {
        let highest = self.gaps.gaps.iter().filter_map(|gap| word::number(&gap.id)).max();
        word::gap_id(highest.unwrap_or(0) + 1)
    }

    /// Adds a gap at the end.
    ///
    /// # Errors
    /// `Failed` where the file cannot be changed so; it is then as it was.
    pub fn add(&mut self, gap: Gap, today: &str) -> Result<(), Failure> {
        let mut lines = Lines::new(&self.text);
        let list = self.list(&lines)?;
        let values = fields(&gap)?;
        let written: Vec<_> =
            Gap::FIELDS.iter().filter_map(|key| Some((*key, yaml::flow(values.get(*key)?)))).collect();
        lines.push(&list, &written);
        let mut wanted = self.gaps.clone();
        wanted.gaps.push(gap);
        self.become_text(lines, wanted, today)
    }

    /// Puts another gap in the place of the one with its id: the fields that differ are written, no others.
    ///
    /// # Errors
    /// `Failed` where the file cannot be changed so; it is then as it was.
    pub fn replace(&mut self, gap: Gap, today: &str) -> Result<(), Failure> {
        let mut lines = Lines::new(&self.text);
        let list = self.list(&lines)?;
        let place = self.gaps.gaps.iter().position(|known| known.id == gap.id);
        let known = place.and_then(|place| Some((list.items.get(place)?, self.gaps.gaps.get(place)?, place)));
        let Some((block, old, place)) = known else { return Err(self.unchangeable(1)) };
        let (old, new) = (fields(old)?, fields(&gap)?);
        let mut block = block.clone();
        // What is put in goes behind one line, so the last goes first.
        for key in Gap::FIELDS.iter().rev().filter(|key| old.get(**key) != new.get(**key)) {
            let written = new.get(*key).map(|value| lines.set(&mut block, key, &yaml::flow(value), "status"));
            if written != Some(true) {
                return Err(self.unchangeable(block.lines.start + 1));
            }
        }
        let mut wanted = self.gaps.clone();
        if let Some(slot) = wanted.gaps.get_mut(place) {
            *slot = gap;
        }
        self.become_text(lines, wanted, today)
    }

    fn list(&self, lines: &Lines) -> Result<List, Failure> {
        let list = lines.list("gaps").filter(|list| list.items.len() == self.gaps.gaps.len());
        list.ok_or_else(|| self.unchangeable(1))
    }

    fn unchangeable(&self, line: usize) -> Failure {
        Failure::failed(format!(
            "{FILE}:{line}: this is written in a way that cannot be changed by the line; write each gap as `- id: …` \
             with one field a line"
        ))
    }

    /// Takes over the new text, once it reads as it was meant to.
    fn become_text(&mut self, mut lines: Lines, mut wanted: Gaps, today: &str) -> Result<(), Failure> {
        if wanted.updated != today {
            let mut whole = lines.whole();
            if !lines.set(&mut whole, "updated", today, "version") {
                return Err(self.unchangeable(1));
            }
            today.clone_into(&mut wanted.updated);
        }
        let new = Self::parse(lines.to_string()).map_err(|found| {
            Failure::failed(format!("the change cannot be made by the line: it would be wrong at {found}"))
        })?;
        if new.gaps != wanted {
            return Err(self.unchangeable(1));
        }
        *self = new;
        Ok(())
    }

    /// Stages the file.
    ///
    /// # Errors
    /// `Failed` where the directory is not granted for staging.
    pub fn write(&self, ctx: &Ctx) -> Result<(), Failure> {
        std::fs::write(path(ctx), &self.text).map_err(|error| {
            Failure::failed(format!(
                "{FILE} cannot be staged ({error}); grant the directory `gaps` with `access: stage` and pin again"
            ))
        })
    }
}

fn path(ctx: &Ctx) -> PathBuf {
    ctx.directory("gaps").join(NAME)
}

fn fields(gap: &Gap) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(gap)? {
        Value::Object(fields) => Ok(fields),
        other => Err(Failure::failed(format!("a gap is no object: {other}"))),
    }
}

#[cfg(test)]
mod tests;
