//! A section for each capability: what it is, what it imports, what was wanted, granted and used, and what its newest
//! runs were.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ops_policy::visible::visible;
use ops_runner::audit::{
    Audit, Claims, Coverage, Import, Page, ReviewState, ReviewView, RightRow, RunView, ServiceView,
};

use super::{anchor, count};

/// The runs that are listed of each capability.
const RUNS: usize = 10;
/// The same, where there are very many capabilities.
const FEW_RUNS: usize = 3;
/// How many that is.
const VERY_MANY: usize = 200;

/// The section.
pub(super) fn section(audit: &Audit) -> Markup {
    let mut found: BTreeMap<&str, Vec<(usize, &'static str, &'static str)>> = BTreeMap::new();
    for (number, finding) in audit.findings.iter().enumerate() {
        if let Some(capability) = &finding.capability {
            found.entry(capability).or_default().push((number + 1, finding.id, finding.severity.as_str()));
        }
    }
    let many = audit.capabilities.len() > VERY_MANY;
    let runs = if many { FEW_RUNS } else { RUNS };
    html! {
        section id="capabilities" class=[many.then_some("many")] aria-labelledby="capabilities-title" {
            h2 id="capabilities-title" { "Capabilities" }
            @if audit.capabilities.is_empty() { p.none { "There is no binding." } }
            @for (number, page) in audit.capabilities.iter().enumerate() {
                article id=(anchor(number, &page.capability)) {
                    h3 { (visible(&page.capability)) }
                    (tags(page))
                    @if !page.summary.is_empty() { p { (visible(&page.summary)) } }
                    @if let Some(fault) = &page.fault { p.fault { strong { "Not as it should be: " } (visible(fault)) } }
                    @if let Some(why) = &page.needs_unknown { p.fault { strong { "What it needs is not known: " } (visible(why)) } }
                    @if let Some(found) = found.get(page.capability.as_str()) {
                        p.found {
                            "Findings: "
                            @for (number, id, severity) in found {
                                a class={ "tag " (severity) } href={ "#f" (number) } { (id) } " "
                            }
                        }
                    }
                    (imports(&page.imports, many))
                    (services(&page.services))
                    (rights(page))
                    (about(page))
                    (receipts(page, runs))
                }
            }
        }
    }
}

fn tags(page: &Page) -> Markup {
    let class = match page.safety.as_str() {
        "destructive" => "destroy",
        "mutating" => "change",
        _ => "read",
    };
    html! {
        p.tags {
            @if !page.safety.is_empty() { span class={ "tag " (class) } { (visible(&page.safety)) } " " }
            @match page.approval.as_str() {
                "" | "none" => {}
                "auto" => { span.tag.high { "nobody approves" } " " }
                ways => { span.tag { "approved " (visible(ways)) } " " }
            }
            @if let Some(review) = &page.review { (review_tag(review)) }
        }
    }
}

fn review_tag(review: &ReviewView) -> Markup {
    let (class, word) = match review.state {
        ReviewState::Valid => ("good", "reviewed"),
        ReviewState::Outdated => ("medium", "review outdated"),
        ReviewState::Expired => ("medium", "review expired"),
        ReviewState::Unsigned => ("high", "review without a signature that counts"),
    };
    html! {
        span class={ "tag " (class) } {
            (word) ": " (visible(&review.reviewer)) ", " (day(&review.at)) " to " (day(&review.expires))
        }
        @if let Some(why) = &review.why { " " (visible(why)) }
    }
}

fn day(time: &str) -> String {
    visible(time.split('T').next().unwrap_or_default())
}

/// Powers in words with their functions; what is inert by name, as the page's last section has it in words. Of very many
/// capabilities, that section has all words, and what is inert is named by its packages.
fn imports(imports: &[Import], many: bool) -> Markup {
    let (inert, weighty): (Vec<_>, Vec<_>) = imports.iter().partition(|import| import.class == "inert");
    html! {
        @if !imports.is_empty() {
            h4 { "Imports" }
            ul {
                @for import in weighty {
                    li {
                        code { (visible(&import.name)) }
                        @if import.class == "never" { " " span.tag.high { "never granted" } }
                        @if !many { " " (visible(&import.words)) }
                        @if !import.functions.is_empty() { " (" (functions(import)) ")" }
                    }
                }
                @if !inert.is_empty() { li { (count(inert.len(), "inert interface")) ": " (families(&inert, many)) } }
            }
        }
    }
}

