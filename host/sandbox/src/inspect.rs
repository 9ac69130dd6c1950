//! What can be read off a component's bytes without compiling or running any of it.
//!
//! The bytes are a stranger's. In this order: their size, their kind (a core module names no interfaces, so nothing
//! can be said of it), their types, and only then names and claims. Code is skipped, not checked: what is read here
//! decides nothing, as a component that does not check has no run. What is read is bounded in number and length; claims
//! ([`claims`]) are nobody's word but the author's.

pub mod claims;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ops_policy::digest::Digest;
use serde::Serialize;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

use crate::engine::COMPONENT_BYTES;
use claims::{Claims, Part};

/// The parts within a component that are described one by one; more are counted.
const PARTS: usize = 64;
/// The parts that are open at a time, each within the one before. Every part asks the validator to look through those
/// around it, so that depth costs its square.
const OPEN: usize = 64;
/// The imports, or exports, of a component.
const ITEMS: usize = 1_000;
/// The bytes of all names of imports, exports and what is in them, each as often as it is used.
const NAME_BYTES: usize = 4 << 20;

/// A component, as it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its size, in bytes.
    pub size: u64,
    /// The digest of its interface, the same that `Component::interface_digest` gives.
    pub interface: Digest,
    /// Its imports, by name: all that it can ever ask for.
    pub imports: Vec<Item>,
    /// Its exports, by name.
    pub exports: Vec<Item>,
    /// What it says of itself: what the outermost part says that says anything. Nobody checked it.
    pub claims: Claims,
    /// The component itself, then the modules and components within, in their order.
    pub parts: Vec<Part>,
    /// How many more parts there are, which were not described.
    pub further_parts: u64,
}

/// An import or an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its full name, such as `wasi:io/poll@0.2.6`.
    pub name: String,
    /// `instance` for an interface; else `function`, `type`, `resource`, `module`, `component` or `value`.
    pub kind: &'static str,
    /// The functions of an interface, by name; methods as the component model writes them. An import has those only that
    /// the component may call.
    pub functions: Vec<String>,
}

/// Why bytes cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There are too many of them.
    #[error("it has {size} bytes, and a component may have at most {} MiB", COMPONENT_BYTES >> 20)]
    TooLarge {
        /// Its size, in bytes.
        size: u64,
    },
    /// They do not begin as WebAssembly does.
    #[error("it is not WebAssembly: it does not begin with the four bytes `\\0asm`")]
    NotWasm,
    /// A module has no interfaces.
    #[error(
        "it is a core WebAssembly module and no component, so it names no interfaces and nobody can say what it may do; \
         build it for the target wasm32-wasip2, or make a component of it with `wasm-tools component new`"
    )]
    CoreModule,
    /// They end too early, or are not what the format says.
    #[error("it is a broken or cut-off component: {0}")]
    Broken(String),
    /// More names than anybody needs.
    #[error("it has more than {0}; nothing of the kind is read further")]
    TooMuch(&'static str),
}

/// Reads a component.
///
/// # Errors
///
/// Bytes that are no component, a broken one, or one that is out of bounds.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    if bytes.len() > COMPONENT_BYTES {
        return Err(InspectError::TooLarge { size: bytes.len() as u64 });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm);
    }
    let mut walk = Walk::default();
    let types = walk.through(bytes)?;
    let mut names = Names::default();
    let imports = names.items("import", &walk.imports, &types, |name| {
        types.as_ref().component_item_for_import(name).map(|item| item.ty)
    })?;
    let exports = names.items("export", &walk.exports, &types, |name| {
        types.as_ref().component_item_for_export(name).map(|item| item.ty)
    })?;
    Ok(Inspection {
        size: bytes.len() as u64,
        interface: names.digest(),
        imports,
        exports,
        claims: Claims::of(&walk.parts),
        parts: walk.parts,
        further_parts: walk.further,
    })
}

