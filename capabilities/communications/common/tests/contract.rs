//! The contract's form: what is refused, that the repository's own contract has it, and that the published schema
//! is that of the types.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use communications_common::contract::{Contract, MailboxStatus, Mode, NAME};
use schemars::generate::SchemaSettings;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn text() -> String {
    fs::read_to_string(repository().join("ops/bindings").join(NAME)).unwrap()
}

#[test]
fn the_repositorys_own_contract_is_one() {
    let contract = Contract::parse(&text()).unwrap();
    assert_eq!((contract.stage.as_str(), contract.provider.as_str()), ("ws1-infra", "stalwart"));
    assert_eq!(contract.mode, Mode::SimulationOnly);
    assert_eq!((contract.vm_target.vm_id, contract.ports.len()), (Some(214), 7));
    let mailboxes: Vec<_> = contract.mailboxes.iter().map(|mailbox| mailbox.address.as_str()).collect();
    assert_eq!(
        mailboxes,
        ["ops@communications.local", "alerts@communications.local", "noreply@communications.local"]
    );
    assert!(contract.mailboxes.iter().all(|mailbox| mailbox.status == MailboxStatus::Planned));
}

/// Each case changes one place of what is good.
#[test]
fn another_form_is_refused() {
    for (from, to, part) in [
        ("stage: ws1-infra", "stage: ws1-infra\nregion: eu", "unknown field `region`"),
        ("{id: ops,", "{id: ops, routing_mode: direct,", "unknown field `routing_mode`"),
        ("provider: stalwart\n", "", "missing field `provider`"),
        ("provider: stalwart", "provider: stalwart\nprovider: cyrus", "duplicate"),
        ("mode: simulation-only", "mode: pretend", "simulation-only"),
        ("schema_version: \"1.0\"", "schema_version: \"2.0\"", "1.0"),
        ("role: alerts, status: planned", "role: alerts, status: soon", "soon"),
        ("vm_id: 214", "vm_id: many", "invalid u32 at line 11"),
        ("owner: communications-operator", "owner: Ronny Someone", "owner is \"Ronny Someone\""),
        ("owner: communications-operator", "owner: \"@ronny\"", "owner is \"@ronny\""),
        ("role: operations", "role: Operations!", "the role of a mailbox is \"Operations!\""),
        ("domain: communications.local", "domain: &d communications.local", "anchor"),
        ("vm_target:\n", "vm_target:\n  <<: {profile: x}\n", "merge"),
    ] {
        assert_eq!(text().matches(from).count(), 1, "{from} names one place");
        let why = Contract::parse(&text().replace(from, to)).map(|_| ()).unwrap_err().why();
        assert!(why.starts_with(NAME) && why.contains(part), "{to}: {why}");
    }
}

#[test]
fn what_a_check_is_to_find_can_be_read() {
    for (from, to) in [
        ("  profile: spine-ready-v1\n", ""),
        ("port: 25}", "port: 99999}"),
        ("address: alerts@communications.local", "address: nobody"),
    ] {
        Contract::parse(&text().replace(from, to)).unwrap();
    }
}

#[test]
fn a_long_list_is_refused() {
    let mailbox = |number| format!("  - {{id: m{number}, address: a@b.test, role: x, status: planned}}\n");
    let many = (0..201).map(mailbox).collect::<String>();
    let why = Contract::parse(&text().replace("send_test:", &format!("{many}send_test:"))).map(|_| ());
    assert!(why.unwrap_err().why().contains("more than 200 mailboxes"));
}

/// `BLESS=1` writes the schema.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Contract>();
    schema
        .insert("$id".into(), "https://opscap.dev/schemas/communications.stack.contract.schema.json".into());
    schema.insert("title".into(), "Communications stack contract".into());
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let file = repository().join("docs/schemas/communications.stack.contract.schema.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let published = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        published, made,
        "the types have changed: run this test with BLESS=1 and look at the difference"
    );
}
