//! What the parts of a component say of themselves, in custom sections that its tools or its author wrote.
//!
//! The names of the sections are those that `wasm-tools metadata` reads and writes. Anybody can write anything there:
//! it is shown as a claim, never believed. Each text is bounded and made visible as it is read. A compressed list of
//! what it was built from (`.dep-v0`, by cargo-auditable) is named with its size and not unpacked, as few bytes can
//! unpack to very many.

use ops_policy::visible::{clip, visible};
use serde::{Deserialize, Serialize};
use wasmparser::{ComponentName, CustomSectionReader, KnownCustom, Name};

/// The longest text of a claim that is shown, in bytes.
const TEXT: usize = 400;
/// The tools that one part names, at most.
const TOOLS: usize = 32;

/// A part of a component: itself, a module or a component within.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `component` or `module`.
    pub kind: &'static str,
    /// How many parts it lies in.
    pub depth: usize,
    /// Its size, in bytes.
    pub size: u64,
    /// What it says of itself.
    pub claims: Claims,
}

/// What a part says of itself. Nobody checked any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// Under which licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which revision of the source it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The section with a list of what it was built from, and its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<String>,
    /// The tools that made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Sections that hold something else than they should.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A tool, as a section `producers` names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tool {
    /// `language`, `processed-by` or `sdk`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
}

impl Claims {
    /// The claims of a whole component: of each kind, the first that its parts make, from the outside in; and every tool
    /// once. The name is its own or none: a library within has a name, too.
    pub(super) fn of(parts: &[Part]) -> Self {
        let name = parts.first().and_then(|whole| whole.claims.name.clone());
        let mut all = Self { name, ..Self::default() };
        for part in parts {
            let Self { version, description, authors, licence, source, revision, homepage, .. } =
                &part.claims;
            first(&mut all.version, version.as_ref());
            first(&mut all.description, description.as_ref());
            first(&mut all.authors, authors.as_ref());
            first(&mut all.licence, licence.as_ref());
            first(&mut all.source, source.as_ref());
            first(&mut all.revision, revision.as_ref());
            first(&mut all.homepage, homepage.as_ref());
            first(&mut all.dependencies, part.claims.dependencies.as_ref());
            for tool in &part.claims.tools {
                if all.tools.len() < TOOLS && !all.tools.contains(tool) {
                    all.tools.push(tool.clone());
                }
            }
            for section in &part.claims.unreadable {
                if all.unreadable.len() < TOOLS && !all.unreadable.contains(section) {
                    all.unreadable.push(section.clone());
                }
            }
        }
        all.tools.sort_unstable();
        all
    }

    /// Takes what a custom section claims. What it claims twice counts once, as the first has it.
    pub(super) fn read(&mut self, section: &CustomSectionReader<'_>) {
        let known = section.as_known();
        let read = match known {
            KnownCustom::Name(names) => self.module_name(names),
            KnownCustom::ComponentName(names) => self.component_name(names),
            KnownCustom::Producers(producers) => self.producers(producers),
            _ => self.annotation(section),
        };
        if read.is_none() && self.unreadable.len() < TOOLS {
            self.unreadable.push(shown(section.name()));
        }
    }

    /// None where the section holds no text.
    fn annotation(&mut self, section: &CustomSectionReader<'_>) -> Option<()> {
        let field = match section.name() {
            "version" => &mut self.version,
            "description" => &mut self.description,
            "authors" => &mut self.authors,
            "licenses" => &mut self.licence,
            "source" => &mut self.source,
            "revision" => &mut self.revision,
            "homepage" => &mut self.homepage,
            ".dep-v0" => {
                let size = section.data().len();
                let told =
                    format!("section .dep-v0 of {size} bytes, as cargo-auditable writes it; not unpacked");
                first(&mut self.dependencies, Some(&told));
                return Some(());
            }
            _ => return Some(()),
        };
        let text = str::from_utf8(section.data()).ok()?;
        if !text.is_empty() {
            first(field, Some(&shown(text)));
        }
        Some(())
    }

    fn module_name(&mut self, names: wasmparser::NameSectionReader<'_>) -> Option<()> {
        // The module's own name comes first; the names of its functions may be very many.
        if let Some(Name::Module { name, .. }) = names.into_iter().next().transpose().ok()? {
            first(&mut self.name, Some(&shown(name)));
        }
        Some(())
    }

    fn component_name(&mut self, names: wasmparser::ComponentNameSectionReader<'_>) -> Option<()> {
        if let Some(ComponentName::Component { name, .. }) = names.into_iter().next().transpose().ok()? {
            first(&mut self.name, Some(&shown(name)));
        }
        Some(())
    }

    fn producers(&mut self, producers: wasmparser::ProducersSectionReader<'_>) -> Option<()> {
        for field in producers {
            let field = field.ok()?;
            for value in field.values {
                let value = value.ok()?;
                let (role, name) = (field.name.to_owned(), shown(value.name));
                let tool = Tool { role, name, version: shown(value.version) };
                if self.tools.len() == TOOLS {
                    return Some(());
                }
                if !self.tools.contains(&tool) {
                    self.tools.push(tool);
                }
            }
        }
        Some(())
    }
}

fn first(kept: &mut Option<String>, new: Option<&String>) {
    if kept.is_none() {
        *kept = new.cloned();
    }
}

/// A stranger's text, bounded and visible.
fn shown(text: &str) -> String {
    clip(&visible(&clip(text, TEXT)), TEXT)
}
