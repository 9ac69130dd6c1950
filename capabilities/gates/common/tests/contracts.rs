//! The repository's own contracts of the gates, and the published schemas, which are those of the types.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use gates_common::impact::{self, Impact};
use gates_common::profiles::{self, Profiles};
use gates_common::registry::{self, Registry};
use gates_common::topology::{self, Topology};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn text(name: &str) -> String {
    fs::read_to_string(repository().join("ops/bindings").join(name)).unwrap()
}

#[test]
fn the_repositorys_own_contracts_are_ones() {
    let registry = Registry::parse(&text(registry::NAME)).unwrap();
    let topology = Topology::parse(&text(topology::NAME)).unwrap();
    let profiles = Profiles::parse(&text(profiles::NAME)).unwrap();
    Impact::parse(&text(impact::NAME)).unwrap();
    let core: Vec<_> = topology.core.iter().map(|gate| gate.value.as_str()).collect();
    assert_eq!(core, ["D63", "D67", "D75", "D127", "D320", "D401", "D402", "D403", "D404", "D405"]);
    assert!(core.iter().all(|id| registry.gate(id).is_some()));
    assert!(profiles.pack(profiles::DEFAULT).is_some());
    for name in ["aof", "loop_gap", "loop-gap", "infra", "communications"] {
        assert!(topology.domain(name).is_some(), "{name}");
    }
}

/// A list of a thousand gates is read, so that four hundred are no matter.
#[test]
fn a_long_registry_is_read() {
    let own = text(registry::NAME);
    let (head, gates) = own.split_once("gates:\n").unwrap();
    let one = gates.split("  - id:").nth(1).unwrap();
    let many: String = (1000..2000)
        .map(|number| format!("  - id:{}", one.replacen(" D63", &format!(" D{number}"), 1)))
        .collect();
    let registry = Registry::parse(&format!("{head}gates:\n{many}")).unwrap();
    assert_eq!(registry.active().count(), 1000);
}

/// `BLESS=1` writes the schemas.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    published::<Registry>(registry::NAME, "Registry of gates");
    published::<Topology>(topology::NAME, "Domains, and where gates belong");
    published::<Profiles>(profiles::NAME, "Packs of gates");
    published::<Impact>(impact::NAME, "Documents of domains");
}

fn published<T: JsonSchema>(name: &str, title: &str) {
    let file = name.replace(".yaml", ".schema.json");
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("$id".into(), format!("https://opscap.dev/schemas/{file}").into());
    schema.insert("title".into(), title.into());
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path = repository().join("docs/schemas").join(&file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        published, made,
        "{file}: the types have changed; run with BLESS=1 and look at the difference"
    );
}
