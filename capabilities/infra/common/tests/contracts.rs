//! The three contracts: what is refused, that the repository's own have the form, and that the published schemas are those
//! of the types.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use infra_common::placement::{self, PlacementPolicy};
use infra_common::profile::{self, Kind, Profiles};
use infra_common::relocation::{self, RelocationPlan};
use ops_guest::Failure;
use schemars::Schema;
use schemars::generate::SchemaSettings;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn text(name: &str) -> String {
    fs::read_to_string(repository().join("ops/bindings").join(name)).unwrap()
}

fn refusal(name: &str, text: &str) -> Option<String> {
    let read: Result<(), Failure> = match name {
        relocation::NAME => RelocationPlan::parse(text).map(|_| ()),
        profile::NAME => Profiles::parse(text).map(|_| ()),
        _ => PlacementPolicy::parse(text).map(|_| ()),
    };
    read.err().map(|failure| failure.why())
}

#[test]
fn the_repositorys_own_contracts_have_the_form() {
    let plan = RelocationPlan::parse(&text(relocation::NAME)).unwrap();
    assert_eq!(
        (plan.vm_targets[0].hostname.as_str(), plan.vm_targets[0].vm_id),
        ("communications-stack", 214)
    );
    let profiles = Profiles::parse(&text(profile::NAME)).unwrap();
    let names: Vec<_> = profiles.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["spine-ready-v1", "ai-services-v1", "home-lxc-dns-v1"]);
    assert_eq!(profiles.profiles[2].kind, Kind::Lxc);
    let policy = PlacementPolicy::parse(&text(placement::NAME)).unwrap();
    assert_eq!(policy.hypervisors[0].node, "pve1");
}

/// Each case changes the first place of what is good.
#[test]
fn another_form_is_refused() {
    for (name, from, to, part) in [
        (relocation::NAME, "role: mail", "role: mail\n    colour: red", "unknown field `colour`"),
        (relocation::NAME, "hostname: communications-stack", "hostname: \"../9000\"", "not a host name"),
        (relocation::NAME, "vm_id: 214", "vm_id: 99", "not from 100"),
        (relocation::NAME, "vm_id: 214", "vm_id: 215", "the vm_id 215 stands there twice"),
        (relocation::NAME, "hostname: ai-services", "hostname: communications-stack", "stands there twice"),
        (relocation::NAME, "192.0.2.15/24", "\"192.0.2.15/24,gw=192.0.2.9\"", "not `dhcp`"),
        (relocation::NAME, "ci_gateway: 192.0.2.1", "ci_gateway: 198.51.100.1", "not in the network"),
        (relocation::NAME, "tailscale_ip: 100.64.0.14", "ci_gateway: 192.0.2.1", "needs a fixed"),
        (relocation::NAME, "100.64.0.14", "192.0.2.14", "not in 100.64.0.0/10"),
        (relocation::NAME, "status: planned", "status: soon", "soon"),
        (profile::NAME, "bridge: vmbr0", "bridge: \"vmbr0,firewall=0\"", "a name that Proxmox VE takes"),
        (profile::NAME, "storage: local-lvm", "storage: \"local/../x\"", "a name that Proxmox VE takes"),
        (profile::NAME, "cpu_cores: 4", "cpu_cores: 0", "cpu_cores is 0"),
        (profile::NAME, "memory_mb: 8192", "memory_mb: 8GiB", "invalid u32"),
        (profile::NAME, "ci_network_cidr: dhcp", "ci_network_cidr: 192.0.2.1/24", "for many machines"),
        (profile::NAME, "- ssh-ed25519 AAAA", "- restrict ssh-ed25519 AAAA", "OpenSSH"),
        (profile::NAME, "[qemu-guest-agent, tailscale,", "[\"--reinstall\", tailscale,", "Debian package"),
        (profile::NAME, "[docker, tailscaled, cron]", "[\"--all\"]", "systemd service"),
        (profile::NAME, "17 3 * * 0", "17 3 * * 0 root", "a schedule of cron"),
        (profile::NAME, "/usr/bin/docker image prune --force", "docker image prune", "whole path"),
        (profile::NAME, "name: ai-services-v1", "name: spine-ready-v1", "stands there twice"),
        (profile::NAME, "onboot: true", "onboot: yes", "bool"),
        (placement::NAME, "kind: proxmox", "kind: esx", "esx"),
        (placement::NAME, "node: pve1", "node: \"pve1/qemu\"", "a name that Proxmox VE takes"),
        (placement::NAME, "name: hv2", "name: hv1", "stands there twice"),
        (placement::NAME, "vm_targets: []", "vm_targets: [ai-services]", "stands there twice"),
        (placement::NAME, "schema_version: \"1.0\"", "schema_version: \"2.0\"", "1.0"),
    ] {
        let good = text(name);
        assert!(good.contains(from), "{name} has no {from}");
        let why = refusal(name, &good.replacen(from, to, 1)).unwrap_or_default();
        assert!(why.starts_with(name) && why.contains(part), "{to}: {why:?}");
    }
}

#[test]
fn long_lists_are_refused() {
    let target = |n: u32| {
        format!("  - {{hostname: h{n}, vm_id: {}, proxmox_host: hv1, role: x, status: planned}}\n", 1000 + n)
    };
    let many = text(relocation::NAME) + &(0..300).map(target).collect::<String>();
    assert!(refusal(relocation::NAME, &many).unwrap().contains("303 targets, and may list 300"));
}

/// `BLESS=1` writes the schemas.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    let generator = || SchemaSettings::draft2020_12().for_deserialize().into_generator();
    for (name, title, schema) in [
        (relocation::NAME, "Relocation plan", generator().into_root_schema_for::<RelocationPlan>()),
        (profile::NAME, "VM profiles", generator().into_root_schema_for::<Profiles>()),
        (placement::NAME, "Placement policy", generator().into_root_schema_for::<PlacementPolicy>()),
    ] {
        published(&name.replace(".yaml", ".schema.json"), title, schema);
    }
}

fn published(name: &str, title: &str, mut schema: Schema) {
    schema.insert("$id".into(), format!("https://opscap.dev/schemas/{name}").into());
    schema.insert("title".into(), title.into());
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let file = repository().join("docs/schemas").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let published = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        published, made,
        "the types have changed: run this test with BLESS=1 and look at the difference"
    );
}
