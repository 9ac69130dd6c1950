//! One capability in full, for people.

use std::fmt::Write;

use ops_runner::audit::{Coverage, Page, ReviewState, RightRow};

use crate::output;

/// Runs that are listed.
const RUNS: usize = 5;

/// Writes the page of one capability.
pub(super) fn write(text: &mut String, page: &Page) {
    let _ = writeln!(text, "{}", page.capability);
    let mut line = |name: &str, what: &str| {
        if !what.is_empty() {
            output::indented(text, what, &format!("  {name:<10}  "), "              ");
        }
    };
    line("does", &page.summary);
    line("safety", &page.safety);
    line("approved", if page.safety == "read-only" { "nothing to approve" } else { &page.approval });
    line("fault", page.fault.as_deref().unwrap_or_default());
    line("needs", &prefixed("NOT KNOWN: ", page.needs_unknown.as_deref().unwrap_or_default()));
    line("binding", &page.binding);
    line("component", &page.component);
    line("version", page.version.as_deref().unwrap_or_default());
    line("digest", page.digest.as_deref().unwrap_or_default());
    line("it claims", &claims(page));
    for service in &page.services {
        line("service", &format!("{} at {} ({})", service.name, service.place, service.trust));
        line("", &prefixed("dialled in ", &service.addresses.join(", ")));
        line("", &prefixed("with the secret ", &service.secrets.join("; with ")));
    }
    let limits: Vec<_> = page.limits.iter().map(|(name, most)| format!("{name} {most}")).collect();
    line("limits", &limits.join(", "));
    line("review", &review(page));
    imports(text, page);
    rights(text, page);
    runs(text, page);
    text.push('\n');
}

fn prefixed(before: &str, what: &str) -> String {
    if what.is_empty() { String::new() } else { format!("{before}{what}") }
}

/// What the component says of itself, with the warning that belongs to it.
fn claims(page: &Page) -> String {
    let claims = &page.claims;
    let named = [
        ("source", &claims.source),
        ("revision", &claims.revision),
        ("licence", &claims.licenses),
        ("authors", &claims.authors),
        ("version", &claims.version),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let all: Vec<_> = named.chain(claims.producers.iter().cloned()).collect();
    if all.is_empty() { String::new() } else { format!("{} (nobody checked this)", all.join("; ")) }
}

fn review(page: &Page) -> String {
    let Some(review) = &page.review else { return "none".to_owned() };
    let state = match review.state {
        ReviewState::Valid => "valid",
        ReviewState::Outdated => "OUTDATED",
        ReviewState::Expired => "EXPIRED",
        ReviewState::Unsigned => "SIGNED BY NOBODY WHO COUNTS",
    };
    let why = review.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "{state}{why}; by {}, {}, until {}",
        review.reviewer,
        output::minute(&review.at),
        output::minute(&review.expires)
    )
}

/// What is a power by name, with what it lets the component do; what is inert by number.
fn imports(text: &mut String, page: &Page) {
    let _ = writeln!(text, "  imports");
    for import in page.imports.iter().filter(|import| import.class != "inert") {
        let functions = prefixed(": calls ", &import.functions.join(", "));
        let what = format!("{} ({}) {}{functions}", import.name, import.class, import.words);
        output::indented(text, &what, "    ", "      ");
    }
    let inert = page.imports.iter().filter(|import| import.class == "inert").count();
    let _ = writeln!(text, "    {inert} inert interfaces, with nothing of this host in them");
}

fn rights(text: &mut String, page: &Page) {
    if page.rights.is_empty() {
        let _ = writeln!(text, "  rights      none");
        return;
    }
    let mut table = output::table(&["right", "needed", "granted", "used", "line"]);
    for row in &page.rights {
        let needed = match row.needed {
            Coverage::Whole if row.optional => "optional",
            Coverage::Whole => "yes",
            Coverage::Part => "in part",
            Coverage::No => "NO",
            Coverage::Unknown => "?",
        };
        let used = match (row.granted, row.used) {
            (false, _) => String::new(),
            (true, None) => "?".to_owned(),
            (true, Some(runs)) => format!("{runs} of {}", page.looked_at),
        };
        let granted = if row.granted { "yes" } else { "no" };
        let line = row.line.map(|line| line.to_string()).unwrap_or_default();
        table.add_row([right(row), needed.to_owned(), granted.to_owned(), used, line]);
    }
    let _ = writeln!(text, "{}", output::render(table));
}

fn right(row: &RightRow) -> String {
    match &row.rule {
        Some(rule) => format!("{rule}: {}", row.right),
        None => row.right.clone(),
    }
}

fn runs(text: &mut String, page: &Page) {
    if page.runs.is_empty() {
        let _ = writeln!(text, "  runs        none");
    } else {
        let _ = writeln!(text, "  runs        {} looked at; the newest:", page.looked_at);
        for run in page.runs.iter().take(RUNS) {
            let approved =
                run.approved_by.as_ref().map(|by| format!(", approved by {by}")).unwrap_or_default();
            output::indented(text, &format!("{} {}{approved}", run.key, run.status), "    ", "      ");
        }
    }
    for denied in &page.denied {
        let by = if denied.current { "" } else { ", an older component" };
        let what = format!("{} ({}), in {} runs{by}", denied.what, denied.reason, denied.runs);
        output::indented(text, &what, "  refused     ", "              ");
    }
}
