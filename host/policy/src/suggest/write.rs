//! A binding's text with the changes of a suggestion in it: comments and order stay.
//!
//! Each change is an edit at the place of what it changes. The new text is parsed and must be exactly the binding that was
//! meant; where it is not, or where something stands in a way that no edit here handles, the file is written anew.

use std::ops::Range;

use super::write_whole::{self, text};
use crate::binding::Binding;
use crate::rule::Rule;
use crate::service::Service;
use crate::yaml::places::{Place, Places, step};

/// A binding's new text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// Whether it was written anew, so that comments and order are lost.
    pub is_anew: bool,
    /// The lines, in the old text, of comments that stand right above something that went. They stay, and may not fit
    /// any more.
    pub comments: Vec<u64>,
}

/// The text of `from`, changed so that it means `to`. None where not even a text written anew does.
pub fn rewrite(old: &str, from: &Binding, to: &Binding) -> Option<Rewritten> {
    let means = |text: &str| Binding::parse("", text.as_bytes()).is_ok_and(|binding| binding == *to);
    if let Some((text, comments)) = edited(old, from, to).filter(|(text, _)| means(text)) {
        return Some(Rewritten { text, is_anew: false, comments });
    }
    let text = write_whole::binding(to);
    means(&text).then_some(Rewritten { text, is_anew: true, comments: Vec::new() })
}

/// The edited text, and the comments above what went.
fn edited(old: &str, from: &Binding, to: &Binding) -> Option<(String, Vec<u64>)> {
    let places = Places::parse("", old.as_bytes()).ok()?;
    let mut editor = Editor { old, places, edits: Vec::new(), comments: Vec::new() };
    editor.services(from, to)?;
    editor.directories(from, to)?;
    editor.entries("/config", &gone(from.config.keys(), |key| to.config.contains_key(*key)))?;
    for (path, from, to) in [
        ("/contracts", &from.contracts, &to.contracts),
        ("/invoke", &from.invoke, &to.invoke),
        ("/starts", &from.starts, &to.starts),
    ] {
        editor.items(path, from, |name| to.contains(name))?;
    }
    if from.limits.requests != to.limits.requests {
        editor.requests(to.limits.requests)?;
    }
    editor.apply()
}

/// The keys of a map that are not kept, as steps of a path. With all of them the map itself goes.
enum Gone {
    All,
    Some(Vec<String>),
}

fn gone<'a>(keys: impl Iterator<Item = &'a String>, is_kept: impl Fn(&&String) -> bool) -> Gone {
    let (kept, gone): (Vec<_>, Vec<_>) = keys.partition(|key| is_kept(key));
    match (kept.is_empty(), gone.is_empty()) {
        (true, false) => Gone::All,
        _ => Gone::Some(gone.into_iter().map(|key| step(key)).collect()),
    }
}

struct Editor<'a> {
    old: &'a str,
    places: Places,
    edits: Vec<(Range<usize>, String)>,
    comments: Vec<u64>,
}