/// The way through a component's sections.
#[derive(Default)]
struct Walk {
    /// Where each part that is open stands in `parts`; none for one beyond the bound.
    open: Vec<Option<usize>>,
    parts: Vec<Part>,
    further: u64,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl Walk {
    fn through(&mut self, bytes: &[u8]) -> Result<Types, InspectError> {
        let broken =
            |error: wasmparser::Error| InspectError::Broken(crate::text::one_line(&error.to_string()));
        // Not the engine's own features: what another engine would run can be read too.
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        // The part that begins next is as long as its section.
        let mut size = bytes.len();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(broken)?;
            match &payload {
                Payload::Version { encoding, .. } => {
                    if self.open.is_empty() && *encoding == Encoding::Module {
                        return Err(InspectError::CoreModule);
                    }
                    self.begin(*encoding, size)?;
                }
                Payload::ModuleSection { unchecked_range, .. }
                | Payload::ComponentSection { unchecked_range, .. } => size = unchecked_range.len(),
                Payload::ComponentImportSection(section) if self.open.len() == 1 => {
                    for import in section.clone() {
                        let name = import.map_err(broken)?.name.name;
                        keep(&mut self.imports, name, "1,000 imports")?;
                    }
                }
                Payload::ComponentExportSection(section) if self.open.len() == 1 => {
                    for export in section.clone() {
                        let name = export.map_err(broken)?.name.name;
                        keep(&mut self.exports, name, "1,000 exports")?;
                    }
                }
                Payload::CustomSection(section) => {
                    let part = self.open.last().copied().flatten().and_then(|at| self.parts.get_mut(at));
                    if let Some(part) = part {
                        part.claims.read(section);
                    }
                }
                Payload::End(_) => drop(self.open.pop()),
                _ => {}
            }
            match validator.payload(&payload).map_err(broken)? {
                ValidPayload::End(types) if self.open.is_empty() => return Ok(types),
                _ => {}
            }
        }
        Err(InspectError::Broken("it ends before its last section does".to_owned()))
    }

    fn begin(&mut self, encoding: Encoding, size: usize) -> Result<(), InspectError> {
        if self.open.len() == OPEN {
            return Err(InspectError::TooMuch("64 parts within each other"));
        }
        if self.parts.len() == PARTS {
            self.further += 1;
            self.open.push(None);
            return Ok(());
        }
        let kind = match encoding {
            Encoding::Module => "module",
            Encoding::Component => "component",
        };
        self.parts.push(Part { kind, depth: self.open.len(), size: size as u64, claims: Claims::default() });
        self.open.push(Some(self.parts.len() - 1));
        Ok(())
    }
}

fn keep(names: &mut BTreeSet<String>, name: &str, bound: &'static str) -> Result<(), InspectError> {
    names.insert(name.to_owned());
    if names.len() > ITEMS { Err(InspectError::TooMuch(bound)) } else { Ok(()) }
}

/// The lines of which the interface's digest is made.
#[derive(Default)]
struct Names {
    lines: Vec<String>,
    bytes: usize,
}

impl Names {
    /// The items with what is in them; each goes into the lines as `component::describe` writes it.
    fn items(
        &mut self,
        way: &str,
        names: &BTreeSet<String>,
        types: &Types,
        find: impl Fn(&str) -> Option<ComponentEntityType>,
    ) -> Result<Vec<Item>, InspectError> {
        let mut items = Vec::new();
        for name in names {
            let Some(kind) = find(name) else { continue };
            // The name of a type is asked of nobody, and the engine lists none among a component's own imports.
            if way == "import" && word(kind) == "type" {
                continue;
            }
            let mut item = Item { name: name.clone(), kind: word(kind), functions: Vec::new() };
            let line = format!("{way} {name}");
            match kind {
                ComponentEntityType::Instance(id) => {
                    self.line(format!("{line}\n"))?;
                    let instance = types.as_ref().get(id);
                    for (member, inner) in instance.into_iter().flat_map(|instance| &instance.exports) {
                        let kind = word(inner.ty);
                        self.line(format!("{line} {kind} {member}\n"))?;
                        if matches!(inner.ty, ComponentEntityType::Func(_)) {
                            item.functions.push(member.clone());
                        }
                    }
                    item.functions.sort_unstable();
                }
                other => {
                    let mut line = line;
                    // Writing to a string cannot fail.
                    let _ = writeln!(line, " {}", word(other));
                    self.line(line)?;
                }
            }
            items.push(item);
        }
        Ok(items)
    }

    fn line(&mut self, line: String) -> Result<(), InspectError> {
        self.bytes += line.len();
        if self.bytes > NAME_BYTES {
            return Err(InspectError::TooMuch("4 MiB of names of imports and exports"));
        }
        self.lines.push(line);
        Ok(())
    }

    fn digest(mut self) -> Digest {
        self.lines.sort_unstable();
        Digest::of(self.lines.concat().as_bytes())
    }
}

fn word(kind: ComponentEntityType) -> &'static str {
    match kind {
        ComponentEntityType::Module(_) => "module",
        ComponentEntityType::Func(_) => "function",
        ComponentEntityType::Value(_) => "value",
        ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(_), .. } => "resource",
        ComponentEntityType::Type { .. } => "type",
        ComponentEntityType::Instance(_) => "instance",
        ComponentEntityType::Component(_) => "component",
    }
}

#[cfg(test)]
mod tests;
