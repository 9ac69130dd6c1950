//! The capability in a scripted world: what it looks at, what it runs, and what it makes of answers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use infra_vm_bootstrap::CAPABILITY;
use ops_guest::testing::{Answer, End, World, assert_converges};
use ops_guest::{Failure, PLACEHOLDER, Undo};
use serde_json::{Value, json};

const CONTRACTS: [&str; 3] =
    ["infra.relocation.plan.yaml", "infra.vm.profiles.yaml", "infra.placement.policy.yaml"];
const AGENT: &str = "/api2/json/nodes/pve1/qemu/214/agent";
const CRON: &str =
    "# Written by ops (infra.vm.bootstrap).\n17 3 * * 0 root /usr/bin/docker image prune --force\n";
const PACKAGES: [&str; 7] = [
    "qemu-guest-agent",
    "tailscale",
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-compose-plugin",
    "cron",
];

/// A world with the repository's own contracts.
fn world() -> World {
    let bindings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../ops/bindings");
    CONTRACTS.iter().fold(World::new(&CAPABILITY), |world, name| {
        world.contract(name, &fs::read_to_string(bindings.join(name)).unwrap())
    })
}

fn arguments() -> Value {
    json!({"target": "communications-stack", "profile": "spine-ready-v1", "vm_id": 214})
}

fn file(name: &str) -> Answer {
    Answer::get(&format!("{AGENT}/file-read?file={}", name.replace('/', "%2F")))
}

fn content(text: &str) -> Value {
    json!({"data": {"content": text}})
}

/// What the profile wants, each a file and the text that shows it.
fn wanted() -> Vec<(String, &'static str)> {
    let packages =
        PACKAGES.map(|package| (format!("/var/lib/dpkg/info/{package}.md5sums"), "0  usr/bin/x\n"));
    let services = ["docker", "tailscaled", "cron"].into_iter().flat_map(|service| {
        [
            (
                format!("/sys/fs/cgroup/system.slice/{service}.service/cgroup.events"),
                "populated 1\nfrozen 0\n",
            ),
            (format!("/etc/systemd/system/multi-user.target.wants/{service}.service"), "[Unit]\n"),
        ]
    });
    let others = [
        ("/proc/net/if_inet6".to_owned(), "fd7a115ca1e00000000000000000000e 04 80 00 80 tailscale0\n"),
        ("/etc/cron.d/ops-image-prune".to_owned(), CRON),
    ];
    packages.into_iter().chain(services).chain(others).collect()
}

/// A machine with nothing in it, which gets everything with the last step of a bootstrap, or has it from the start.
fn machine(is_filled: bool) -> Vec<Answer> {
    let mut answers = vec![
        Answer::get(&format!("{AGENT}/get-osinfo"))
            .json(json!({"data": {"result": {"pretty-name": "Debian GNU/Linux 13"}}})),
        Answer::post(&format!("{AGENT}/exec")).json(json!({"data": {"pid": 1000}})),
        Answer::get(&format!("{AGENT}/exec-status?pid=1000"))
            .json(json!({"data": {"exited": 1, "exitcode": 0, "out-data": "done\n"}})),
        Answer::post(&format!("{AGENT}/file-write")).json(json!({"data": null})),
    ];
    let missing = json!({"data": null, "message": "Agent error: failed to open file 'x' (mode: 'r'): No such file or directory\n"});
    for (name, text) in wanted() {
        answers.push(file(&name).status(500).json(missing.clone()));
        let there = file(&name).json(content(text));
        answers.push(if is_filled { there } else { there.after("POST", &format!("{AGENT}/file-write")) });
    }
    answers
}

/// The rows behind those of the contracts, as `check=RESULT`.
fn rows(output: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = output["checks"].as_array().unwrap().iter().skip(9);
    rows.map(|row| format!("{}={}", word(&row["check"]), word(&row["result"]))).collect()
}

