//! `D402`: each domain that has capabilities has documents, and they are there.
//!
//! In this order: the contract can be read; its domains are domains; each domain with capabilities has a route; each page
//! is one that `ops sync` makes, of a capability of that domain; each guide is there, is not empty, and names a
//! capability of its domain.

use std::collections::BTreeSet;
use std::path::Path;

use gates_common::impact::{self, GUIDES, Impact, Route};
use gates_common::topology::{self, Topology};
use gates_common::{At, Finding, Look, Report};
use ops_guest::records::{self, Bound, Sync};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// The longest guide that is read, in bytes.
const GUIDE: u64 = 1024 * 1024;

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The gate.
    #[schemars(extend("x-ops-positional" = 0))]
    gate: Gate,
}

/// The gate of this capability.
#[derive(Deserialize, JsonSchema)]
enum Gate {
    /// Docs impact.
    D402,
}

#[capability(
    name = "gates.docs.check",
    summary = "Checks that each domain has its documents.",
    safety = "read-only",
    needs(
        service("ops", rule(GET "/registry", read), rule(GET "/sync", read)),
        contract("gate.execution.topology.yaml"),
        contract("docs.impact.contract.yaml"),
        directory("skills", read)
    )
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    let Gate::D402 = input.gate;
    let mut look = Look::of("D402");
    // D127 tells what is wrong with the topology, so that one mistake fails one gate.
    let Ok(topology) = Topology::parse(&ctx.contract(topology::NAME)?) else {
        return Ok(look.skipped("the topology cannot be read: see D127"));
    };
    let Some(impact) = look.take(Impact::parse(&ctx.contract(impact::NAME)?)) else {
        return Ok(look.report());
    };
    let sync = records::sync(ctx)?;
    // Then no page can be made at all, which is one mistake and not one for each page.
    if sync.files.is_empty() && !sync.differences.is_empty() {
        return Ok(look.skipped("the pages cannot be generated: see D67 and D401"));
    }
    let bound = records::registry(ctx)?;
    let pages = pages(sync);
    unrouted(&impact, &topology, &bound, &mut look);
    for route in &impact.routes {
        let domain = &route.domain;
        if !topology.domains.iter().any(|known| known.id.value == domain.value) {
            let what = format!("`{}` is no domain", domain.value);
            look.found(found(domain, what, &format!("name one of: {}", topology.names())));
            continue;
        }
        of_pages(route, &topology, &pages, &mut look);
        of_guides(route, &topology, &ctx.directory(GUIDES), &bound, &mut look);
    }
    Ok(look.report())
}

fn found(at: &At<String>, what: String, fix: &str) -> Finding {
    Finding::new(format!("bindings/{}", impact::NAME), at.referenced.line(), what, fix)
}

/// The capabilities that have a generated page.
fn pages(sync: Sync) -> BTreeSet<String> {
    let name = |file: &String| {
        let (folder, file) = file.rsplit_once('/')?;
        folder.ends_with("docs/capabilities").then(|| file.strip_suffix(".md").map(str::to_owned))?
    };
    sync.files.iter().filter_map(name).collect()
}

/// A domain with capabilities and without a route.
fn unrouted(impact: &Impact, topology: &Topology, bound: &[Bound], look: &mut Look) {
    let routed: BTreeSet<_> = impact.routes.iter().map(|route| route.domain.value.as_str()).collect();
    let mut told = BTreeSet::new();
    for one in bound {
        let Some(domain) = topology.domain_of(&one.name) else { continue };
        let id = domain.id.value.as_str();
        if !routed.contains(id) && told.insert(id) {
            let what = format!("the domain `{id}` has capabilities, such as `{}`, and no route", one.name);
            let fix = format!("add `- {{domain: {id}, pages: [{}]}}` to `routes`", one.name);
            let file = format!("bindings/{}", impact::NAME);
            look.found(Finding::new(file, impact.owner.referenced.line(), what, fix));
        }
    }
    look.saw(format!("the domains of {} capabilities", bound.len()));
}

/// Each page is generated, and of the route's own domain.
fn of_pages(route: &Route, topology: &Topology, pages: &BTreeSet<String>, look: &mut Look) {
    for page in &route.pages {
        let domain = topology.domain_of(&page.value).map(|domain| domain.id.value.as_str());
        if domain != Some(&route.domain.value) {
            let what = format!("`{}` is no capability of the domain `{}`", page.value, route.domain.value);
            look.found(found(page, what, "name a capability of the domain"));
        } else if !pages.contains(&page.value) {
            let what = format!("there is no generated page docs/capabilities/{}.md", page.value);
            look.found(found(page, what, "bind the capability, then `ops sync`; or name another one"));
        }
    }
    look.saw(format!("{} pages of {}", route.pages.len(), route.domain.value));
}

/// Each guide is there and speaks of its domain.
fn of_guides(route: &Route, topology: &Topology, folder: &Path, bound: &[Bound], look: &mut Look) {
    let of_domain =
        |name: &str| topology.domain_of(name).is_some_and(|domain| domain.id.value == route.domain.value);
    for guide in &route.guides {
        let file = folder.join(&guide.value);
        let short = std::fs::metadata(&file).is_ok_and(|about| about.is_file() && about.len() <= GUIDE);
        let text = if short { std::fs::read_to_string(&file).ok() } else { None };
        let (what, fix) = match text {
            None => {
                (format!("there is no readable guide {GUIDES}/{}", guide.value), "write it, or take it out")
            }
            Some(text) if bound.iter().any(|one| of_domain(&one.name) && names(&text, &one.name)) => {
                look.saw(format!("the guide {GUIDES}/{}", guide.value));
                continue;
            }
            Some(_) => (
                format!(
                    "{GUIDES}/{} names no capability of the domain `{}`",
                    guide.value, route.domain.value
                ),
                "say in it which capability to run",
            ),
        };
        look.found(found(guide, what, fix));
    }
}

/// Whether a text has this name in it, and not only as a part of a longer one. A full stop after it ends a sentence.
fn names(text: &str, name: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + name.len()..).unwrap_or_default().chars();
        let goes_on = match after.next() {
            Some('.') => after.next().is_some_and(part),
            next => next.is_some_and(part),
        };
        !goes_on && !before.is_some_and(|letter| part(letter) || letter == '.')
    })
}
