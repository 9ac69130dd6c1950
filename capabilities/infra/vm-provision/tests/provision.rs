//! The capability in a scripted world: its checks, its requests, and what it makes of answers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use infra_vm_provision::CAPABILITY;
use ops_guest::testing::{Answer, End, World};
use ops_guest::{Failure, NeedKind, RuleEffect, Undo};
use serde_json::{Value, json};

const CONTRACTS: [&str; 3] =
    ["infra.relocation.plan.yaml", "infra.vm.profiles.yaml", "infra.placement.policy.yaml"];
const FREE: &str = "/api2/json/cluster/nextid?vmid=214";
const TEMPLATE: &str = "/api2/json/nodes/pve1/qemu/9000/config";
const CLONE: &str = "/api2/json/nodes/pve1/qemu/9000/clone";
const CONFIG: &str = "/api2/json/nodes/pve1/qemu/214/config";
const RESIZE: &str = "/api2/json/nodes/pve1/qemu/214/resize";
const START: &str = "/api2/json/nodes/pve1/qemu/214/status/start";

/// A world with the repository's own contracts, of which `change` makes what the test needs.
fn world(change: impl Fn(&str, String) -> String) -> World {
    let bindings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../ops/bindings");
    CONTRACTS.iter().fold(World::new(&CAPABILITY), |world, name| {
        world.contract(name, &change(name, fs::read_to_string(bindings.join(name)).unwrap()))
    })
}

fn as_agreed() -> World {
    world(|_, text| text)
}

fn arguments() -> Value {
    json!({"target": "communications-stack", "profile": "spine-ready-v1", "vm_id": 214})
}

fn template() -> Value {
    json!({"data": {
        "template": 1, "digest": "d", "scsi0": "local-lvm:base-9000-disk-0,size=10G", "ide2": "local-lvm:vm-9000-cloudinit,media=cdrom",
    }})
}

fn upid(kind: &str) -> String {
    format!("UPID:pve1:000003E8:00001B58:6B02A11F:{kind}:214:root@pam!ops:")
}

fn status_of(kind: &str) -> String {
    format!("/api2/json/nodes/pve1/tasks/{}/status", upid(kind))
}

/// A server on which all goes well.
fn server() -> Vec<Answer> {
    let ended = json!({"data": {"status": "stopped", "exitstatus": "OK"}});
    let mut answers = vec![
        Answer::get(TEMPLATE).json(template()),
        Answer::get(FREE).json(json!({"data": "214"})),
        Answer::get(FREE).status(400).json(taken()).after("POST", CLONE),
        Answer::post(CLONE).json(json!({"data": upid("qmclone")})),
        Answer::to("PUT", CONFIG).json(json!({"data": null})),
        Answer::to("PUT", RESIZE).json(json!({"data": upid("resize")})),
        Answer::post(START).json(json!({"data": upid("qmstart")})),
        Answer::get("/api2/json/nodes/pve1/qemu/214/status/current")
            .json(json!({"data": {"status": "running"}})),
    ];
    answers.extend(
        ["qmclone", "resize", "qmstart"].map(|kind| Answer::get(&status_of(kind)).json(ended.clone())),
    );
    answers
}

fn taken() -> Value {
    json!({"data": null, "message": "Parameter verification failed.\n", "errors": {"vmid": "VM 214 already exists"}})
}

/// The rows as `check=RESULT`.
fn rows(output: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    output["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{}={}", word(&row["check"]), word(&row["result"])))
        .collect()
}

/// The only row that failed, and why.
fn failed(output: &Value) -> (String, String) {
    let failed: Vec<_> =
        output["checks"].as_array().unwrap().iter().filter(|row| row["result"] == "FAIL").collect();
    assert_eq!(failed.len(), 1, "{output:#}");
    (failed[0]["check"].as_str().unwrap().into(), failed[0]["why"].as_str().unwrap().into())
}

fn body(body: Option<&Vec<u8>>) -> Value {
    serde_json::from_slice(body.unwrap()).unwrap()
}

