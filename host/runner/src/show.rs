//! A plan as its approver sees it.
//!
//! Rendered by the host from the very fields that the hash covers, with control and bidirectional characters made
//! visible. What destroys or cannot be taken back comes first; nothing is folded away.

use std::fmt::Write;

use ops_policy::manifest::RuleEffect;
use ops_policy::message::{Request, Undo};
use ops_policy::plan::{AskedAs, Plan, PlannedEffect, PlannedFile};
use ops_policy::visible::{lines, visible};
use similar::TextDiff;

/// The whole text. `last` is the last plan of this capability that was applied.
pub fn plan_text(plan: &Plan, last: Option<&Plan>) -> String {
    let mut text = String::new();
    head(&mut text, plan);
    text.push_str(&changes_text(plan));
    if !plan.reads.is_empty() || !plan.invoked.is_empty() || !plan.directories.is_empty() {
        text.push_str("\nIt rests on\n");
        for read in &plan.reads {
            line(&mut text, &format!("  the answer to {}", visible(&read.summary)));
        }
        for made in &plan.invoked {
            for (call, answer) in made.calls.iter().zip(&made.answers) {
                let run = answer.run.as_deref().map(|run| format!(", run {run}")).unwrap_or_default();
                line(&mut text, &format!("  the answer of {}{run}", visible(&call.capability)));
            }
        }
        for name in plan.directories.keys() {
            line(&mut text, &format!("  the files in the directory `{name}`"));
        }
        for name in plan.contracts.keys() {
            line(&mut text, &format!("  the contract {name}"));
        }
    }
    if let Some(last) = last {
        compared(&mut text, plan, last);
    }
    text
}

fn line(text: &mut String, words: &str) {
    text.push_str(words.trim_end());
    text.push('\n');
}

fn head(text: &mut String, plan: &Plan) {
    let hash = plan.hash();
    line(text, &format!("Plan {} of {} ({})", plan.id, plan.capability, plan.safety.as_str()));
    line(text, &format!("  hash       {hash}"));
    line(text, &format!("  short      {}", hash.short()));
    let who = match plan.asked_as {
        AskedAs::Person => visible(&plan.requester),
        agent => format!("{}, {},", visible(&plan.requester), agent.words()),
    };
    line(text, &format!("  asked by   {who} in {}", plan.run));
    line(text, &format!("  good until {}", plan.expires));
    line(text, &format!("  arguments  {}", visible(&plan.input.arguments)));
    if let Some(run) = &plan.undoes {
        line(text, &format!("  It takes back what run {} did; no capability runs for it.", visible(run)));
    }
    match plan.unapprovable() {
        Some(why) => line(text, &format!("  It cannot be approved: {why}.")),
        None => line(text, &format!("  approvals  {} needed", plan.approvals)),
    }
    if let Some(reason) = &plan.incomplete {
        line(
            text,
            &format!("  It is only the first part; a later plan covers the rest: {}", visible(reason)),
        );
    }
}

