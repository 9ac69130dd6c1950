//! A component that is ready to run: on the host's side a file of compiled code and what was read off it; where guests
//! run, that code, mapped, with its links.

use std::fs::File;
use std::sync::OnceLock;

use ops_policy::digest::Digest;
use ops_policy::manifest::Safety;
use wasmtime::Engine;

use crate::bindings::CapabilityPre;
use crate::cache::{self, Compiled};
use crate::card::Card;
use crate::job::{End, Links};
use crate::state::State;
use crate::{imports, link, text};

/// A compiled component.
pub struct Component {
    /// The file that its code is in.
    file: File,
    digest: Digest,
    card: Card,
    from_cache: bool,
}

impl Component {
    pub(crate) fn new(compiled: Compiled, digest: Digest, from_cache: bool) -> Self {
        let Compiled { file, card } = compiled;
        Self { file, digest, card, from_cache }
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The full names of its imports with their versions, sorted: all that it can ever ask for.
    pub fn imports(&self) -> &[String] {
        &self.card.imports
    }

    /// The full names of its exports with their versions, sorted.
    pub fn exports(&self) -> &[String] {
        &self.card.exports
    }

    /// The digest of its interface: the sorted lines `import INTERFACE FUNCTION` and `export INTERFACE FUNCTION`.
    ///
    /// It changes when a component begins to use one more function of an interface that it imported before.
    pub fn interface_digest(&self) -> Digest {
        self.card.interface
    }

    /// Whether it came compiled from the cache.
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    /// The open file with its compiled code, for a process that is to run it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// A component's code where guests run.
pub(crate) struct Code {
    inner: wasmtime::component::Component,
    /// The full names of its imports, sorted.
    imports: Vec<String>,
    /// Those of our interfaces that it imports.
    needed: Links,
    /// The code with its links. Nothing of a run is in it.
    linked: OnceLock<CapabilityPre<State>>,
}

impl Code {
    /// Maps what is in a file that was checked, as [`cache::map`] says.
    pub(crate) fn map(engine: &Engine, file: &File) -> std::io::Result<Self> {
        let inner = cache::map(engine, file)?;
        let kind = inner.component_type();
        let mut imports: Vec<_> = kind.imports(engine).map(|(name, _)| name.to_owned()).collect();
        imports.sort_unstable();
        let needed = imports::needed(&imports);
        Ok(Self { inner, imports, needed, linked: OnceLock::new() })
    }

    /// The code with the links that it needs, which have to be among these. Before anything of it runs, its imports are checked
    /// against them, and it against the contract.
    ///
    /// # Errors
    ///
    /// How a run with these links ends.
    pub(crate) fn linked(&self, links: Links) -> Result<CapabilityPre<State>, End> {
        // What was linked once was checked, and is so still with as much.
        if let Some(linked) = self.linked.get().filter(|_| imports::covers(links, self.needed)) {
            return Ok(linked.clone());
        }
        // The host has asked this with the real safety class. Asked again, so that no caller can forget it.
        imports::check(&self.imports, links, Safety::Destructive)
            .map_err(|refused| End::NotStarted(refused.to_string()))?;
        let engine = self.engine();
        let linked = link::linker(engine, self.needed)
            .and_then(|linker| linker.instantiate_pre(&self.inner))
            .and_then(CapabilityPre::new)
            .map_err(|error| End::NotStarted(text::first_line(&error)))?;
        Ok(self.linked.get_or_init(|| linked).clone())
    }

    /// Does what the first run would do besides running, as far as it can be done before. Whatever is in the way of it, that
    /// run finds out.
    pub(crate) fn prepare(&self) {
        let _ = self.linked(self.needed);
        Engine::tls_eager_initialize();
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.inner.engine()
    }

    pub(crate) fn inner(&self) -> &wasmtime::component::Component {
        &self.inner
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Guest, sandbox};

    #[test]
    fn imports_are_sorted_full_names() {
        let (sandbox, _folder) = sandbox();
        let guest = Guest {
            imports: r#"
                (import "wasi:clocks/wall-clock@0.2.6" "now" (func (param i32)))
                (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func (result i64)))"#,
            ..Guest::default()
        };
        let component = sandbox.load(&guest.build()).unwrap();
        assert_eq!(
            component.imports(),
            ["wasi:clocks/monotonic-clock@0.2.6", "wasi:clocks/wall-clock@0.2.6"]
        );
        assert_eq!(component.exports(), ["ops:capability/guest@0.1.0"]);
    }

    #[test]
    fn one_more_function_is_another_interface() {
        let (sandbox, _folder) = sandbox();
        let now = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func (result i64)))"#;
        let both = r#"
            (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.6" "resolution" (func (result i64)))"#;
        let digest = |imports, run| {
            let component = sandbox.load(&Guest { imports, run, ..Guest::default() }.build()).unwrap();
            (component.digest(), component.interface_digest())
        };
        let (first, interface) = digest(now, "unreachable");
        let (second, same_interface) = digest(now, "(loop br 0) unreachable");
        assert_ne!(first, second);
        assert_eq!(interface, same_interface);
        assert_ne!(interface, digest(both, "unreachable").1);
    }
}
