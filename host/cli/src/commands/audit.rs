//! `ops audit`: what each capability can reach, who wanted it, who granted it, what was used, and what was found.

mod page;

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ops_policy::finding::{self, Severity};
use ops_runner::audit::{self, Asked, Audit, Finding, Page, RightKind};
use ops_runner::runner::Runner;

use super::{Outcome, print, print_json};
use crate::args::audit::{Audit as Args, Format};
use crate::{output, say};

/// Findings of one kind that the overview tells one by one.
const TOLD: usize = 8;
/// Days for which a suppression is proposed: long enough to mend what is to be mended.
const SUPPRESSED: i64 = 90;

pub(crate) fn run(runner: &Runner, args: Args) -> Outcome {
    let Args { capabilities, format, fail_on, runs, rebuilt, json } = args;
    if let Some(folder) = rebuilt.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(format!("{}: there is no such folder", folder.display()));
    }
    let in_full = !capabilities.is_empty();
    let asked = Asked { capabilities, runs, rebuilt };
    let audit = match audit::audit(runner, &asked) {
        Ok(audit) => audit,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    let value = |value: serde_json::Result<_>| value.map_err(|error| error.to_string());
    match format {
        Format::Json => print_json(&value(serde_json::to_value(&audit))?)?,
        Format::Text if json.json => print_json(&value(serde_json::to_value(&audit))?)?,
        Format::Text => print(text(&audit, in_full).trim_end())?,
        Format::Sarif => print_json(&crate::sarif::sarif(&audit, runner.workspace().root()))?,
        Format::Html => print(crate::report::html(&audit))?,
    };
    let fails = |least: Severity| audit.findings.iter().any(|finding| finding.severity >= least);
    Ok(u8::from(fail_on.is_some_and(|least| fails(least.into()))))
}

/// For people: what the lock says, what was found, and each capability in a line, or in full.
fn text(audit: &Audit, in_full: bool) -> String {
    let mut text = head(audit);
    for severity in Severity::ALL.into_iter().rev() {
        for kind in &finding::KINDS {
            let of = |finding: &&Finding| finding.id == kind.id && finding.severity == severity;
            let found: Vec<_> = audit.findings.iter().filter(of).collect();
            if !found.is_empty() {
                group(&mut text, kind, severity, &found, if in_full { usize::MAX } else { TOLD });
            }
        }
    }
    if !audit.suppressed.is_empty() {
        text.push_str("\nsuppressed\n");
        for suppressed in &audit.suppressed {
            let finding = &suppressed.finding;
            let what = format!("{} {}: {}", finding.id, place(finding), suppressed.reason);
            output::indented(&mut text, &format!("{what} (until {})", suppressed.expires), "  ", "      ");
        }
    }
    text.push('\n');
    if in_full {
        suppressions(&mut text, audit);
        for page in &audit.capabilities {
            page::write(&mut text, page);
        }
    } else if !audit.capabilities.is_empty() {
        text.push_str(&capabilities(audit));
        text.push_str("\n\nops audit CAPABILITY shows one in full\n");
    }
    text
}

/// What to write in `ops.yaml` where a finding is as it should be.
fn suppressions(text: &mut String, audit: &Audit) {
    let made = audit.generated_at.parse::<Timestamp>().ok();
    let day = made.and_then(|made| made.to_zoned(TimeZone::UTC).date().checked_add(SUPPRESSED.days()).ok());
    let Some(day) = day.map(|day| day.to_string()) else { return };
    let entries: Vec<_> = audit.findings.iter().filter_map(|finding| finding.suppression(&day)).collect();
    if entries.is_empty() {
        return;
    }
    text.push_str("where one of these is as it should be, write it in ops.yaml, say why, and pin:\n\n");
    text.push_str("audit:\n  suppress:\n");
    for line in entries.iter().flatten() {
        let _ = writeln!(text, "    {line}");
    }
    text.push('\n');
}

