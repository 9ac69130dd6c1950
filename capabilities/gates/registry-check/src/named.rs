//! `D63`: a capability that is named anywhere is bound, can be called where it is to be called, takes the arguments that a
//! recovery action gives it, and has a domain.

use std::collections::BTreeMap;

use gates_common::registry::{self, Registry};
use gates_common::topology::{self, Topology};
use gates_common::{At, Finding, Look, Report, read};
use ops_guest::records::{self, Bound};
use ops_guest::{Ctx, Failure};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The contract of what is started when a gate fails. Its own gate is `D320`; here it is asked for names only.
const ACTIONS: &str = "recovery.actions.yaml";

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    // Another gate tells what is wrong with these two, so that one mistake fails one gate.
    let (Ok(gates), Ok(topology)) =
        (Registry::parse(&ctx.contract(registry::NAME)?), Topology::parse(&ctx.contract(topology::NAME)?))
    else {
        return Ok(look.skipped("a contract of the gates cannot be read: see D127"));
    };
    let bound = records::registry(ctx)?;
    let by_name: BTreeMap<_, _> = bound.iter().map(|bound| (bound.name.as_str(), bound)).collect();
    if !by_name.is_empty() {
        look.saw(format!("{} capabilities that are bound", by_name.len()));
    }
    of_gates(&gates, &by_name, &mut look);
    of_bindings(&bound, &by_name, &mut look);
    of_domains(&bound, &topology, &mut look);
    if let Ok(text) = ctx.contract(ACTIONS) {
        of_actions(&text, &by_name, &mut look);
    }
    Ok(look.report())
}

type ByName<'a> = BTreeMap<&'a str, &'a Bound>;

/// A gate is checked by a read-only capability that is bound. Of one that cannot run, D401 says so and nothing is known.
fn of_gates(gates: &Registry, by_name: &ByName<'_>, look: &mut Look) {
    let file = format!("bindings/{}", registry::NAME);
    look.saw(format!("the capabilities of {} gates", gates.active().count()));
    for gate in gates.active() {
        let name = &gate.capability.value;
        let what = match by_name.get(name.as_str()) {
            None => format!("{} is checked by `{name}`, which is not bound", gate.id.value),
            Some(bound) if bound.fault.is_none() && bound.safety != "read-only" => {
                format!("{} is checked by `{name}`, which is {}", gate.id.value, bound.safety)
            }
            Some(_) => continue,
        };
        let fix = "name a read-only capability that is bound, or bind it: `ops bind`";
        look.found(Finding::new(&file, gate.capability.referenced.line(), what, fix));
    }
}

/// What a binding lets its component call or start is bound; what it calls is read-only.
fn of_bindings(bound: &[Bound], by_name: &ByName<'_>, look: &mut Look) {
    let mut calls = 0;
    for one in bound {
        let invoked = one.invoke.iter().map(|name| (name, "call", true));
        let started = one.starts.iter().map(|name| (name, "start", false));
        for (name, verb, only_reading) in invoked.chain(started) {
            calls += 1;
            let what = match by_name.get(name.as_str()) {
                None => format!("`{}` may {verb} `{name}`, which is not bound", one.name),
                Some(found) if only_reading && found.fault.is_none() && found.safety != "read-only" => {
                    format!("`{}` may {verb} `{name}`, which is {}", one.name, found.safety)
                }
                Some(_) => continue,
            };
            let field = if only_reading { "invoke" } else { "starts" };
            let line = one.lines.get(&format!("{field} {name}")).copied().unwrap_or(0);
            look.found(Finding::new(&one.binding, line, what, "remove the name, or bind it"));
        }
    }
    look.saw(format!("{calls} capabilities that bindings may call or start"));
}

/// Each capability belongs to a domain.
fn of_domains(bound: &[Bound], topology: &Topology, look: &mut Look) {
    let line = topology.domains.first().map_or(0, |domain| domain.id.referenced.line());
    for one in bound.iter().filter(|one| topology.domain_of(&one.name).is_none()) {
        let what = format!("`{}` belongs to no domain", one.name);
        let fix = "add its prefix to `capability_prefixes` of the domain that it belongs to";
        look.found(Finding::new(format!("bindings/{}", topology::NAME), line, what, fix));
    }
}

/// The names in the recovery actions. Other fields are read over.
#[derive(Deserialize)]
struct Actions {
    observed_by: At<String>,
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    start: Start,
}

#[derive(Deserialize)]
struct Start {
    capability: At<String>,
    #[serde(default)]
    arguments: BTreeMap<String, IgnoredAny>,
}

/// What an action starts is bound and takes its arguments; what says which system failed is bound.
fn of_actions(text: &str, by_name: &ByName<'_>, look: &mut Look) {
    // What is wrong with its form is for D320 to say.
    let Ok(Actions { observed_by, actions }) = read::<Actions>(ACTIONS, text) else { return };
    look.saw(format!("the capabilities of {} recovery actions", actions.len()));
    for start in actions.iter().map(|action| &action.start) {
        // One that cannot run has no known arguments; why it cannot run is for D401 to say.
        let Some(bound) = by_name.get(start.capability.value.as_str()).filter(|bound| bound.fault.is_none())
        else {
            continue;
        };
        for argument in start.arguments.keys().filter(|argument| !bound.arguments.contains(argument)) {
            let what = format!("`{}` is started with `{argument}`, which is no argument of it", bound.name);
            let fix = match bound.arguments.is_empty() {
                true => "take it out: it has no arguments".to_owned(),
                false => format!("its arguments are: {}", bound.arguments.join(", ")),
            };
            let line = start.capability.referenced.line();
            look.found(Finding::new(format!("bindings/{ACTIONS}"), line, what, fix));
        }
    }
    let started = actions.into_iter().map(|action| action.start.capability);
    for name in started.chain([observed_by]).filter(|name| !by_name.contains_key(name.value.as_str())) {
        let what = format!("`{}` is to be run when a gate fails, and it is not bound", name.value);
        let line = name.referenced.line();
        look.found(Finding::new(
            format!("bindings/{ACTIONS}"),
            line,
            what,
            "name a capability that is bound",
        ));
    }
}