fn functions(import: &Import) -> String {
    let short = |name: &String| visible(name.split_once(']').map_or(name.as_str(), |(_, name)| name));
    import.functions.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// `wasi:io 0.2.6 error, poll, streams; …`, each package once; only the packages, where it has to be brief.
fn families(imports: &[&Import], brief: bool) -> String {
    let mut families: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for import in imports {
        let (name, version) = import.name.split_once('@').unwrap_or((&import.name, ""));
        let (package, interface) = name.split_once('/').unwrap_or((name, ""));
        families.entry(format!("{package} {version}")).or_default().push(interface);
    }
    let families = families.iter().map(|(package, names)| match brief {
        true => package.clone(),
        false => format!("{package} {}", names.join(", ")),
    });
    visible(&families.collect::<Vec<_>>().join("; "))
}

fn services(services: &[ServiceView]) -> Markup {
    html! {
        @if !services.is_empty() {
            h4 { "Services" }
            ul {
                @for service in services {
                    li {
                        strong { (visible(&service.name)) } " is " code { (visible(&service.place)) }
                        @if !service.addresses.is_empty() { ", may be dialled in " (visible(&service.addresses.join(", "))) }
                        @if !service.trust.is_empty() { "; " (visible(&service.trust)) }
                        @for secret in &service.secrets { "; with the secret " (visible(secret)) }
                    }
                }
            }
        }
    }
}

/// Who wanted it, who granted it, was it used.
fn rights(page: &Page) -> Markup {
    html! {
        @if !page.rights.is_empty() {
            table {
                caption { "Rights" }
                thead {
                    tr {
                        th scope="col" { "Right" }
                        th scope="col" { "Needed" }
                        th scope="col" { "Granted" }
                        th scope="col" { "Used" }
                    }
                }
                tbody {
                    @for row in &page.rights {
                        tr {
                            th scope="row" { (visible(&row.right)) @if let Some(rule) = &row.rule { " " code.id { (visible(rule)) } } }
                            td { (needed(row)) }
                            td {
                                @if row.granted { "yes" @if let Some(line) = row.line { ", line " (line) } }
                                @else { span.tag.low { "no" } }
                            }
                            td { (used(row, page.looked_at)) }
                        }
                    }
                }
            }
        }
    }
}

fn needed(row: &RightRow) -> Markup {
    html! {
        @match row.needed {
            Coverage::Whole if row.optional => "optional",
            Coverage::Whole => "yes",
            Coverage::Part => span.tag.medium { "in part" },
            Coverage::No => span.tag.medium { "no" },
            Coverage::Unknown => "not known",
        }
    }
}

fn used(row: &RightRow, looked_at: u64) -> Markup {
    html! {
        @match row.used {
            _ if !row.granted => {}
            None => { "not recorded" }
            Some(_) if looked_at == 0 => { "no runs" }
            Some(0) => { span.tag.low { "never" } }
            Some(runs) => { (runs) " of " (looked_at) " runs" }
        }
    }
}

fn about(page: &Page) -> Markup {
    let limits: Vec<_> = page.limits.iter().map(|(name, amount)| format!("{name} {amount}")).collect();
    html! {
        dl {
            @if !limits.is_empty() { dt { "Limits" } dd { (visible(&limits.join(", "))) } }
            dt { "Binding" } dd { code { (visible(&page.binding)) } }
            @if !page.component.is_empty() {
                dt { "Component" }
                dd {
                    code { (visible(&page.component)) }
                    @if let Some(version) = &page.version { ", version " (visible(version)) }
                    @if let Some(digest) = &page.digest { br; code { (visible(digest)) } }
                }
            }
            @if let Some(said) = claimed(&page.claims) { dt { "It claims" } dd { (said) } }
        }
    }
}

/// What it says of itself, in a line.
fn claimed(claims: &Claims) -> Option<String> {
    let said = [
        ("name", &claims.name),
        ("version", &claims.version),
        ("authors", &claims.authors),
        ("licence", &claims.licenses),
        ("source", &claims.source),
        ("revision", &claims.revision),
        ("home page", &claims.homepage),
    ];
    let mut said: Vec<_> =
        said.iter().filter_map(|(what, said)| Some(format!("{what} {}", said.as_ref()?))).collect();
    if !claims.producers.is_empty() {
        // Each begins with what the tool was for, which its name says as well.
        let tools =
            claims.producers.iter().map(|tool| tool.split_once(' ').map_or(tool.as_str(), |(_, name)| name));
        said.push(format!("made with {}", tools.collect::<Vec<_>>().join(", ")));
    }
    (!said.is_empty()).then(|| visible(&said.join("; ")))
}

/// What was refused, and its newest runs.
fn receipts(page: &Page, most: usize) -> Markup {
    html! {
        @if !page.denied.is_empty() {
            h4 { "Asked for and refused" }
            ul {
                @for denied in &page.denied {
                    li {
                        strong { (visible(&denied.what)) } ": " (visible(&denied.reason)) ", in "
                        (count(usize::try_from(denied.runs).unwrap_or(usize::MAX), "run"))
                        @if !denied.current { ", by another component than the one that is there now" }
                    }
                }
            }
        }
        @if page.runs.is_empty() {
            p.none { "No runs." }
        } @else {
            h4 { "Newest runs" @if page.runs.len() > most { ", " (most) " of " (page.looked_at) } }
            ul { @for run in page.runs.iter().take(most) { (run_line(run)) } }
        }
    }
}

/// When it was stands in its key.
fn run_line(run: &RunView) -> Markup {
    html! {
        li {
            code { (visible(&run.key)) } " " (visible(&run.status))
            @if let Some(who) = &run.approved_by { ", approved by " (visible(who)) }
        }
    }
}
