//! What deserves a second look, the weightiest first, and what somebody has said is as it should be.

use maud::{Markup, html};
use ops_policy::finding;
use ops_policy::visible::visible;
use ops_runner::audit::{Audit, Finding};

use super::count;

/// The section.
pub(super) fn section(audit: &Audit) -> Markup {
    html! {
        section id="findings" aria-labelledby="findings-title" {
            h2 id="findings-title" { "Findings" }
            @if audit.findings.is_empty() {
                p.none { "Nothing was found." }
            } @else {
                div.scroll role="region" aria-label="Findings, a wide table" tabindex="0" {
                    table.findings {
                        caption { (count(audit.findings.len(), "finding")) ", the weightiest first, each with what to do." }
                        thead {
                            tr {
                                th scope="col" { "Severity" }
                                th scope="col" { "What was found" }
                                th scope="col" { "Where" }
                                th scope="col" { "What to do" }
                            }
                        }
                        tbody {
                            @for (number, finding) in audit.findings.iter().enumerate() {
                                tr id={ "f" (number + 1) } {
                                    td { span class={ "tag " (finding.severity.as_str()) } { (finding.severity.as_str()) } }
                                    td {
                                        strong { (title(finding)) }
                                        br;
                                        (visible(&finding.what))
                                        " " code.id { (finding.id) }
                                    }
                                    td { (place(finding)) }
                                    td { (visible(&finding.fix)) }
                                }
                            }
                        }
                    }
                }
            }
            (suppressed(audit))
        }
    }
}

fn title(finding: &Finding) -> &'static str {
    finding::kind(finding.id).map_or(finding.id, |kind| kind.title)
}

fn place(finding: &Finding) -> Markup {
    html! {
        @if let Some(capability) = &finding.capability {
            a href={ "#" (visible(capability)) } { (visible(capability)) }
            br;
        }
        code { (visible(&finding.file)) @if let Some(line) = finding.line { ":" (line) } }
    }
}

fn suppressed(audit: &Audit) -> Markup {
    html! {
        @if !audit.suppressed.is_empty() {
            h3 { "Suppressed" }
            p { "Found, too, and said to be as it should be in ops.yaml, which the lock's signature covers." }
            div.scroll role="region" aria-label="Suppressed findings, a wide table" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Severity" }
                            th scope="col" { "What was found" }
                            th scope="col" { "Where" }
                            th scope="col" { "Why it is as it should be" }
                            th scope="col" { "Until" }
                        }
                    }
                    tbody {
                        @for one in &audit.suppressed {
                            tr {
                                td { span class={ "tag " (one.finding.severity.as_str()) } { (one.finding.severity.as_str()) } }
                                td { (visible(&one.finding.what)) " " code.id { (one.finding.id) } }
                                td { (place(&one.finding)) }
                                td { (visible(&one.reason)) }
                                td.when { (visible(&one.expires)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
