//! What deserves a second look, the weightiest first, and what somebody has said is as it should be.
//!
//! Findings of one kind stand together, so that why they matter is said once, and what to do, too, where it is the same.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ops_policy::finding::{self, Severity};
use ops_policy::visible::visible;
use ops_runner::audit::{Audit, Finding};

use super::{anchor, count};

/// Where a capability's section is, and its binding's file, by its name.
struct Places<'a>(BTreeMap<&'a str, (String, &'a str)>);

impl<'a> Places<'a> {
    fn of(audit: &'a Audit) -> Self {
        let pages = audit.capabilities.iter().enumerate().map(|(number, page)| {
            (page.capability.as_str(), (anchor(number, &page.capability), page.binding.as_str()))
        });
        Self(pages.collect())
    }

    /// The capability, and the line in its binding; or another file and its line.
    fn place(&self, finding: &Finding) -> Markup {
        let capability = finding.capability.as_deref();
        let known = capability.and_then(|name| self.0.get(name));
        let own = known.is_some_and(|(_, binding)| *binding == finding.file);
        html! {
            @match (capability, known) {
                (Some(name), Some((anchor, _))) => { a href={ "#" (anchor) } { (visible(name)) } " " }
                (Some(name), None) => { (visible(name)) " " }
                (None, _) => {}
            }
            @match finding.line {
                Some(line) if own => { "line " (line) }
                None if own => {}
                Some(line) => { code { (visible(&finding.file)) ":" (line) } }
                None => { code { (visible(&finding.file)) } }
            }
        }
    }
}

/// A finding with its number in the page.
type Numbered<'a> = (usize, &'a Finding);

/// The section.
pub(super) fn section(audit: &Audit) -> Markup {
    let places = Places::of(audit);
    // By weight and kind, each with its number, by which capabilities link to it.
    let mut groups: Vec<((Severity, &str), Vec<Numbered<'_>>)> = Vec::new();
    for (number, finding) in audit.findings.iter().enumerate() {
        let kind = (finding.severity, finding.id);
        match groups.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, group)) => group.push((number + 1, finding)),
            None => groups.push((kind, vec![(number + 1, finding)])),
        }
    }
    html! {
        section id="findings" aria-labelledby="findings-title" {
            h2 id="findings-title" { "Findings" }
            @if groups.is_empty() { p.none { "Nothing was found." } }
            @for ((severity, id), found) in &groups { (group(*severity, id, found, &places)) }
            (suppressed(audit, &places))
        }
    }
}

/// The findings of one kind.
fn group(severity: Severity, id: &str, found: &[Numbered<'_>], places: &Places<'_>) -> Markup {
    let kind = finding::kind(id);
    let fix = shared(found, |finding| &finding.fix);
    let what = shared(found, |finding| &finding.what);
    html! {
        div class={ "group " (severity.as_str()) } {
            h3 {
                span class={ "tag " (severity.as_str()) } { (severity.as_str()) }
                " " (kind.map_or(id, |kind| kind.title)) " " code.id { (id) }
            }
            @if let Some(kind) = kind { p { (kind.why) } }
            @if let Some(what) = what { p { strong { "What was found: " } (visible(what)) } }
            @if let Some(fix) = fix { p { strong { "What to do: " } (visible(fix)) } }
            table {
                caption { (count(found.len(), "finding")) }
                thead {
                    tr {
                        th scope="col" { "Where" }
                        @if what.is_none() { th scope="col" { "What was found" } }
                        @if fix.is_none() { th scope="col" { "What to do" } }
                    }
                }
                tbody {
                    @for (number, finding) in found {
                        tr id={ "f" (number) } {
                            td { (places.place(finding)) }
                            @if what.is_none() { td { (visible(&finding.what)) } }
                            @if fix.is_none() { td { (visible(&finding.fix)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What several findings say alike; none where they differ, or there is one only.
fn shared<'a>(found: &[Numbered<'a>], text: impl Fn(&'a Finding) -> &'a String) -> Option<&'a str> {
    let (_, first) = found.first()?;
    let alike = found.len() > 1 && found.iter().all(|(_, finding)| text(finding) == text(first));
    alike.then(|| text(first).as_str())
}

fn suppressed(audit: &Audit, places: &Places<'_>) -> Markup {
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
                                td { (places.place(&one.finding)) }
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
