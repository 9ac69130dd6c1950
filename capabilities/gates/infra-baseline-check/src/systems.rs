//! What is declared of each system, against what is bound, registered and agreed.
//!
//! That a name is not bound is told here only where `D63`, which looks through bindings, gates and recovery actions, does
//! not come upon it, and a binding that cannot run is for `D401`: one mistake fails one gate.

use gates_common::registry::{Registry, Status};
use gates_common::{Finding, Look, line_of};
use infra_common::baseline::{self, Baseline, Declared};
use infra_common::recovery::Actions;
use infra_common::smoke;
use ops_guest::records::Bound;

/// The capability that starts what a recovery action names.
const DISPATCH: &str = "recovery.dispatch";

/// What is compared.
pub(crate) struct World {
    pub(crate) baseline: Baseline,
    /// The text of the baseline, for lines.
    pub(crate) text: String,
    pub(crate) known: Actions,
    pub(crate) gates: Registry,
    pub(crate) bound: Vec<Bound>,
}

pub(crate) fn check(world: &World, look: &mut Look) {
    for declared in &world.baseline.systems {
        let before = look.count();
        probe(world, declared, look);
        recovery(world, declared, look);
        evidence(world, declared, look);
        if look.count() == before && !world.told(&declared.smoke.capability) {
            let action = &declared.self_heal.recovery_action_id;
            look.saw(format!("{}: {}, {action}", declared.system, declared.smoke.capability));
        }
    }
}

impl World {
    fn bound(&self, name: &str) -> Option<&Bound> {
        self.bound.iter().find(|bound| bound.name == name)
    }

    /// Whether `D63` says of this name that it is not bound, or `D401` that it cannot run.
    fn told(&self, name: &str) -> bool {
        let is = |other: &String| other == name;
        match self.bound(name) {
            Some(bound) => bound.fault.is_some(),
            None => {
                self.bound.iter().any(|bound| bound.invoke.iter().chain(&bound.starts).any(is))
                    || self.gates.active().any(|gate| is(&gate.capability.value))
                    || self.known.actions.iter().any(|action| is(&action.start.capability))
                    || is(&self.known.observed_by)
            }
        }
    }

    /// The system before this one that is probed by the same capability.
    fn twin(&self, declared: &Declared) -> Option<&Declared> {
        let before = self.baseline.systems.iter().take_while(|other| other.system != declared.system);
        before.into_iter().find(|other| other.smoke.capability == declared.smoke.capability)
    }

    /// A finding at the line of a system's part of the contract that holds this word.
    fn at(&self, declared: &Declared, word: &str, what: String, fix: &str) -> Finding {
        let line = line_in(&self.text, declared.system.as_str(), word);
        Finding::new(format!("bindings/{}", baseline::NAME), line, what, fix)
    }
}

/// The first line from that of the system on which holds the word; that of the system where none does.
fn line_in(text: &str, system: &str, word: &str) -> u64 {
    let start = line_of(text, &format!("system: {system}"));
    let before = usize::try_from(start).unwrap_or(0).saturating_sub(1);
    let rest: String = text.split_inclusive('\n').skip(before).collect();
    match line_of(&rest, word) {
        0 => start,
        line => line + before as u64,
    }
}

/// The probe is bound, reads only, and the smoke runner may call it.
fn probe(world: &World, declared: &Declared, look: &mut Look) {
    let (system, name) = (declared.system, &declared.smoke.capability);
    if declared.smoke.checks.is_empty() {
        let what = format!("no check of {system} is declared, so nothing shows that it works");
        look.found(world.at(declared, "checks", what, "name the checks of its probe"));
    }
    if let Some(twin) = world.twin(declared) {
        let what = format!("{system} is probed by `{name}`, which is the probe of {}", twin.system);
        return look.found(world.at(declared, name, what, "give each system a probe of its own"));
    }
    match world.bound(name) {
        _ if world.told(name) => {}
        None => {
            let what = format!("{system} is probed by `{name}`, which is not bound");
            look.found(world.at(declared, name, what, "bind the probe, then `ops pin`"));
        }
        Some(bound) if bound.safety != "read-only" => {
            let what = format!("{system} is probed by `{name}`, which is {}", bound.safety);
            look.found(world.at(declared, name, what, "name a read-only capability"));
        }
        Some(_) => {}
    }
    let runner = world.bound(smoke::CAPABILITY);
    if world.told(smoke::CAPABILITY) || runner.is_some_and(|runner| runner.invoke.contains(name)) {
        return;
    }
    let what = format!("{} does not look at {system}: it may not call `{name}`", smoke::CAPABILITY);
    let file = format!("bindings/{}.yaml", smoke::CAPABILITY);
    let line = runner.map_or(0, |runner| line(runner, "invoke"));
    look.found(Finding::new(file, line, what, format!("add `{name}` to `invoke`, then `ops pin`")));
}

/// The line of a field in a binding; 0 where it is not known.
fn line(bound: &Bound, field: &str) -> u64 {
    bound.lines.get(field).copied().unwrap_or(0)
}

/// The action is there for this system and this failure, and may be started; the gates that call for it are in use.
fn recovery(world: &World, declared: &Declared, look: &mut Look) {
    let (system, heal) = (declared.system, &declared.self_heal);
    let id = &heal.recovery_action_id;
    for gate in &heal.trigger_gate_ids {
        if world.gates.gate(gate).is_none_or(|gate| gate.status != Status::Active) {
            let what = format!("the recovery of {system} waits for the gate `{gate}`, which is not in use");
            look.found(world.at(declared, gate, what, "name a gate of gate.registry.yaml"));
        }
    }
    let Some(action) = world.known.actions.iter().find(|action| action.id == *id) else {
        let what = format!("{system} is recovered by `{id}`, and recovery.actions.yaml has no such action");
        return look.found(world.at(declared, id, what, "add the action, or name one that is there"));
    };
    let trigger = &action.trigger;
    let answers = trigger.failure_class == heal.failure_class
        && trigger.system.is_none_or(|own| own == system)
        && heal.trigger_gate_ids.iter().all(|gate| trigger.gate_ids.contains(gate));
    if !answers {
        let what =
            format!("the action `{id}` is for another failure than the one of {system} that calls for it");
        look.found(world.at(declared, id, what, "make gates, failure class and system of both the same"));
    }
    let start = &action.start.capability;
    let dispatch = world.bound(DISPATCH);
    let may = dispatch.is_some_and(|dispatch| dispatch.starts.contains(start));
    if !may && !world.told(start) && !world.told(DISPATCH) {
        let what = format!("{DISPATCH} may not start `{start}`, which recovers {system}");
        let file = format!("bindings/{DISPATCH}.yaml");
        let line = dispatch.map_or(0, |dispatch| line(dispatch, "starts"));
        look.found(Finding::new(file, line, what, format!("add `{start}` to `starts`, then `ops pin`")));
    }
}

/// What shows that the system was taken in can be run.
fn evidence(world: &World, declared: &Declared, look: &mut Look) {
    let names = &declared.lifecycle_requirements.evidence_capabilities;
    for name in names.iter().filter(|name| world.bound(name).is_none() && !world.told(name)) {
        let what = format!("`{name}` is to show that {} was taken in, and it is not bound", declared.system);
        look.found(world.at(declared, name, what, "bind it, or name another one"));
    }
}
