//! `infra.vm.provision`: what is approved is made once, and as the profile says.

use serde_json::json;

use super::super::operator::tells_nobody;
use super::Test;
use super::stand_in::{CA, StandIn, TOKEN, approve, failed, run, word};

pub(super) const TESTS: &[Test] = &[
    ("a_vm_is_cloned_configured_and_running", cloned_configured_and_running),
    ("a_dry_run_changes_nothing_at_the_server", dry_run_changes_nothing),
    ("a_pinned_certificate_will_do", pinned),
    ("a_wrong_token_is_a_clear_failure", wrong_token),
    ("an_id_that_is_taken_is_refused_in_the_checks", taken),
    ("a_template_that_is_missing_is_refused_in_the_checks", no_template),
    ("a_task_that_fails_ends_the_run", failing_task),
    ("without_a_rule_nothing_is_sent", without_a_rule),
    ("a_vm_is_taken_back_by_its_stated_undo", taken_back),
];

const NAME: &str = "infra.vm.provision";
const QUICK: [&str; 2] = ["--task-seconds", "0"];

fn cloned_configured_and_running() {
    let server = StandIn::start(&[]);
    let scratch = server.workspace(&[NAME]);
    let asked = run(&scratch, NAME, &[]).exits(3).says("approve and run:");
    let plan = asked.plan();
    let shown = scratch.ops(&["plan", "show", &plan]).exits(0);
    for part in [
        "clone template 9000 in full to VM 214",
        "\"searchdomain\": \"example.test\"",
        "DELETE /api2/json/nodes/pve1/qemu/214?purge=1",
    ] {
        assert!(shown.stdout.contains(part), "the plan does not show {part}:\n{}", shown.stdout);
    }
    assert_eq!(
        (server.changes(), server.vm(214)),
        (vec![], json!(null)),
        "something was made before anybody approved"
    );

    let applied = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let vm = "/api2/json/nodes/pve1/qemu";
    assert_eq!(
        server.changes(),
        [
            format!("POST {vm}/9000/clone"),
            format!("PUT {vm}/214/config"),
            format!("PUT {vm}/214/resize"),
            format!("POST {vm}/214/status/start"),
        ]
    );
    let made = server.vm(214);
    assert_eq!(
        (&made["status"]["status"], &made["status"]["name"]),
        (&json!("running"), &json!("communications-stack"))
    );
    let settings = &made["config"];
    for (key, value) in [
        ("cores", json!(4)),
        ("memory", json!("8192")),
        ("agent", json!("enabled=1")),
        ("onboot", json!(1)),
        ("net0", json!("virtio,bridge=vmbr0")),
        ("ciuser", json!("ubuntu")),
        ("ipconfig0", json!("ip=dhcp")),
        ("nameserver", json!("192.0.2.53")),
        ("searchdomain", json!("example.test")),
        (
            "sshkeys",
            json!(
                "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f%20ops%40example.test"
            ),
        ),
    ] {
        assert_eq!(settings[key], value, "{key}");
    }
    assert!(
        word(&settings["scsi0"]).starts_with("local-lvm:vm-214-")
            && word(&settings["scsi0"]).contains("size=50G"),
        "{settings}"
    );
    assert_eq!(server.vm(9000)["config"]["template"], 1, "the template is touched");

    let receipt = scratch.last_receipt();
    let outcomes: Vec<_> = receipt["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| (&effect["rule"], &effect["outcome"]))
        .collect();
    let performed = json!("performed");
    assert_eq!(
        outcomes,
        ["clone", "configure", "resize", "start"]
            .map(|rule| (json!(rule), &performed))
            .iter()
            .map(|(rule, outcome)| (rule, *outcome))
            .collect::<Vec<_>>()
    );
    assert!(
        applied.stdout.contains("state: running\nstatus: OK\n") && applied.stdout.contains("UPID:pve1:"),
        "{}",
        applied.stdout
    );
    tells_nobody(&scratch, &[TOKEN, TOKEN.split('=').nth(1).unwrap()], &[asked, shown, applied]);

    // A second time is refused in the checks, and nothing more is asked for.
    let again = run(&scratch, NAME, &["--json"]).exits(1);
    let (check, why) = failed(&again);
    assert!(
        check == "id-free" && why.contains("VM 214 already exists") && why.contains("ops runs undo"),
        "{check}: {why}"
    );
    assert_eq!(server.changes().len(), 4);
}

fn dry_run_changes_nothing() {
    let server = StandIn::start(&QUICK);
    let scratch = server.workspace(&[NAME]);
    let dry = run(&scratch, NAME, &["--dry-run"]).exits(0);
    assert!(
        dry.stdout.contains("checks_skipped: 0") && dry.stdout.contains("state: planned\nstatus: OK\n"),
        "{}",
        dry.stdout
    );
    assert!(!server.log().is_empty() && server.changes().is_empty(), "{:?}", server.changes());
    assert_eq!(server.vm(214), json!(null));
    let plan = dry.stderr.split_whitespace().skip_while(|word| *word != "Plan").nth(1).unwrap().to_owned();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(4);
    assert!(server.changes().is_empty());
}

fn pinned() {
    let server = StandIn::start(&QUICK);
    let right = server.fingerprint();
    let scratch = server.workspace_with(&[NAME], &format!("{{fingerprint: \"{right}\"}}"), TOKEN);
    approve(&scratch, NAME).exits(0);
    assert_eq!(server.vm(214)["status"]["status"], "running");

    let other = StandIn::start(&QUICK);
    let scratch = other.workspace_with(&[NAME], &format!("{{fingerprint: \"{right}\"}}"), TOKEN);
    run(&scratch, NAME, &[]).exits(1).says("is not the one that the binding pins");
    assert!(other.log().is_empty(), "a request was sent");
}

fn wrong_token() {
    let server = StandIn::start(&QUICK);
    let wrong = "root@pam!ops=99999999-2222-3333-4444-555555555555";
    let scratch = server.workspace_with(&[NAME], CA, wrong);
    let refused = run(&scratch, NAME, &[])
        .exits(1)
        .says("answered 401")
        .says("the credential of the binding is missing or wrong");
    assert_eq!(scratch.last_receipt()["run"]["status"], "failed");
    assert!(server.changes().is_empty());
    tells_nobody(&scratch, &[wrong], &[refused]);
}

fn taken() {
    let server = StandIn::start(&["--vm", "214"]);
    let scratch = server.workspace(&[NAME]);
    let (check, why) = failed(&run(&scratch, NAME, &["--json"]).exits(1));
    assert!(check == "id-free" && why.contains("VM 214 already exists"), "{check}: {why}");
    assert!(server.changes().is_empty());
    assert_eq!(server.vm(214)["status"]["name"], "somebody-elses");
}

fn no_template() {
    let server = StandIn::start(&QUICK);
    let scratch = server.workspace(&[NAME]);
    let (check, why) = failed(&run(&scratch, NAME, &["--json", "--template-vmid", "9999"]).exits(1));
    assert!(check == "template" && why.contains("there is no VM 9999 on pve1"), "{check}: {why}");
    assert!(server.changes().is_empty());
}

fn failing_task() {
    for (task, changes, what) in
        [("qmclone", 1, "the clone of VM 214"), ("qmstart", 4, "the start of VM 214")]
    {
        let server = StandIn::start(&["--task-seconds", "0", "--fail-task", task]);
        let scratch = server.workspace(&[NAME]);
        let ended = approve(&scratch, NAME);
        assert_ne!(ended.code, 0, "{}", ended.stdout);
        let ended = ended.says(what).says(&format!("{task} failed: the test says so")).says("UPID:pve1:");
        assert_eq!(server.changes().len(), changes, "{}", ended.stderr);
        assert_ne!(scratch.last_receipt()["run"]["status"], "done");
    }
}

fn without_a_rule() {
    let server = StandIn::start(&QUICK);
    let scratch = server.workspace(&[NAME]);
    let file = scratch.path("ops/bindings/infra.vm.provision.yaml");
    let binding = std::fs::read_to_string(&file).unwrap();
    let without: Vec<_> = binding.lines().filter(|line| !line.contains("id: start,")).collect();
    std::fs::write(&file, without.join("\n")).unwrap();
    scratch.pin();
    let denied = run(&scratch, NAME, &[]).exits(4).says("is not granted").says("/status/start");
    assert!(server.changes().is_empty(), "{}", denied.stderr);
}

/// Stop, then delete: both are sent once somebody has approved them, and the number is free again.
fn taken_back() {
    let server = StandIn::start(&QUICK);
    let scratch = server.workspace(&[NAME]);
    approve(&scratch, NAME).exits(0);
    let key = word(&scratch.last_receipt()["run"]["id"]);
    let before = server.changes().len();
    let asked = scratch.ops(&["runs", "undo", &key]).exits(3);
    assert_eq!(server.changes().len(), before, "something was taken back before anybody approved");
    scratch.ops(&["plan", "approve", &asked.plan(), "--key", "key", "--apply"]).exits(0);
    let changes = server.changes();
    assert_eq!(changes[before], "POST /api2/json/nodes/pve1/qemu/214/status/stop");
    // A machine that is still stopping cannot be deleted, so the request may be sent more than once.
    let delete = "DELETE /api2/json/nodes/pve1/qemu/214";
    assert!(
        changes.len() > before + 1 && changes[before + 1..].iter().all(|change| change == delete),
        "{changes:?}"
    );
    assert_eq!(server.vm(214), json!(null));
    run(&scratch, NAME, &[]).exits(3);
}
