//! A component that is ready to run, and what can be read off it before it does.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::OnceLock;

use ops_policy::digest::Digest;
use wasmtime::component::types::ComponentItem;

use crate::bindings::CapabilityPre;
use crate::cache::Compiled;
use crate::job::Links;
use crate::link;
use crate::state::State;

/// A compiled component.
pub struct Component {
    inner: wasmtime::component::Component,
    /// The file that its code is in.
    file: File,
    digest: Digest,
    interface_digest: Digest,
    imports: Vec<String>,
    exports: Vec<String>,
    from_cache: bool,
    /// The component with its links, for each set of links that it ran with. Nothing of a run is in it.
    linked: [OnceLock<CapabilityPre<State>>; 16],
}

impl Component {
    pub(crate) fn new(compiled: Compiled, digest: Digest, from_cache: bool) -> Self {
        let Compiled { component: inner, file } = compiled;
        let engine = inner.engine();
        let kind = inner.component_type();
        let mut lines = Vec::new();
        let mut imports = Vec::new();
        for (name, item) in kind.imports(engine) {
            describe(&mut lines, engine, "import", name, &item.ty);
            imports.push(name.to_owned());
        }
        let mut exports = Vec::new();
        for (name, item) in kind.exports(engine) {
            describe(&mut lines, engine, "export", name, &item.ty);
            exports.push(name.to_owned());
        }
        imports.sort_unstable();
        exports.sort_unstable();
        lines.sort_unstable();
        let interface_digest = Digest::of(lines.concat().as_bytes());
        Self {
            inner,
            file,
            digest,
            interface_digest,
            imports,
            exports,
            from_cache,
            linked: Default::default(),
        }
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The full names of its imports with their versions, sorted: all that it can ever ask for.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The full names of its exports with their versions, sorted.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// The digest of its interface: the sorted lines `import INTERFACE FUNCTION` and `export INTERFACE FUNCTION`.
    ///
    /// It changes when a component begins to use one more function of an interface that it imported before.
    pub fn interface_digest(&self) -> Digest {
        self.interface_digest
    }

    /// Whether it came compiled from the cache.
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    /// The component with its links, checked against the contract before anything of it runs.
    pub(crate) fn linked(&self, links: Links) -> wasmtime::Result<CapabilityPre<State>> {
        let Links { fetch, effects, http, invoke } = links;
        let bits = [fetch, effects, http, invoke].map(usize::from);
        let at = bits.iter().rev().fold(0, |sum, bit| sum * 2 + bit);
        let kept = self.linked.get(at);
        if let Some(linked) = kept.and_then(OnceLock::get) {
            return Ok(linked.clone());
        }
        let linker = link::linker(self.inner.engine(), links)?;
        let linked = CapabilityPre::new(linker.instantiate_pre(&self.inner)?)?;
        Ok(match kept {
            Some(kept) => kept.get_or_init(|| linked).clone(),
            None => linked,
        })
    }

    /// The open file with its compiled code, for a process that is to run it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        self.inner.engine()
    }

    pub(crate) fn inner(&self) -> &wasmtime::component::Component {
        &self.inner
    }
}

/// One line for an item, or one for each item of an interface.
fn describe(lines: &mut Vec<String>, engine: &wasmtime::Engine, way: &str, name: &str, item: &ComponentItem) {
    let mut line = format!("{way} {name}");
    match item {
        ComponentItem::ComponentInstance(instance) => {
            lines.push(line.clone() + "\n");
            for (member, item) in instance.exports(engine) {
                let kind = word(&item.ty);
                lines.push(format!("{line} {kind} {member}\n"));
            }
        }
        other => {
            // Writing to a string cannot fail.
            let _ = writeln!(line, " {}", word(other));
            lines.push(line);
        }
    }
}

fn word(item: &ComponentItem) -> &'static str {
    match item {
        ComponentItem::ComponentFunc(_) => "function",
        ComponentItem::CoreFunc(_) => "core-function",
        ComponentItem::Module(_) => "module",
        ComponentItem::Component(_) => "component",
        ComponentItem::ComponentInstance(_) => "instance",
        ComponentItem::Type(_) => "type",
        ComponentItem::Resource(_) => "resource",
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
