//! A component that nobody has bound yet, looked at before anybody does. It needs no workspace.
//!
//! First what its bytes say, of which nothing is compiled or run; then, where it is a capability, its manifest: it is
//! compiled into a scratch cache of this one call and asked in a confined process, with every import a trap, as
//! `ops bind` asks it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ops_policy::digest::Digest;
use ops_policy::interface::{Class, Interface};
use ops_policy::manifest::Manifest;
use ops_sandbox::engine::{COMPONENT_BYTES, Sandbox};
pub use ops_sandbox::inspect::claims::{Claims, Part, Tool};
pub use ops_sandbox::inspect::{Inspection, Item};
use ops_sandbox::workers::{Program, Workers};
use serde_json::{Value, json};

/// What a capability exports.
const GUEST: &str = "ops:capability/guest@0.1.";

/// A component file, looked at.
pub struct Inspected {
    /// The digest of its bytes.
    pub digest: Digest,
    /// What its bytes say.
    pub inspection: Inspection,
    /// What it says when it is asked, or why it does not; none where it is no capability.
    pub manifest: Option<Result<Manifest, String>>,
}

/// Reads and inspects a file.
///
/// # Errors
///
/// For people: a file that cannot be read, or is no component.
pub fn inspect_file(file: &Path) -> Result<Inspected, String> {
    let fail = |why: String| format!("{}: {why}", file.display());
    let bytes = read(file).map_err(fail)?;
    of_bytes(&bytes).map_err(fail)
}

/// Inspects a component's bytes, and asks it what it is where it is a capability.
pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Inspected, String> {
    let inspection = inspect_bytes(bytes)?;
    let manifest = is_capability(&inspection).then(|| ask(bytes));
    Ok(Inspected { digest: Digest::of(bytes), inspection, manifest })
}

/// What a component's bytes say of it, for a page about it. Nothing is compiled, run or hashed.
///
/// # Errors
///
/// For people: bytes that are no component.
pub fn inspect_bytes(bytes: &[u8]) -> Result<Inspection, String> {
    ops_sandbox::inspect::inspect(bytes).map_err(|error| error.to_string())
}

/// Whether it exports what a capability exports.
fn is_capability(inspection: &Inspection) -> bool {
    inspection.exports.iter().any(|export| export.name.starts_with(GUEST))
}

/// A regular file of at most the size that a component may have; its size is asked first.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !told.is_file() {
        return Err("it is no regular file; name the .wasm file that a build made".to_owned());
    }
    let most = COMPONENT_BYTES as u64;
    let too_large = |size: u64| {
        format!("it has {size} bytes, and a component may have at most {} MiB", COMPONENT_BYTES >> 20)
    };
    if told.len() > most {
        return Err(too_large(told.len()));
    }
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    opened.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > COMPONENT_BYTES { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

fn ask(bytes: &[u8]) -> Result<Manifest, String> {
    let scratch = tempfile::tempdir().map_err(|error| format!("no folder to compile it in: {error}"))?;
    let sandbox = Sandbox::new(&scratch.path().join("cache")).map_err(|error| error.to_string())?;
    let component = sandbox.load(bytes).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let workers = Workers::new(Program::own());
    let manifest =
        runtime.block_on(workers.describe(&component, false)).map_err(|error| error.to_string())?;
    manifest.check_arguments()?;
    Ok(manifest)
}

impl Inspected {
    /// Its imports of a class, with what is known of each.
    pub fn imports(&self, class: Class) -> impl Iterator<Item = (&Item, Interface)> {
        let looked_up = self.inspection.imports.iter().map(|item| (item, Interface::parse(&item.name)));
        looked_up.filter(move |(_, interface)| interface.class == class)
    }

    /// What `ops bind` would leave to grant, as it would write it; none where there is no manifest, empty where its author
    /// asks for nothing.
    pub fn to_grant(&self) -> Option<String> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        Some(crate::bind::needs(manifest))
    }

    /// All of it, for programs.
    pub fn json(&self) -> Value {
        let imports: Vec<_> = self.inspection.imports.iter().map(import_json).collect();
        let (manifest, no_manifest) = match &self.manifest {
            Some(Ok(manifest)) => (Some(manifest), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        json!({
            "digest": self.digest,
            "interface": self.inspection.interface,
            "size": self.inspection.size,
            "capability": self.manifest.is_some(),
            "imports": imports,
            "exports": self.inspection.exports,
            "claims": self.inspection.claims,
            "parts": self.inspection.parts,
            "further_parts": self.inspection.further_parts,
            "manifest": manifest,
            "no_manifest": no_manifest,
            "to_grant": self.to_grant(),
        })
    }
}

fn import_json(item: &Item) -> Value {
    let interface = Interface::parse(&item.name);
    json!({
        "name": item.name,
        "kind": item.kind,
        "class": interface.class,
        "words": interface.words,
        "never": interface.never,
        "functions": item.functions,
    })
}