fn head(audit: &Audit) -> String {
    let mut text = String::new();
    let lock = &audit.lock;
    let number = lock.counter.map_or_else(|| "none".to_owned(), |counter| format!("number {counter}"));
    let development = if lock.development { ", for development" } else { "" };
    let held = match (&lock.signer, lock.holds) {
        (Some(signer), true) => format!(", signed by {signer}"),
        _ => ", DOES NOT HOLD".to_owned(),
    };
    let _ = writeln!(text, "workspace     {}", audit.workspace);
    let _ = writeln!(text, "lock          {number}{held}{development}");
    let _ = writeln!(text, "capabilities  {}", audit.capabilities.len());
    let _ = writeln!(text, "runs          the last {} of each, at most", audit.runs);
    let counts = Severity::ALL.into_iter().rev().map(|severity| {
        let number = audit.findings.iter().filter(|finding| finding.severity == severity).count();
        format!("{number} {severity}")
    });
    let counts: Vec<_> = counts.collect();
    let suppressed = match audit.suppressed.len() {
        0 => String::new(),
        number => format!("; {number} suppressed"),
    };
    let _ = writeln!(text, "findings      {}{suppressed}", counts.join(", "));
    let unknown = audit.capabilities.iter().filter(|page| page.needs_unknown.is_some()).count();
    if unknown > 0 {
        let what = format!("NOT KNOWN of {unknown}, so nothing is said of what is not needed");
        output::indented(&mut text, &what, "needs         ", "              ");
    }
    text
}

/// The findings of one kind and weight: what it is, each place, what to do.
fn group(text: &mut String, kind: &finding::Kind, severity: Severity, found: &[&Finding], told: usize) {
    let title = format!("{} ({})", kind.title, kind.id);
    let _ = writeln!(text);
    output::indented(text, &title, &format!("{:<8}", severity.as_str()), "        ");
    for finding in found.iter().take(told) {
        output::indented(text, &format!("{}: {}", place(finding), finding.what), "  - ", "    ");
    }
    if let Some(more) = found.len().checked_sub(told).filter(|more| *more > 0) {
        let _ = writeln!(text, "  - and {more} more: ops audit --json has them all");
    }
    // Each has its own fix; where they are the same, once is enough.
    let mut fixes: Vec<_> = found.iter().take(told).map(|finding| finding.fix.as_str()).collect();
    fixes.dedup();
    fixes.sort_unstable();
    fixes.dedup();
    for fix in fixes {
        output::indented(text, fix, "  what to do:  ", "    ");
    }
}

/// File and line.
fn place(finding: &Finding) -> String {
    match finding.line {
        Some(line) => format!("{}:{line}", finding.file),
        None => finding.file.clone(),
    }
}

/// Each capability in a line.
fn capabilities(audit: &Audit) -> String {
    let mut table = output::table(&["capability", "changes", "reaches", "found"]);
    for page in &audit.capabilities {
        let found = audit
            .findings
            .iter()
            .filter(|found| found.capability.as_deref() == Some(&page.capability))
            .count();
        let found = if found == 0 { String::new() } else { found.to_string() };
        table.add_row([page.capability.clone(), changes(page), reaches(page), found]);
    }
    output::render(table)
}

/// Whether it may change anything, and who approves that.
fn changes(page: &Page) -> String {
    match (page.safety.as_str(), page.approval.as_str()) {
        ("", _) => "?".to_owned(),
        ("read-only", _) => "nothing".to_owned(),
        ("destructive", by) => format!("destroys, {by}"),
        (_, by) => by.to_owned(),
    }
}

/// The services and directories that it reaches, by name, and how many capabilities it calls or has started.
fn reaches(page: &Page) -> String {
    let mut names: Vec<String> = page.services.iter().map(|service| service.name.clone()).collect();
    let granted = || page.rights.iter().filter(|row| row.granted);
    let directories = granted().filter(|row| row.kind == RightKind::Directory);
    names.extend(directories.filter_map(|row| Some(format!("{}/", row.name.as_ref()?))));
    for (kind, what) in [(RightKind::Invoke, "calls"), (RightKind::Starts, "starts")] {
        let number = granted().filter(|row| row.kind == kind).count();
        names.extend((number > 0).then(|| format!("{what} {number}")));
    }
    if page.fault.is_some() {
        names.insert(0, "(cannot run)".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
