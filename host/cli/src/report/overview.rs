//! What the page begins and ends with: the numbers, whether the lock holds, and every interface in words.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ops_policy::finding::Severity;
use ops_policy::visible::visible;
use ops_runner::audit::{Audit, Import};

use super::{count, when};

/// The numbers.
pub(super) fn summary(audit: &Audit) -> Markup {
    let of = |severity| audit.findings.iter().filter(|finding| finding.severity == severity).count();
    let broken = audit.capabilities.iter().filter(|page| page.fault.is_some()).count();
    html! {
        p.made { "Made " (when(&audit.generated_at)) " UTC" }
        dl.tiles {
            @for severity in Severity::ALL.iter().rev().copied() {
                @let number = of(severity);
                div class=[(number > 0).then(|| severity.as_str())] {
                    dt { (severity.as_str()) " findings" }
                    dd { (number) }
                }
            }
            div { dt { "capabilities" } dd { (audit.capabilities.len()) } }
            @if broken > 0 { div.medium { dt { "cannot run" } dd { (broken) } } }
            div class=[lock_class(audit)] {
                dt { "lock" }
                dd.words { (lock_words(audit)) }
            }
        }
        @if let Some(why) = &audit.lock.why {
            p.fault { strong { "The lock does not hold: " } (visible(why)) }
        }
    }
}

fn lock_class(audit: &Audit) -> Option<&'static str> {
    match (audit.lock.holds, audit.lock.development) {
        (false, _) => Some("high"),
        (true, true) => Some("medium"),
        (true, false) => None,
    }
}

fn lock_words(audit: &Audit) -> String {
    let lock = &audit.lock;
    if !lock.holds {
        return "does not hold".to_owned();
    }
    let number = lock.counter.map(|counter| format!("number {counter}")).unwrap_or_default();
    let signer =
        lock.signer.as_ref().map(|signer| format!(", signed by {}", visible(signer))).unwrap_or_default();
    let development = if lock.development { ", for development" } else { "" };
    format!("holds: {number}{signer}{development}")
}

/// Every interface that anything here imports, in words, once.
pub(super) fn interfaces(audit: &Audit) -> Markup {
    let mut all: BTreeMap<(u8, &str), (&Import, usize)> = BTreeMap::new();
    for import in audit.capabilities.iter().flat_map(|page| &page.imports) {
        let weight = match import.class {
            "never" => 0,
            "power" => 1,
            _ => 2,
        };
        all.entry((weight, &import.name)).or_insert((import, 0)).1 += 1;
    }
    html! {
        section id="interfaces" aria-labelledby="interfaces-title" {
            h2 id="interfaces-title" { "Interfaces in words" }
            @if all.is_empty() {
                p { "Nothing here imports anything." }
            } @else {
                div.scroll role="region" aria-label="Interfaces, a wide table" tabindex="0" {
                    table {
                        caption { "What components import, and what that lets them do. A power reaches as far as a binding grants it; an inert \
                            interface reaches nothing by itself; one that is never granted keeps a component from running." }
                        thead {
                            tr {
                                th scope="col" { "Interface" }
                                th scope="col" { "Class" }
                                th scope="col" { "What it does" }
                                th scope="col" { "Imported by" }
                            }
                        }
                        tbody {
                            @for (import, number) in all.values() {
                                tr {
                                    th scope="row" { code { (visible(&import.name)) } }
                                    td { span class={ "tag " (import.class) } { (import.class) } }
                                    td { (visible(&import.words)) }
                                    td { (count(*number, "capability")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