#[test]
fn a_plan_has_every_check_and_four_effects_word_for_word() {
    let mut world = as_agreed().service("pve", server());
    let plan = world.plan(arguments());
    let output = plan.output();
    assert_eq!(
        rows(output),
        [
            "target=PASS",
            "vm-id=PASS",
            "profile=PASS",
            "target-site=PASS",
            "hypervisor=PASS",
            "hypervisor-site=PASS",
            "same-site=PASS",
            "requirements=PASS",
            "vm-id-range=PASS",
            "node=PASS",
            "template=PASS",
            "template-disk=PASS",
            "cloud-init=PASS",
            "storage=PASS",
            "id-free=PASS",
        ]
    );
    assert_eq!(
        (&output["state"], &output["status"], &output["node"]),
        (&json!("planned"), &json!("OK"), &json!("pve1"))
    );
    assert_eq!(plan.reads, [format!("pve GET {TEMPLATE}"), format!("pve GET {FREE}")]);

    let asked: Vec<_> = plan
        .effects
        .iter()
        .map(|effect| (effect.request.method.as_str(), effect.request.path.as_str()))
        .collect();
    assert_eq!(asked, [("POST", CLONE), ("PUT", CONFIG), ("PUT", RESIZE), ("POST", START)]);
    let bodies: Vec<_> = plan.effects.iter().map(|effect| body(effect.request.body.as_ref())).collect();
    assert_eq!(
        bodies[0],
        json!({"newid": 214, "name": "communications-stack", "full": 1, "storage": "local-lvm"})
    );
    assert_eq!(
        bodies[1],
        json!({
            "cores": 4, "memory": "8192", "net0": "virtio,bridge=vmbr0", "agent": "enabled=1", "onboot": 1,
            "ciuser": "ubuntu", "ipconfig0": "ip=dhcp", "nameserver": "192.0.2.53", "searchdomain": "example.test",
            "sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f%20ops%40example.test",
        })
    );
    assert_eq!(bodies[2], json!({"disk": "scsi0", "size": "50G"}));
    assert_eq!(
        plan.effects[0].summary,
        "clone template 9000 in full to VM 214 (communications-stack) on pve1, storage local-lvm"
    );
    assert_eq!(
        plan.effects[1].summary,
        "set VM 214: 4 cores, 8192 MiB, bridge vmbr0, agent on, start with the host on; cloud-init: user ubuntu, \
         ip=dhcp, name server 192.0.2.53, search example.test, 1 SSH key"
    );
}

#[test]
fn each_effect_says_how_it_is_undone() {
    let plan = as_agreed().service("pve", server()).plan(arguments());
    let undo = |at: usize| match &plan.effects[at].undo {
        Undo::Request(request) => format!("{} {}", request.method, request.path),
        Undo::ByHand(text) | Undo::Impossible(text) => text.clone(),
    };
    assert_eq!(undo(0), "DELETE /api2/json/nodes/pve1/qemu/214?purge=1&destroy-unreferenced-disks=1");
    assert!(undo(1).contains("go away with the VM") && undo(2).contains("goes away with the VM"));
    assert_eq!(undo(3), "POST /api2/json/nodes/pve1/qemu/214/status/stop");
}

