//! An audit as one page for a browser: `ops audit --format html`.
//!
//! The page is a single file that asks nothing of anybody: no script, no font and no picture from elsewhere, and a
//! policy in its head that forbids them. Every text from a workspace, a component or a guest is escaped, with what is
//! hidden in it made visible. What needs a person comes first: findings, then who may reach what, then a section for each
//! capability, then what happened. It stays readable on paper and in a screen reader, and of a size that opens at once
//! where a workspace has a thousand capabilities: what all of them share is said once.

mod capability;
mod findings;
mod matrix;
mod overview;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use ops_policy::visible::visible;
use ops_runner::audit::{Audit, Event};

/// How it looks, in light, in dark and on paper.
const STYLE: &str = include_str!("report/style.css");

/// The whole page.
pub(crate) fn html(audit: &Audit) -> String {
    let workspace = match audit.workspace.as_str() {
        "" => "a workspace without a name".to_owned(),
        name => visible(name),
    };
    let title = format!("Audit of {workspace}");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#findings" { "Skip to the findings" }
                header {
                    p.kicker { "ops audit" }
                    h1 { (title) }
                    (overview::summary(audit))
                    (contents(audit))
                }
                main {
                    (findings::section(audit))
                    (matrix::section(audit))
                    (capability::section(audit))
                    (timeline(&audit.timeline))
                    (overview::interfaces(audit))
                }
                footer {
                    p {
                        "Made " (when(&audit.generated_at)) " from the workspace's files, its components' bytes, and at most "
                        (audit.runs) " receipts of each capability. What a component says of itself is a claim. A right that \
                        was not used in those runs may have been used before them."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn contents(audit: &Audit) -> Markup {
    html! {
        nav aria-label="Contents" {
            a href="#findings" { "Findings" }
            a href="#permissions" { "Permissions" }
            a href="#capabilities" { "Capabilities" }
            @if !audit.timeline.is_empty() { a href="#timeline" { "Timeline" } }
            a href="#interfaces" { "Interfaces" }
        }
    }
}

/// What happened, the newest first.
fn timeline(events: &[Event]) -> Markup {
    html! {
        @if !events.is_empty() {
            section id="timeline" aria-labelledby="timeline-title" {
                h2 id="timeline-title" { "Timeline" }
                div.scroll role="region" aria-label="Timeline, a wide table" tabindex="0" {
                    table {
                        caption { "The newest " (events.len()) " plans, approvals, refusals and runs. Times are UTC." }
                        thead {
                            tr {
                                th scope="col" { "When" }
                                th scope="col" { "What" }
                                th scope="col" { "Capability" }
                                th scope="col" { "Who" }
                                th scope="col" { "Run" }
                            }
                        }
                        tbody {
                            @for event in events {
                                tr {
                                    td.when { (when(&event.at)) }
                                    td { span class={ "tag " (event.kind.as_str()) } { (event.kind.as_str()) } " " (visible(&event.what)) }
                                    th scope="row" { (visible(&event.capability)) }
                                    td { @if let Some(who) = &event.who { (visible(who)) } }
                                    td { code { (visible(&event.key)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A time without its fraction and its letters.
fn when(time: &str) -> String {
    let whole = time.split('.').next().unwrap_or_default();
    visible(&whole.trim_end_matches('Z').replacen('T', " ", 1))
}

/// Where a capability stands in the page. A file that is no binding may have any name, so that has a number.
fn anchor(number: usize, capability: &str) -> String {
    match ops_policy::name::check(capability) {
        Ok(_) => capability.to_owned(),
        Err(_) => format!("capability-{number}"),
    }
}

/// `1 run`, `2 runs`.
fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        // `capability` is the only word here that has more than an s.
        number => match one.strip_suffix('y') {
            Some(stem) => format!("{number} {stem}ies"),
            None => format!("{number} {one}s"),
        },
    }
}
