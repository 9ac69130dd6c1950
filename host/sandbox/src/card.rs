//! What can be read off a component before it runs: its imports, its exports, and the digest of its interface.
//!
//! It is read when the component is compiled, and kept beside the compiled code, so that a host knows a component without
//! mapping its code.

use std::fmt::Write as _;

use ops_policy::digest::Digest;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// A component, as far as its host has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// The full names of its imports with their versions, sorted.
    pub(crate) imports: Vec<String>,
    /// The same of its exports.
    pub(crate) exports: Vec<String>,
    /// The digest of the sorted lines `import INTERFACE FUNCTION` and `export INTERFACE FUNCTION`.
    pub(crate) interface: Digest,
}

impl Card {
    pub(crate) fn of(component: &Component) -> Self {
        let engine = component.engine();
        let kind = component.component_type();
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
        Self { imports, exports, interface: Digest::of(lines.concat().as_bytes()) }
    }
}

/// One line for an item, or one for each item of an interface.
fn describe(lines: &mut Vec<String>, engine: &Engine, way: &str, name: &str, item: &ComponentItem) {
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