#[test]
fn an_apply_waits_for_each_task_and_says_what_came_of_it() {
    let mut world = as_agreed().service("pve", server());
    let ran = world.apply(arguments());
    let output = ran.output();
    assert_eq!((&output["state"], &output["status"]), (&json!("running"), &json!("OK")));
    let steps: Vec<_> = output["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["task"].as_str()))
        .collect();
    let (clone, resize, start) = (upid("qmclone"), upid("resize"), upid("qmstart"));
    assert_eq!(
        steps,
        [
            ("clone", Some(clone.as_str())),
            ("configure", None),
            ("resize", Some(&resize)),
            ("start", Some(&start))
        ]
    );
    assert!(ran.log.iter().any(|line| line == "1/4: the clone of VM 214 is done"), "{:?}", ran.log);
}

/// A machine that is there is no failure half way: the checks refuse it, and nothing is asked for.
#[test]
fn a_second_run_is_refused_in_the_checks() {
    let mut world = as_agreed().service("pve", server());
    assert_eq!(world.apply(arguments()).output()["state"], "running");
    let again = world.plan(arguments());
    assert!(again.effects.is_empty());
    assert_eq!((&again.output()["state"], &again.output()["status"]), (&json!("refused"), &json!("FAILED")));
    let (check, why) = failed(again.output());
    assert_eq!(check, "id-free");
    for part in ["VM 214 already exists", "ops cap resume KEY", "ops runs undo KEY"] {
        assert!(why.contains(part), "{why}");
    }
    world.apply(arguments());
    assert_eq!(world.performed().len(), 4, "nothing was done twice");
}

#[test]
fn what_the_contracts_forbid_is_refused_before_the_server_is_asked() {
    let relocation = |from: &'static str, to: &'static str| {
        move |name: &str, text: String| match name {
            "infra.relocation.plan.yaml" => text.replacen(from, to, 1),
            _ => text,
        }
    };
    let placement = |from: &'static str, to: &'static str| {
        move |name: &str, text: String| match name {
            "infra.placement.policy.yaml" => text.replacen(from, to, 1),
            _ => text,
        }
    };
    for (mut world, check, part) in [
        (world(relocation("vm_id: 214", "vm_id: 216")), "vm-id", "the number 216, not 214"),
        (world(relocation("status: planned", "status: retired")), "target", "is retired"),
        (world(placement("vm_ids: {min: 200", "vm_ids: {min: 220")), "vm-id-range", "not from 220 to 299"),
        (world(placement("required_site: lab", "required_site: home")), "requirements", "must be at home"),
        (
            world(placement("required_proxmox_host: hv1", "required_proxmox_host: hv2")),
            "requirements",
            "must be on hv2",
        ),
        (world(placement("hypervisors: [hv1]", "hypervisors: [hv9]")), "hypervisor-site", "does not list it"),
        (world(placement("[communications-stack, ai-services", "[ai-services")), "target-site", "no site"),
        (
            world(placement("{name: hv1, kind: proxmox", "{name: hv1, kind: other")),
            "hypervisor",
            "is no Proxmox VE",
        ),
    ] {
        let plan = world.plan(arguments());
        let output = plan.output();
        assert!(plan.effects.is_empty() && plan.reads.is_empty());
        assert_eq!((&output["status"], &output["state"]), (&json!("FAILED"), &json!("refused")));
        let failed: Vec<_> =
            output["checks"].as_array().unwrap().iter().filter(|row| row["result"] == "FAIL").collect();
        let row =
            failed.iter().find(|row| row["check"] == check).unwrap_or_else(|| panic!("{check}: {output:#}"));
        assert!(row["why"].as_str().unwrap().contains(part), "{row}");
    }
    for (field, value, check) in [
        ("target", json!("nobody"), "target"),
        ("profile", json!("none"), "profile"),
        ("profile", json!("home-lxc-dns-v1"), "profile"),
    ] {
        let mut asked = arguments();
        asked[field] = value;
        let plan = as_agreed().plan(asked);
        assert!(plan.effects.is_empty());
        assert_eq!(failed(plan.output()).0, check);
    }
}

#[test]
fn a_template_that_will_not_do_is_refused() {
    let settings = |change: fn(&mut Value)| {
        let mut answer = template();
        change(&mut answer["data"]);
        Answer::get(TEMPLATE).json(answer)
    };
    let error = |status: u16, why: &str| {
        Answer::get(TEMPLATE).status(status).json(json!({"data": null, "message": why}))
    };
    for (answer, check, part) in [
        (
            error(500, "Configuration file 'nodes/pve1/qemu-server/9000.conf' does not exist\n"),
            "template",
            "there is no VM 9000 on pve1",
        ),
        (error(500, "hostname lookup 'pve1' failed"), "node", "does not reach the node pve1"),
        (error(595, "No route to host"), "node", "does not reach the node pve1"),
        (settings(|data| data["template"] = json!(0)), "template", "is no template"),
        (settings(|data| data["lock"] = json!("clone")), "template", "is locked (clone)"),
        (
            settings(|data| data["scsi0"] = json!("local-lvm:x,size=60G")),
            "template-disk",
            "larger than 50 GiB",
        ),
        (settings(|data| data["scsi0"] = json!(null)), "template-disk", "no disk scsi0"),
        (settings(|data| data["ide2"] = json!("none,media=cdrom")), "cloud-init", "no drive for cloud-init"),
    ] {
        let mut answers = server();
        answers.push(answer);
        let plan = as_agreed().service("pve", answers).plan(arguments());
        assert!(plan.effects.is_empty());
        let (row, why) = failed(plan.output());
        assert!(row == check && why.contains(part), "{row}: {why}");
    }
}

#[test]
fn a_disk_that_has_its_size_is_left_alone() {
    let mut answers = server();
    let mut large = template();
    large["data"]["scsi0"] = json!("local-lvm:x,size=50G");
    answers.push(Answer::get(TEMPLATE).json(large));
    let plan = as_agreed().service("pve", answers).plan(arguments());
    assert_eq!(plan.effects.iter().filter(|effect| effect.request.path == RESIZE).count(), 0);
    assert_eq!(plan.effects.len(), 3);
}

#[test]
fn another_template_and_a_fixed_address_go_into_the_requests() {
    let answers = [
        Answer::get("/api2/json/nodes/pve1/qemu/9001/config").json(template()),
        Answer::get("/api2/json/cluster/nextid?vmid=215").json(json!({"data": "215"})),
    ];
    let asked =
        json!({"target": "ai-services", "profile": "ai-services-v1", "vm_id": 215, "template_vmid": 9001});
    let plan = as_agreed().service("pve", answers).plan(asked);
    assert_eq!((&plan.output()["ip"], &plan.output()["template_vmid"]), (&json!("192.0.2.15"), &json!(9001)));
    assert_eq!(plan.effects[0].request.path, "/api2/json/nodes/pve1/qemu/9001/clone");
    assert_eq!(body(plan.effects[1].request.body.as_ref())["ipconfig0"], "ip=192.0.2.15/24,gw=192.0.2.1");
}

#[test]
fn without_a_server_its_checks_are_skipped() {
    let plan = as_agreed().dry_run(arguments());
    let output = plan.output();
    let skipped = ["node", "template", "template-disk", "cloud-init", "storage", "id-free"]
        .map(|row| format!("{row}=SKIPPED"));
    assert_eq!(rows(output)[9..], skipped);
    assert_eq!(
        (&output["checks_skipped"], &output["status"], &output["state"]),
        (&json!(6), &json!("OK"), &json!("planned"))
    );
    assert_eq!((plan.effects.len(), plan.reads.len()), (4, 0));
    // Without `--dry-run`, the host ends the run at the first effect.
    assert_eq!(as_agreed().plan(arguments()).end, End::Stopped);
}

#[test]
fn a_task_that_does_not_end_well_is_a_failure_with_its_name() {
    for (answer, part) in [
        (
            json!({"data": {"status": "stopped", "exitstatus": "clone failed: no space left"}}),
            "no space left",
        ),
        (json!({"data": {"status": "stopped"}}), "no exit status"),
        (json!({"data": {"status": "running"}}), "waited 2400 s for the clone of VM 214"),
    ] {
        let mut answers = server();
        answers.push(Answer::get(&status_of("qmclone")).json(answer));
        let ran = as_agreed().service("pve", answers).apply(arguments());
        let why = ran.failure().why();
        assert!(why.contains(part) && why.contains("the clone of VM 214"), "{why}");
        assert_eq!(ran.effects.len(), 1, "nothing follows a clone that failed");
    }
    for odd in [json!({"data": null}), json!({"data": "UPID:../../x"})] {
        let mut answers = server();
        answers.push(Answer::post(CLONE).json(odd));
        assert!(matches!(
            as_agreed().service("pve", answers).apply(arguments()).failure(),
            Failure::Failed(_)
        ));
    }
}

#[test]
fn a_task_with_warnings_has_done_its_work() {
    let mut answers = server();
    answers.push(
        Answer::get(&status_of("qmstart"))
            .json(json!({"data": {"status": "stopped", "exitstatus": "WARNINGS: 1"}})),
    );
    assert_eq!(as_agreed().service("pve", answers).apply(arguments()).output()["state"], "running");
}

/// What is destroyed is destroyed by an undo alone; a run has effects of its own class.
#[test]
fn the_manifest_speaks_for_itself() {
    let manifest = CAPABILITY.manifest();
    let service = manifest.needs.iter().find_map(|need| match &need.kind {
        NeedKind::Service(service) => Some((need.optional, service)),
        _ => None,
    });
    let (optional, service) = service.unwrap();
    assert!(optional);
    let destroys: Vec<_> = service.rules.iter().filter(|rule| rule.effect == RuleEffect::Destroy).collect();
    let [delete] = destroys.as_slice() else { panic!("{destroys:?}") };
    assert_eq!(
        (delete.method.as_str(), delete.path.as_str()),
        ("DELETE", "/api2/json/nodes/{node}/qemu/{vmid}")
    );
    let input: Value = serde_json::from_str(&manifest.input).unwrap();
    assert_eq!(input["required"], json!(["target", "profile", "vm_id"]));
    let output: Value = serde_json::from_str(&manifest.output).unwrap();
    assert_eq!(output["properties"]["status"]["x-ops-fails-on"], json!(["FAILED"]));
}
