//! Which gates a scope has.
//!
//! A gate that is named and not registered is not left out: it becomes a row that says so.

use gates_common::profiles::{Pack, Profiles};
use gates_common::registry::{Class, Gate, Status};
use gates_common::topology::Domain;
use ops_guest::Failure;

use crate::Gates;

/// What is to be verified, with the ids of its gates, each once.
pub struct Scope {
    /// In words, for example `domain aof`.
    pub name: String,
    /// The domains that it was made of.
    pub domains: Vec<String>,
    /// The gates.
    pub ids: Vec<String>,
}

impl Scope {
    fn new(name: impl Into<String>, domains: Vec<String>) -> Self {
        Self { name: name.into(), domains, ids: vec![] }
    }

    fn with<'a>(mut self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        for id in ids {
            if !self.ids.iter().any(|known| known == id) {
                self.ids.push(id.to_owned());
            }
        }
        self
    }

    /// The core gates.
    pub fn core(gates: &Gates) -> Self {
        Self::new("core", vec![]).with(core(gates))
    }

    /// Core gates that must hold at any time.
    pub fn fast(gates: &Gates) -> Self {
        Self::new("fast", vec![]).with(core(gates).filter(|id| is_of(gates, id, &[Class::Invariant])))
    }

    /// As [`Scope::fast`], and what must hold or gets old in one domain.
    ///
    /// # Errors
    /// `InvalidInput`, with the names that there are, where there is no such domain.
    pub fn fast_and_domain(gates: &Gates, name: &str) -> Result<Self, Failure> {
        let domain = known(gates, name)?;
        let id = domain.id.value.as_str();
        let of_domain = gates.topology.gates_of(id);
        let classes = [Class::Invariant, Class::Freshness];
        Ok(Self::new(format!("fast and domain {id}"), vec![id.to_owned()])
            .with(core(gates).filter(|id| is_of(gates, id, &[Class::Invariant])))
            .with(of_domain.filter(|id| is_of(gates, id, &classes))))
    }

    /// All gates of one domain.
    ///
    /// # Errors
    /// As [`Scope::fast_and_domain`].
    pub fn domain(gates: &Gates, name: &str) -> Result<Self, Failure> {
        let id = known(gates, name)?.id.value.as_str();
        Ok(Self::new(format!("domain {id}"), vec![id.to_owned()]).with(gates.topology.gates_of(id)))
    }

    /// All gates that are in use, in the order of the release.
    pub fn release(gates: &Gates) -> Self {
        let domains: Vec<_> = gates.topology.release.iter().map(|domain| domain.value.clone()).collect();
        let in_order =
            gates.topology.release.iter().flat_map(|domain| gates.topology.gates_of(&domain.value));
        // A gate that no domain has is D127's finding; a release runs it all the same.
        let all = gates.registry.active().map(|gate| gate.id.value.as_str());
        Self::new("release", domains).with(in_order).with(all)
    }

    /// A pack, or a domain of that name.
    ///
    /// # Errors
    /// `InvalidInput`, with the names that there are, where there is neither.
    pub fn pack(gates: &Gates, profiles: &Profiles, name: &str) -> Result<Self, Failure> {
        match profiles.pack(name) {
            Some(pack) => Ok(Self::of_pack(gates, pack)),
            None if gates.topology.domain(name).is_some() => Self::domain(gates, name),
            None => {
                let packs: Vec<_> = profiles.packs.iter().map(|pack| pack.name.value.as_str()).collect();
                let (packs, domains) = (packs.join(", "), gates.topology.names());
                Err(Failure::invalid(format!(
                    "there is no pack `{name}`; packs: {packs}; domains: {domains}"
                )))
            }
        }
    }

    /// The gates of a pack.
    pub fn of_pack(gates: &Gates, pack: &Pack) -> Self {
        let domains: Vec<_> = pack.domains.iter().map(|domain| domain.value.clone()).collect();
        let scope = Self::new(format!("pack {}", pack.name.value), domains.clone());
        let scope = if pack.core { scope.with(core(gates)) } else { scope };
        if pack.gates.is_empty() {
            scope.with(domains.iter().flat_map(|domain| gates.topology.gates_of(domain)))
        } else {
            scope.with(pack.gates.iter().map(|gate| gate.value.as_str()))
        }
    }
}

fn core(gates: &Gates) -> impl Iterator<Item = &str> {
    gates.topology.core.iter().map(|id| id.value.as_str())
}

/// Whether a gate is of one of these classes. One that is not registered is kept, so that it is seen.
fn is_of(gates: &Gates, id: &str, classes: &[Class]) -> bool {
    gates.registry.gate(id).is_none_or(|gate| classes.contains(&gate.class))
}

fn known<'a>(gates: &'a Gates, name: &str) -> Result<&'a Domain, Failure> {
    let names = gates.topology.names();
    gates
        .topology
        .domain(name)
        .ok_or_else(|| Failure::invalid(format!("there is no domain `{name}`; domains: {names}")))
}

/// A gate of a scope, as far as it can be run.
pub(crate) enum Found<'a> {
    /// It is in use.
    Active(&'a Gate),
    /// It was in use.
    Retired(&'a Gate),
    /// The registry has no such gate.
    Missing,
}

pub(crate) fn find<'a>(gates: &'a Gates, id: &str) -> Found<'a> {
    match gates.registry.gate(id) {
        Some(gate) if gate.status == Status::Active => Found::Active(gate),
        Some(gate) => Found::Retired(gate),
        None => Found::Missing,
    }
}
