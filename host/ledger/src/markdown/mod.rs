//! `receipt.md`: a receipt for people, made from the statement alone.
//!
//! One sentence says what ran, what it changed and when; small tables follow, in the order of a reviewer's
//! questions. Everything that a guest, a service or a client may have written goes through `escape`, so that no
//! text can pretend to be a part of the page.

mod sections;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::escape::{code, text};
use crate::receipt::{EffectOutcome, EffectRecord, FileOutcome, Mode, Receipt, Status};
use crate::statement::Statement;

/// The page.
pub fn render(statement: &Statement<Receipt>) -> String {
    let receipt = &statement.predicate;
    let parts = [
        headline(receipt),
        sections::run(receipt),
        sections::changes(receipt),
        sections::approval(receipt),
        sections::grants(receipt),
        sections::used(receipt),
        sections::invoked(receipt),
        sections::denied(receipt),
        sections::definition(receipt),
        sections::evidence(receipt),
        sections::check(statement),
    ];
    let mut page = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
    page.push('\n');
    page
}

fn headline(receipt: &Receipt) -> String {
    let run = &receipt.run;
    let said = &receipt.outcome.message;
    let mut page = format!(
        "# {}: {}\n\n{} {} on {}. **{}**",
        text(&run.capability),
        run.status,
        code(&run.capability),
        what_happened(run.status, run.mode),
        moment(run.started_on),
        what_changed(receipt)
    );
    if let Some(stopped) = &receipt.outcome.stopped {
        page.push_str(&format!("\n\nStopped: {}", text(stopped)));
    }
    if !said.is_empty() {
        let lines: Vec<_> = said.lines().map(|line| format!("> {}", text(line.trim()))).collect();
        page.push_str(&format!("\n\n{}", lines.join("  \n")));
    }
    if receipt.definition.lock.as_ref().is_some_and(|lock| lock.development) {
        page.push_str("\n\nThe lock was pinned for development: no reviewer stands behind what ran.");
    }
    page
}

fn what_happened(status: Status, mode: Mode) -> &'static str {
    match (status, mode) {
        (Status::Done, Mode::Read) => "ran",
        (Status::Done, Mode::DryRun) => "was tried in a dry run",
        (Status::Done, Mode::Plan) => "was planned",
        (Status::Done, Mode::Apply | Mode::Approve) => "was applied",
        (Status::Denied, Mode::Approve) => "had an approval refused",
        (Status::Done, Mode::Resolve) => "had a run with an unknown outcome resolved",
        (Status::Denied, Mode::Resolve) => "had a word on a run with an unknown outcome refused",
        (Status::Partial, Mode::Resolve) => "had a run with an unknown outcome ended as it was",
        (Status::Planned, _) => "was planned, and waits for an approval,",
        (Status::Failed, _) => "failed",
        (Status::Denied, _) => "was refused or stopped by the host",
        (Status::Stale, _) => "found the world changed since its plan",
        (Status::Partial, _) => "was applied in part",
        (Status::Unknown, _) => "ended with an unknown outcome",
        (Status::Interrupted, _) => "was interrupted",
    }
}

fn what_changed(receipt: &Receipt) -> String {
    let effects = |outcome| receipt.effects.iter().filter(|effect| effect.outcome == outcome).count();
    let performed = effects(EffectOutcome::Performed);
    let started = effects(EffectOutcome::Started);
    let committed = receipt.files.iter().filter(|file| file.outcome == FileOutcome::Committed).count();
    let mut sentence = match (performed, committed) {
        (0, 0) if started > 0 => String::new(),
        (0, 0) if receipt.run.status == Status::Unknown => "What it changed is not known.".into(),
        (0, 0) => "It changed nothing.".into(),
        (_, 0) => format!("It performed {}.", count(performed, "effect")),
        (0, _) => format!("It changed {}.", count(committed, "file")),
        _ => format!("It performed {} and changed {}.", count(performed, "effect"), count(committed, "file")),
    };
    if started > 0 {
        let more = format!(" Nobody knows whether {} happened.", count(started, "further effect"));
        sentence.push_str(&more);
    }
    sentence.trim().to_owned()
}

/// `1 effect`, `2 effects`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `22 November 2026, 01:44:05 UTC`.
fn moment(time: Timestamp) -> String {
    time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// A table, or nothing where it would have no rows. Cells are Markdown already.
fn table<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: [&str; N]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(heads), line([" --- "; N].map(str::trim))];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// A section, or nothing where it would be empty.
fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("## {title}\n\n{body}") }
}

fn optional(value: Option<&str>) -> String {
    value.map_or_else(|| "–".into(), code)
}

fn request(effect: &EffectRecord) -> String {
    code(&format!("{} {} {}", effect.service, effect.method, effect.path))
}