#[test]
fn an_empty_machine_gets_every_step_word_for_word() {
    let plan = world().service("pve", machine(false)).plan(arguments());
    let output = plan.output();
    assert_eq!(
        rows(output),
        ["qemu-agent=PASS", "packages=SKIPPED", "services=SKIPPED", "tailscale=SKIPPED", "cron=SKIPPED"]
    );
    assert_eq!((&output["state"], &output["status"]), (&json!("planned"), &json!("OK")));
    let bodies: Vec<Value> = plan
        .effects
        .iter()
        .map(|effect| serde_json::from_slice(effect.request.body.as_deref().unwrap()).unwrap())
        .collect();
    let env = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let options = [
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        "--",
    ];
    let (refresh, install) =
        ([&env[..], &["update", "-q"]].concat(), [&env[..], &options[..], &PACKAGES[..]].concat());
    assert_eq!(
        bodies,
        [
            json!({"command": refresh}),
            json!({"command": install}),
            json!({"command": ["systemctl", "enable", "--now", "docker.service", "tailscaled.service", "cron.service"]}),
            json!({"command": ["tailscale", "up", "--auth-key=file:/dev/stdin", "--timeout=2m", "--hostname=communications-stack"], "input-data": PLACEHOLDER}),
            json!({"file": "/etc/cron.d/ops-image-prune", "content": CRON}),
        ]
    );
    for effect in &plan.effects {
        assert!(matches!(&effect.undo, Undo::ByHand(text) if !text.is_empty()), "{effect:?}");
        assert!(effect.summary.starts_with("in VM 214: "), "{}", effect.summary);
    }
}

#[test]
fn an_apply_waits_for_each_step_and_then_looks() {
    let mut world = world().service("pve", machine(false));
    let ran = world.apply(arguments());
    let output = ran.output();
    assert_eq!(
        rows(output),
        ["qemu-agent=PASS", "packages=PASS", "services=PASS", "tailscale=PASS", "cron=PASS"]
    );
    assert_eq!((&output["state"], &output["status"]), (&json!("ready"), &json!("OK")));
    let codes: Vec<_> = output["steps"].as_array().unwrap().iter().map(|step| &step["exit_code"]).collect();
    assert_eq!(codes, [0, 0, 0, 0].map(Value::from).iter().chain([&Value::Null]).collect::<Vec<_>>());
    assert!(
        ran.log.iter().any(|line| line.contains("done: refresh the package lists: done")),
        "{:?}",
        ran.log
    );
}

#[test]
fn a_machine_that_is_filled_is_left_alone() {
    let last = assert_converges(&mut world().service("pve", machine(false)), arguments());
    assert_eq!((&last.output()["state"], last.effects.len()), (&json!("ready"), 0));
    let plan = world().service("pve", machine(true)).plan(arguments());
    assert!(plan.effects.is_empty() && plan.output()["state"] == "ready");
}

#[test]
fn what_is_missing_is_done_and_no_more() {
    for (name, text, step) in [
        ("/var/lib/dpkg/info/cron.md5sums", None, "install cron"),
        (
            "/sys/fs/cgroup/system.slice/docker.service/cgroup.events",
            Some("populated 0\nfrozen 0\n"),
            "enable and start docker",
        ),
        ("/etc/systemd/system/multi-user.target.wants/cron.service", None, "enable and start cron"),
        (
            "/proc/net/if_inet6",
            Some("fe800000000000000000000000000001 02 40 20 80 tailscale0\n"),
            "join the tailnet",
        ),
        ("/etc/cron.d/ops-image-prune", Some("# changed by hand\n"), "write /etc/cron.d/ops-image-prune"),
    ] {
        let mut answers = machine(true);
        answers.push(match text {
            Some(text) => file(name).json(content(text)),
            None => file(name).status(500).json(json!({"message": "No such file or directory"})),
        });
        let plan = world().service("pve", answers).plan(arguments());
        let summary = &plan.effects.last().unwrap().summary;
        assert!(summary.contains(step), "{summary}");
        assert_eq!(plan.effects.len(), if step.starts_with("install") { 2 } else { 1 });
    }
}

