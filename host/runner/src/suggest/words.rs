//! A suggestion in words and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use ops_policy::visible::visible;
use serde_json::{Value, json};

use super::Suggested;

/// The most run keys that are listed.
const MOST_KEYS: usize = 5;

impl Suggested {
    /// What goes with the patch, for people: where it came from, each generalisation with its reason, what it would have
    /// denied, what is not known, and what it was held against.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{} for {}", self.what(), self.capability);
        self.runs(&mut text);
        self.steps(&mut text);
        let _ = writeln!(text, "would have denied, in the last {}:", counted(self.past as u64, "run"));
        for denied in &self.denied {
            let times = if denied.count > 1 { format!(", {} times", denied.count) } else { String::new() };
            let _ = writeln!(text, "  {}{times}: {}", visible(&denied.what), visible(&denied.why));
        }
        if self.denied.is_empty() {
            let _ = writeln!(text, "  nothing that today's binding allows");
        }
        if !self.suggestion.unknown.is_empty() {
            let _ = writeln!(text, "not known:");
        }
        for unknown in &self.suggestion.unknown {
            let _ = writeln!(text, "  {}", visible(unknown));
        }
        for line in &self.comments {
            let _ = writeln!(
                text,
                "the comment on line {line} stands above something that goes; look whether it still fits"
            );
        }
        if self.is_anew {
            let _ = writeln!(
                text,
                "the file could not be edited in place and is written anew: its comments and its order are lost"
            );
        }
        let proof = self.suggestion.proof;
        let _ = writeln!(
            text,
            "held against today's binding, which has each of its {}; decided again: {}, all allowed{}",
            counted(proof.rights, "right"),
            counted(proof.decided, "request"),
            if proof.by_path > 0 {
                format!(", and {} by method and path", proof.by_path)
            } else {
                String::new()
            },
        );
        if self.patch.is_some() {
            let _ = write!(
                text,
                "nothing was changed: look at the patch of {}, `git apply` it, then `ops pin`",
                self.file
            );
        }
        text
    }

    fn what(&self) -> &'static str {
        if self.patch.is_some() {
            "a narrower binding"
        } else {
            "today's binding is as narrow as these runs allow:"
        }
    }

    fn runs(&self, text: &mut String) {
        let keys: Vec<_> = self.from.iter().rev().take(MOST_KEYS).cloned().collect();
        let more = self.from.len().saturating_sub(keys.len());
        let more = if more > 0 { format!(" and {more} before") } else { String::new() };
        let _ = writeln!(text, "from {}:", counted(self.from.len() as u64, "run"));
        let _ = writeln!(text, "  {}{more}", keys.join("\n  "));
        for (why, count) in &self.left_out {
            let _ = writeln!(text, "  left out {}: {}", counted(*count, "run"), visible(why));
        }
    }

    fn steps(&self, text: &mut String) {
        let mut by_rule: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for step in &self.suggestion.steps {
            by_rule.entry(step.by).or_default().push(step);
        }
        let _ = writeln!(text, "generalised by:");
        for (by, steps) in by_rule {
            let _ = writeln!(text, "  {}: {}", by.name(), by.words());
            for step in steps {
                let _ = writeln!(text, "    {}: {}", visible(&step.place), visible(&step.what));
            }
        }
        if self.suggestion.steps.is_empty() {
            let _ = writeln!(text, "  nothing");
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let steps = self.suggestion.steps.iter();
        let steps: Vec<_> = steps
            .map(|step| json!({"rule": step.by.name(), "why": step.by.words(), "place": step.place, "what": step.what}))
            .collect();
        let denied = self.denied.iter();
        let denied: Vec<_> =
            denied.map(|one| json!({"what": one.what, "why": one.why, "count": one.count})).collect();
        let left_out: Vec<_> =
            self.left_out.iter().map(|(why, count)| json!({"why": why, "runs": count})).collect();
        let proof = self.suggestion.proof;
        json!({
            "capability": self.capability,
            "file": self.file,
            "patch": self.patch,
            "written_anew": self.is_anew,
            "comments": self.comments,
            "from": self.from,
            "left_out": left_out,
            "generalisations": steps,
            "past_runs": self.past,
            "would_have_denied": denied,
            "unknown": self.suggestion.unknown,
            "proof": {"rights": proof.rights, "decided": proof.decided, "by_path": proof.by_path},
        })
    }
}

fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}