/// What changes, without what is different in every plan.
fn changes_text(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.is_empty() {
        text.push_str("\nIt changes nothing.\n");
    }
    if !plan.effects.is_empty() {
        let _ = writeln!(text, "\nIt would send {}", count(plan.effects.len(), "change", "changes"));
        let mut effects: Vec<_> = plan.effects.iter().enumerate().collect();
        effects.sort_by_key(|(number, effect)| (gravity(effect), *number));
        for (number, effect) in effects {
            effect_text(&mut text, number + 1, effect);
        }
    }
    if !plan.files.is_empty() {
        let _ = writeln!(text, "\nIt would change {}", count(plan.files.len(), "file", "files"));
        for file in &plan.files {
            file_text(&mut text, file);
        }
    }
    text
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What an approver must not overlook sorts first.
fn gravity(effect: &PlannedEffect) -> u8 {
    match (effect.class, &effect.undo) {
        (RuleEffect::Destroy, _) => 0,
        (_, Undo::Impossible(_)) => 1,
        _ => 2,
    }
}

fn effect_text(text: &mut String, number: usize, effect: &PlannedEffect) {
    let class = match effect.class {
        RuleEffect::Destroy => " DESTROYS",
        RuleEffect::Read | RuleEffect::Mutate => "",
    };
    line(text, &format!("  {number}.{class} {}", visible(&effect.summary)));
    let to = match (&effect.origin, &effect.rule) {
        (Some(origin), Some(rule)) => {
            format!("{origin}, rule `{rule}` of service `{}`", effect.request.service)
        }
        _ => format!("service `{}`, which is not bound: unchecked", visible(&effect.request.service)),
    };
    line(text, &format!("     to    {to}"));
    request_text(text, &effect.request);
    match &effect.undo {
        Undo::Impossible(why) => line(text, &format!("     undo  IMPOSSIBLE: {}", visible(why))),
        Undo::ByHand(how) => line(text, &format!("     undo  by hand: {}", visible(how))),
        Undo::Request(request) => {
            line(text, "     undo  by this request:");
            request_text(text, request);
        }
    }
}

fn request_text(text: &mut String, request: &Request) {
    line(text, &format!("     {} {}", visible(&request.method), visible(&request.path)));
    for header in &request.headers {
        line(text, &format!("     {}: {}", visible(&header.name), visible(&header.value)));
    }
    if let Some(body) = &request.body {
        indented(text, &body_text(body));
    }
}

/// A body as text: JSON laid out, other text as it is, bytes as hex.
fn body_text(body: &[u8]) -> String {
    let Ok(plain) = std::str::from_utf8(body) else {
        return format!("{} bytes that are no text: {}", body.len(), hex::encode(body));
    };
    serde_json::from_str::<serde_json::Value>(plain)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| plain.to_owned())
}

fn indented(text: &mut String, block: &str) {
    for row in lines(block).lines() {
        line(text, &format!("       {row}"));
    }
}

fn file_text(text: &mut String, file: &PlannedFile) {
    let what = file.change.as_str();
    line(text, &format!("  {what} {}/{}", file.directory, visible(&file.path)));
    if let Some(after) = &file.after {
        line(text, &format!("     {} bytes, {after}", file.size));
    }
    match (&file.before_text, &file.after_text) {
        (None, None) if file.after.is_none() && file.before.is_none() => {}
        (None, None) => line(text, "     its content is no text, or too long to show"),
        (before, after) => {
            let (before, after) = (before.clone().unwrap_or_default(), after.clone().unwrap_or_default());
            // Mail ends its lines in CR LF. Said once, it need not stand at each of them.
            let (before, after) = match (plain_lines(&before), plain_lines(&after)) {
                (Some(before), Some(after)) => {
                    line(text, "     its lines end in CR LF");
                    (before, after)
                }
                _ => (before, after),
            };
            let diff = TextDiff::from_lines(&before, &after);
            indented(text, &diff.unified_diff().context_radius(3).missing_newline_hint(true).to_string());
        }
    }
}

/// A text whose every line ends in CR LF, with plain line ends; also an empty one.
fn plain_lines(text: &str) -> Option<String> {
    let plain = text.replace("\r\n", "\n");
    (!plain.contains('\r')
        && plain.matches('\n').count() == text.matches("\r\n").count()
        && text.contains('\r')
        || text.is_empty())
    .then_some(plain)
}

/// What differs from the last plan that was applied.
fn compared(text: &mut String, plan: &Plan, last: &Plan) {
    let (before, after) = (changes_text(last), changes_text(plan));
    let _ = writeln!(text, "\nCompared with {}, the last plan of this capability that was applied", last.id);
    if before == after {
        text.push_str("  it would change the same\n");
        return;
    }
    let diff = TextDiff::from_lines(&before, &after);
    for row in diff.unified_diff().context_radius(1).to_string().lines() {
        line(text, &format!("  {row}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_laid_out_and_never_hidden() {
        assert_eq!(body_text(br#"{"a":1}"#), "{\n  \"a\": 1\n}");
        assert_eq!(body_text(b"plain"), "plain");
        assert_eq!(body_text(&[0xff, 0]), "2 bytes that are no text: ff00");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let mut text = String::new();
        indented(&mut text, "a\u{1b}[2J\nb\u{202e}c");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