#[test]
fn a_machine_that_is_not_there_is_refused() {
    for why in [
        "Configuration file 'nodes/pve1/qemu-server/214.conf' does not exist",
        "QEMU guest agent is not running",
    ] {
        let mut answers = machine(false);
        answers.push(
            Answer::get(&format!("{AGENT}/get-osinfo"))
                .status(500)
                .json(json!({"data": null, "message": why})),
        );
        let plan = world().service("pve", answers).plan(arguments());
        assert!(plan.effects.is_empty());
        let row = plan.output()["checks"].as_array().unwrap().last().unwrap();
        assert!(row["result"] == "FAIL" && row["why"].as_str().unwrap().contains(why), "{row}");
        assert_eq!(
            (&plan.output()["state"], &plan.output()["status"]),
            (&json!("refused"), &json!("FAILED"))
        );
    }
    let mut answers = machine(false);
    answers.push(
        file("/proc/net/if_inet6")
            .status(500)
            .json(json!({"message": "VM 214 qmp command failed - got timeout"})),
    );
    let plan = world().service("pve", answers).plan(arguments());
    assert!(matches!(plan.failure(), Failure::Failed(why) if why.contains("got timeout")), "{plan:?}");
}

#[test]
fn what_the_contracts_forbid_is_refused_before_the_server_is_asked() {
    for (field, value) in
        [("vm_id", json!(215)), ("target", json!("nobody")), ("profile", json!("home-lxc-dns-v1"))]
    {
        let mut asked = arguments();
        *asked.get_mut(field).unwrap() = value;
        let plan = world().service("pve", machine(false)).plan(asked);
        assert!(plan.effects.is_empty(), "{field}");
        assert_eq!(plan.output()["status"], "FAILED", "{field}");
    }
}

#[test]
fn without_a_server_everything_is_shown_as_missing() {
    let plan = world().dry_run(arguments());
    assert_eq!((plan.effects.len(), plan.reads.len()), (5, 0));
    assert!(rows(plan.output()).iter().all(|row| row.ends_with("=SKIPPED")), "{:?}", rows(plan.output()));
    assert_eq!(world().plan(arguments()).end, End::Stopped);
}

#[test]
fn a_command_that_fails_ends_the_run_with_what_it_said() {
    for (ended, part) in [
        (
            json!({"exited": true, "exitcode": 100, "err-data": "Reading…\nE: no such package\n"}),
            "exit code 100: Reading… / E: no such package",
        ),
        (json!({"exited": 1, "exitcode": 1, "out-data": "half\n"}), "exit code 1: half"),
        (json!({"exited": 1, "signal": 9}), "ended by signal 9"),
        (json!({"exited": 0}), "waited 1800 s"),
    ] {
        let mut answers = machine(false);
        answers.push(Answer::get(&format!("{AGENT}/exec-status?pid=1000")).json(json!({"data": ended})));
        let ran = world().service("pve", answers).apply(arguments());
        let why = ran.failure().why();
        assert!(why.contains(part) && why.contains("refresh the package lists"), "{why}");
        assert_eq!(ran.effects.len(), 1);
    }
}

/// All steps were done, and the machine is still not as it must be: that is a failed check, and no failure.
#[test]
fn a_machine_that_does_not_get_ready_is_told_of() {
    let mut answers = machine(false);
    answers.push(
        file("/sys/fs/cgroup/system.slice/docker.service/cgroup.events").json(content("populated 0\n")),
    );
    let ran = world().service("pve", answers).apply(arguments());
    assert_eq!((&ran.output()["state"], &ran.output()["status"]), (&json!("not-ready"), &json!("FAILED")));
    assert_eq!(
        rows(ran.output()),
        ["qemu-agent=PASS", "packages=PASS", "services=FAIL", "tailscale=PASS", "cron=PASS"]
    );
}
