//! What the three contracts say of one another.

use std::collections::{BTreeMap, BTreeSet};

use gates_common::profiles::{self, Profiles};
use gates_common::registry::{self, Registry, Status};
use gates_common::topology::{self, Topology};
use gates_common::{At, Finding, Look};

pub(crate) fn check(registry: &Registry, topology: &Topology, profiles: &Profiles, look: &mut Look) {
    assignments(registry, topology, look);
    domains(topology, look);
    core(registry, topology, look);
    packs(topology, profiles, look);
}

fn in_registry(at: &At<String>, what: String, fix: &str) -> Finding {
    Finding::new(format!("bindings/{}", registry::NAME), at.referenced.line(), what, fix)
}

fn in_topology(at: &At<String>, what: String, fix: &str) -> Finding {
    Finding::new(format!("bindings/{}", topology::NAME), at.referenced.line(), what, fix)
}

/// Every active gate is assigned once, and every assigned gate is an active one.
fn assignments(registry: &Registry, topology: &Topology, look: &mut Look) {
    let mut times = BTreeMap::<&str, u32>::new();
    for assignment in &topology.assignments {
        let id = &assignment.gate;
        let before = times.entry(&id.value).or_default();
        *before += 1;
        if *before > 1 {
            look.found(in_topology(id, format!("the gate `{}` is assigned twice", id.value), "keep one"));
        }
        let what = match registry.gate(&id.value).map(|gate| gate.status) {
            Some(Status::Active) => continue,
            Some(Status::Retired) => format!("the gate `{}` is assigned, and it is retired", id.value),
            None => format!("the gate `{}` is assigned, and {} has no such gate", id.value, registry::NAME),
        };
        look.found(in_topology(id, what, "remove the assignment, or register the gate"));
    }
    look.saw(format!(
        "{} active gates and {} assignments",
        registry.active().count(),
        topology.assignments.len()
    ));
    for gate in registry.active().filter(|gate| !times.contains_key(gate.id.value.as_str())) {
        let what = format!("the gate `{}` is registered and not assigned", gate.id.value);
        let fix = format!(
            "add `- {{gate: {}, primary: DOMAIN}}` to `assignments` of {}",
            gate.id.value,
            topology::NAME
        );
        look.found(in_registry(&gate.id, what, &fix));
    }
}

/// Every name of a domain is one, each domain has a gate, and the release goes through all of them.
fn domains(topology: &Topology, look: &mut Look) {
    let known: BTreeSet<&str> = topology.domains.iter().map(|domain| domain.id.value.as_str()).collect();
    let of_assignments = topology
        .assignments
        .iter()
        .flat_map(|assignment| [&assignment.primary].into_iter().chain(&assignment.secondary));
    let of_domains = topology.domains.iter().flat_map(|domain| &domain.depends_on);
    for name in of_assignments.chain(of_domains).chain(&topology.release) {
        if !known.contains(name.value.as_str()) {
            let what = format!("`{}` is no domain", name.value);
            look.found(in_topology(name, what, &format!("name one of: {}", topology.names())));
        }
    }
    let released: BTreeSet<&str> = topology.release.iter().map(|name| name.value.as_str()).collect();
    for domain in &topology.domains {
        let id = &domain.id;
        if !released.contains(id.value.as_str()) {
            let what = format!("the release leaves out the domain `{}`", id.value);
            look.found(in_topology(id, what, "add it to `release`"));
        }
        if topology.gates_of(&id.value).next().is_none() {
            let what = format!("the domain `{}` has no gate, so nothing of it is ever checked", id.value);
            look.found(in_topology(id, what, "assign a gate to it, as primary or secondary"));
        }
    }
    look.saw(format!("{} domains and their release", topology.domains.len()));
}

/// The core gates are active.
fn core(registry: &Registry, topology: &Topology, look: &mut Look) {
    let is_active = |id: &str| registry.gate(id).is_some_and(|gate| gate.status == Status::Active);
    for id in topology.core.iter().filter(|id| !is_active(&id.value)) {
        let what = format!("the core gate `{}` is not an active gate of {}", id.value, registry::NAME);
        look.found(in_topology(id, what, "register it, or take it out of `core`"));
    }
    look.saw(format!("{} core gates", topology.core.len()));
}

/// A pack names domains that there are, and only gates that the topology gives to them.
fn packs(topology: &Topology, profiles: &Profiles, look: &mut Look) {
    let found = |at: &At<String>, what: String, fix: &str| {
        Finding::new(format!("bindings/{}", profiles::NAME), at.referenced.line(), what, fix)
    };
    for pack in &profiles.packs {
        let name = &pack.name;
        if topology.domain(&name.value).is_some() {
            let what = format!("the pack `{}` has the name of a domain", name.value);
            look.found(found(name, what, "give it another name"));
        }
        let mut gates = BTreeSet::new();
        for domain in &pack.domains {
            if topology.domains.iter().any(|known| known.id.value == domain.value) {
                gates.extend(topology.gates_of(&domain.value));
            } else {
                let what = format!("`{}` is no domain", domain.value);
                look.found(found(domain, what, &format!("name one of: {}", topology.names())));
            }
        }
        for gate in pack.gates.iter().filter(|gate| !gates.contains(gate.value.as_str())) {
            let what = format!(
                "the pack `{}` runs the gate `{}`, which the topology gives to none of its domains",
                name.value, gate.value
            );
            look.found(found(gate, what, "assign the gate there, or take it out of the pack"));
        }
    }
    look.saw(format!("{} packs", profiles.packs.len()));
}