impl Editor<'_> {
    fn services(&mut self, from: &Binding, to: &Binding) -> Option<()> {
        self.entries("/services", &gone(from.services.keys(), |name| to.services.contains_key(*name)))?;
        for (name, new) in &to.services {
            let old = from.services.get(name)?;
            let path = format!("/services/{}", step(name));
            self.rules(&format!("{path}/rules"), old, new)?;
            self.items(&format!("{path}/secrets"), &old.secrets, |secret| new.secrets.contains(secret))?;
            if old.addresses != new.addresses {
                let ranges: Vec<_> = new.addresses.iter().map(write_whole::range).collect();
                let addresses = format!("{path}/addresses");
                match ranges.as_slice() {
                    [] => self.remove(&path, &[addresses])?,
                    ranges => {
                        self.replace_entry(&addresses, &format!("addresses: [{}]", ranges.join(", ")))?
                    }
                }
            }
        }
        Some(())
    }

    /// Each old rule is followed in the new list by those that stand for it.
    fn rules(&mut self, path: &str, old: &Service, new: &Service) -> Option<()> {
        let mut left = new.rules.as_slice();
        let mut removed = Vec::new();
        for (number, rule) in old.rules.iter().enumerate() {
            let at = format!("{path}/{number}");
            let is_next = |(place, next): (usize, &Rule)| match place {
                0 => next.id == rule.id,
                _ => old.rule(&next.id).is_none(),
            };
            let count = left.iter().enumerate().take_while(|next| is_next(*next)).count();
            let (mine, others) = left.split_at_checked(count)?;
            left = others;
            match mine {
                [] => removed.push(at),
                [same] if same == rule => {}
                [one] => self.rule(&at, rule, one)?,
                several => self.several(&at, several)?,
            }
        }
        self.remove(path, &removed)
    }

    fn rule(&mut self, path: &str, old: &Rule, new: &Rule) -> Option<()> {
        if old.path != new.path {
            self.replace_value(&format!("{path}/path"), &text(&new.path.to_string()))?;
        }
        self.items_in(path, "query", &old.query, &new.query)?;
        self.items_in(path, "headers", &old.headers, &new.headers)?;
        if old.body.is_empty() && !new.body.is_empty() {
            return self.add(path, &format!("body: {}", write_whole::body(&new.body)));
        }
        for (before, after) in old.body.iter().zip(&new.body) {
            let list = format!("{path}/body/{}", step(before.pointer()));
            self.items(&list, before.allowed(), |value| after.allowed().contains(value))?;
        }
        Some(())
    }

    /// Several rules in the place of one.
    fn several(&mut self, path: &str, rules: &[Rule]) -> Option<()> {
        let place = self.places.get(path)?.clone();
        let rules: Vec<_> = rules.iter().map(write_whole::rule).collect();
        let new = if place.in_flow {
            rules.join(", ")
        } else {
            let indent = self.indent(place.entry.start)?;
            let rules = rules.iter().map(|rule| format!("- {rule}"));
            rules.collect::<Vec<_>>().join(&format!("\n{indent}"))
        };
        self.edits.push((place.entry, new));
        Some(())
    }

    fn directories(&mut self, from: &Binding, to: &Binding) -> Option<()> {
        self.entries(
            "/directories",
            &gone(from.directories.keys(), |name| to.directories.contains_key(*name)),
        )?;
        for (name, new) in &to.directories {
            if from.directories.get(name)?.access != new.access {
                let path = format!("/directories/{}/access", step(name));
                self.replace_value(&path, new.access.as_str())?;
            }
        }
        Some(())
    }

    fn requests(&mut self, requests: u64) -> Option<()> {
        if self.places.get("/limits/requests").is_some() {
            return self.replace_value("/limits/requests", &requests.to_string());
        }
        match self.places.get("/limits") {
            Some(_) => self.add("/limits", &format!("requests: {requests}")),
            None => self.add("", &format!("limits: {{requests: {requests}}}")),
        }
    }

    /// Removes entries of a map, or the map.
    fn entries(&mut self, path: &str, gone: &Gone) -> Option<()> {
        match gone {
            Gone::All => self.remove_whole(path),
            Gone::Some(keys) => {
                let keys: Vec<_> = keys.iter().map(|key| format!("{path}/{key}")).collect();
                self.remove(path, &keys)
            }
        }
    }

    /// Removes the items of a list that are not kept, or the list.
    fn items<T>(&mut self, path: &str, all: &[T], is_kept: impl Fn(&T) -> bool) -> Option<()> {
        let gone = all.iter().enumerate().filter(|(_, item)| !is_kept(item));
        let gone: Vec<_> = gone.map(|(number, _)| format!("{path}/{number}")).collect();
        match gone.len() == all.len() {
            true if !all.is_empty() => self.remove_whole(path),
            _ => self.remove(path, &gone),
        }
    }

    fn items_in(&mut self, path: &str, key: &str, old: &[String], new: &[String]) -> Option<()> {
        self.items(&format!("{path}/{key}"), old, |item| new.contains(item))
    }

    fn remove_whole(&mut self, path: &str) -> Option<()> {
        let (around, _) = path.rsplit_once('/')?;
        self.remove(around, &[path.to_owned()])
    }

    /// Removes some entries of what is behind `path`.
    fn remove(&mut self, path: &str, gone: &[String]) -> Option<()> {
        let entries: Vec<Place> = self.places.entries(path).cloned().collect();
        let gone: Vec<Place> =
            gone.iter().map(|path| self.places.get(path).cloned()).collect::<Option<_>>()?;
        for place in &gone {
            let range = match place.in_flow {
                true => between(place, &entries, &gone)?,
                false => self.lines(place)?,
            };
            if !place.in_flow {
                self.above(place);
            }
            self.edits.push((range, String::new()));
        }
        Some(())
    }

    /// The whole lines of an entry, with what is said behind it.
    fn lines(&self, place: &Place) -> Option<Range<usize>> {
        let before = self.old.get(..place.entry.start)?;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let after = self.old.get(place.entry.end..)?;
        let length = after.find('\n').map_or(after.len(), |end| end + 1);
        let rest = after.get(..length)?.trim();
        let alone = self.old.get(start..place.entry.start)?.trim().is_empty();
        (alone && (rest.is_empty() || rest.starts_with('#'))).then_some(start..place.entry.end + length)
    }

    /// Notes a comment right above an entry.
    fn above(&mut self, place: &Place) {
        let line = place.first_line.saturating_sub(1);
        let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        let text = index.and_then(|index| self.old.lines().nth(index));
        if text.is_some_and(|text| text.trim_start().starts_with('#')) {
            self.comments.push(line);
        }
    }

    fn replace_value(&mut self, path: &str, new: &str) -> Option<()> {
        let place = self.places.get(path)?;
        self.edits.push((place.value.clone(), new.to_owned()));
        Some(())
    }

    fn replace_entry(&mut self, path: &str, new: &str) -> Option<()> {
        let place = self.places.get(path)?;
        self.edits.push((place.entry.clone(), new.to_owned()));
        Some(())
    }

    /// Adds an entry behind the last one of a map.
    fn add(&mut self, path: &str, entry: &str) -> Option<()> {
        let map = self.places.get(path)?;
        let (first, last) = (self.places.entries(path).next(), self.places.entries(path).last());
        let edit = match (map.is_flow, first, last) {
            (true, _, Some(last)) => (last.entry.end..last.entry.end, format!(", {entry}")),
            (true, _, None) => (map.value.end - 1..map.value.end - 1, entry.to_owned()),
            (false, Some(first), Some(last)) => {
                let indent = " ".repeat(usize::try_from(first.column).ok()?.checked_sub(1)?);
                // On a line of its own, so that the last entry may go with all of its line.
                let rest = self.old.get(last.entry.end..)?;
                match rest.find('\n') {
                    Some(end) => {
                        let next = last.entry.end + end + 1;
                        (next..next, format!("{indent}{entry}\n"))
                    }
                    None => (self.old.len()..self.old.len(), format!("\n{indent}{entry}")),
                }
            }
            (false, ..) => return None,
        };
        self.edits.push(edit);
        Some(())
    }

    /// The blanks before something that begins its line.
    fn indent(&self, offset: usize) -> Option<String> {
        let before = self.old.get(..offset)?;
        let line = before.get(before.rfind('\n').map_or(0, |end| end + 1)..)?;
        line.bytes().all(|byte| byte == b' ').then(|| line.to_owned())
    }

    /// The text with all edits in it. None where two of them are about the same part.
    fn apply(mut self) -> Option<(String, Vec<u64>)> {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut new = String::new();
        let mut done = 0;
        let mut removed = 0;
        for (range, text) in &self.edits {
            // What was removed may be removed again, with its neighbour.
            let from = match range.start < done {
                true if text.is_empty() && done == removed => done,
                true => return None,
                false => range.start,
            };
            new.push_str(self.old.get(done..from)?);
            new.push_str(text);
            done = range.end.max(done);
            removed = if text.is_empty() { done } else { 0 };
        }
        new.push_str(self.old.get(done..)?);
        self.comments.sort_unstable();
        self.comments.dedup();
        Some((new, self.comments))
    }
}

/// What goes with an entry in braces or brackets: up to the next one; of the last ones, from the end of what is kept.
fn between(place: &Place, entries: &[Place], gone: &[Place]) -> Option<Range<usize>> {
    let number = entries.iter().position(|entry| entry == place)?;
    if let Some(next) = entries.get(number + 1) {
        return Some(place.entry.start..next.entry.start);
    }
    let kept = entries.iter().rfind(|entry| !gone.contains(entry));
    Some(kept.map_or(place.entry.start, |kept| kept.entry.end)..place.entry.end)
}

#[cfg(test)]
mod tests;
