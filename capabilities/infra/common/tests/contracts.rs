//! The contracts: what is refused, that the repository's own have the form, and that the published schemas are those
//! of the types.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use infra_common::baseline::{self, Baseline, RuntimeType};
use infra_common::placement::{self, PlacementPolicy};
use infra_common::profile::{self, Kind, Profiles};
use infra_common::record::{Drift, Seen};
use infra_common::recovery::{self, Actions, FailureClass};
use infra_common::relocation::{self, RelocationPlan};
use infra_common::system::System;
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
        baseline::NAME => Baseline::parse(text).map(|_| ()),
        recovery::NAME => Actions::parse(text).map(|_| ()),
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

/// What the baseline says of healing is what the recovery actions have.
#[test]
fn the_repositorys_own_baseline_and_actions_agree() {
    let baseline = Baseline::parse(&text(baseline::NAME)).unwrap();
    let actions = Actions::parse(&text(recovery::NAME)).unwrap();
    assert_eq!(baseline.systems.iter().map(|declared| declared.system).collect::<Vec<_>>(), System::ALL);
    for declared in &baseline.systems {
        let heal = &declared.self_heal;
        let action = actions.actions.iter().find(|action| action.id == heal.recovery_action_id).unwrap();
        assert_eq!(action.trigger.gate_ids, heal.trigger_gate_ids);
        assert_eq!(action.trigger.failure_class, heal.failure_class);
        assert_eq!(action.trigger.system, Some(declared.system));
        let restarts = action.start.capability == "infra.container.restart";
        assert_eq!(restarts, declared.runtime_type == RuntimeType::SelfHosted);
    }
    assert_eq!(actions.for_failure("D320", FailureClass::Deterministic).len(), 4);
    assert_eq!(actions.for_failure("D320", FailureClass::Freshness).len(), 1);
    assert_eq!(actions.for_failure("D32", FailureClass::Freshness).len(), 0);
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
        (baseline::NAME, "system: cloudflare", "system: cloudfare", "cloudfare"),
        (
            baseline::NAME,
            "system: cloudflare",
            "system: authentik",
            "the system authentik stands there twice",
        ),
        (baseline::NAME, "owner: infrastructure", "owner: \"@somebody\"", "a word of small letters"),
        (baseline::NAME, "runtime_type: saas", "runtime_type: cloud", "saas"),
        (baseline::NAME, "authority: vendor-account", "authority: \"\"", "a word of small letters"),
        (baseline::NAME, "runbook: docs/", "runbook: ../docs/", "a Markdown file"),
        (baseline::NAME, "[infra.core.smoke, infra.core.baseline.record]", "[]", "0 entries"),
        (
            baseline::NAME,
            "capability: infra.cloudflare.probe",
            "capability: run probe.sh",
            "a capability's name",
        ),
        (baseline::NAME, "checks: [token, zones]", "checks: []", "0 entries"),
        (baseline::NAME, "checks: [token, zones]", "checks: [token, token]", "\"token\" stands there twice"),
        (baseline::NAME, "trigger_gate_ids: [D320]", "trigger_gate_ids: []", "0 entries"),
        (baseline::NAME, "trigger_gate_ids: [D320]", "trigger_gate_ids: [d320]", "a gate's id"),
        (baseline::NAME, "failure_class: deterministic", "failure_class: flaky", "deterministic"),
        (baseline::NAME, "fallback: none", "fallback: global-key", "global-key"),
        (baseline::NAME, "credential: bearer-token, ", "", "missing field `credential`"),
        (recovery::NAME, "max_attempts: 2", "max_attempts: 0", "defaults: max_attempts is 0"),
        (recovery::NAME, "cooldown_seconds: 1800", "cooldown_seconds: 86401", "cooldown_seconds is 86401"),
        (recovery::NAME, "window_seconds: 86400", "window_seconds: 1799", "window_seconds is 1799"),
        (
            recovery::NAME,
            "id: recover-vaultwarden-container",
            "id: recover-cloudflare-readpath",
            "there twice",
        ),
        (recovery::NAME, "system: vaultwarden}", "system: cloudflare}", "D320 with deterministic calls for"),
        (recovery::NAME, ", system: cloudflare}", "}", "and for recover-vaultwarden-container"),
        (recovery::NAME, "gate_ids: [D320]", "gate_ids: [gate-320]", "a gate's id"),
        (recovery::NAME, "capability: infra.core.smoke, ", "", "missing field `capability`"),
        (recovery::NAME, "{system: cloudflare}}", "{system: [cloudflare]}}", "the argument \"system\""),
        (recovery::NAME, "{system: cloudflare}}", "{system: 1.5}}", "the argument \"system\""),
        (recovery::NAME, "{system: cloudflare}}", "{System: cloudflare}}", "the argument \"System\""),
        (
            recovery::NAME,
            "{system: cloudflare}}",
            "{system: cloudflare, type: shell}, command: rm}",
            "command",
        ),
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

/// A system that is not listed is one that nobody looks at.
#[test]
fn a_baseline_without_one_of_the_systems_is_refused() {
    let all = text(baseline::NAME);
    let (others, _) = all.split_once("  - system: authentik").unwrap();
    let why = refusal(baseline::NAME, others).unwrap();
    assert!(why.contains("the system authentik is not listed"), "{why}");
}

/// `BLESS=1` writes the schemas.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    let generator = || SchemaSettings::draft2020_12().for_deserialize().into_generator();
    for (name, title, schema) in [
        (relocation::NAME, "Relocation plan", generator().into_root_schema_for::<RelocationPlan>()),
        (profile::NAME, "VM profiles", generator().into_root_schema_for::<Profiles>()),
        (placement::NAME, "Placement policy", generator().into_root_schema_for::<PlacementPolicy>()),
        (baseline::NAME, "Baseline of infra-core", generator().into_root_schema_for::<Baseline>()),
        (recovery::NAME, "Recovery actions", generator().into_root_schema_for::<Actions>()),
        (
            "infra-core-baseline.yaml",
            "What was seen of infra-core",
            generator().into_root_schema_for::<Seen>(),
        ),
        (
            "infra-core-drift-matrix.yaml",
            "Drift matrix of infra-core",
            generator().into_root_schema_for::<Drift>(),
        ),
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
