//! `infra.vm.bootstrap`: a machine gets what its profile says, once, and the key of the tailnet shows up nowhere.

use serde_json::{Value, json};

use super::super::operator::tells_nobody;
use super::Test;
use super::stand_in::{AUTH_KEY, StandIn, TOKEN, approve, failed, run, word};

pub(super) const TESTS: &[Test] = &[
    ("a_vm_gets_what_its_profile_says", gets_what_its_profile_says),
    ("a_vm_that_is_not_there_is_not_filled", not_there),
    ("a_command_that_fails_ends_the_bootstrap", failing_command),
    ("a_command_that_the_binding_does_not_name_is_not_sent", unnamed_command),
];

const PROVISION: &str = "infra.vm.provision";
const NAME: &str = "infra.vm.bootstrap";

fn gets_what_its_profile_says() {
    let server = StandIn::start(&["--task-seconds", "0"]);
    let scratch = server.workspace(&[PROVISION, NAME]);
    approve(&scratch, PROVISION).exits(0);
    let before = server.changes().len();

    let dry = run(&scratch, NAME, &["--dry-run"]).exits(0);
    assert_eq!(server.changes().len(), before, "a dry run changes something: {:?}", server.changes());
    let asked = run(&scratch, NAME, &[]).exits(3);
    let plan = asked.plan();
    let applied = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let agent = "POST /api2/json/nodes/pve1/qemu/214/agent";
    let changes = server.changes();
    assert_eq!(
        changes[before..],
        [&[format!("{agent}/exec")][..]; 4]
            .concat()
            .into_iter()
            .chain([format!("{agent}/file-write")])
            .collect::<Vec<_>>()
    );
    assert!(applied.stdout.contains("state: ready\nstatus: OK\n"), "{}", applied.stdout);

    // The key is where it belongs, on standard input of one command, and in no argument.
    let log = server.log();
    let holding: Vec<_> = log.iter().filter(|line| line.to_string().contains(AUTH_KEY)).collect();
    assert_eq!(holding.len(), 1, "{holding:?}");
    assert_eq!(holding[0]["body"]["input-data"], AUTH_KEY);
    assert_eq!(holding[0]["body"]["command"][0], "tailscale");
    assert!(!holding[0]["body"]["command"].to_string().contains(AUTH_KEY));

    // What is there is left alone: an empty plan needs nobody.
    let again = run(&scratch, NAME, &["--json"]).exits(0);
    let output = again.json();
    assert_eq!((&output["data"]["state"], &output["data"]["steps"]), (&json!("ready"), &json!([])));
    assert_eq!(server.changes(), changes);
    tells_nobody(&scratch, &[AUTH_KEY, TOKEN], &[dry, asked, applied, again]);
}

fn not_there() {
    let server = StandIn::start(&["--task-seconds", "0"]);
    let scratch = server.workspace(&[NAME]);
    let (check, why) = failed(&run(&scratch, NAME, &["--json"]).exits(1));
    assert!(check == "qemu-agent" && why.contains("does not exist"), "{check}: {why}");
    let server = StandIn::start(&["--vm", "214"]);
    let scratch = server.workspace(&[NAME]);
    let (check, why) = failed(&run(&scratch, NAME, &["--json"]).exits(1));
    assert!(check == "qemu-agent" && why.contains("guest agent is not running"), "{check}: {why}");
    assert!(server.changes().is_empty());
}

fn failing_command() {
    let server = StandIn::start(&["--task-seconds", "0", "--exec-fails", "docker-ce-cli"]);
    let scratch = server.workspace(&[PROVISION, NAME]);
    approve(&scratch, PROVISION).exits(0);
    let ended = approve(&scratch, NAME);
    assert_ne!(ended.code, 0);
    let _ = ended.says("exit code 100").says("E: docker-ce-cli did not work out");
    let ran: Vec<Value> =
        server.log().into_iter().filter(|line| word(&line["path"]).ends_with("/agent/exec")).collect();
    assert_eq!(
        ran.len(),
        2,
        "the package lists were refreshed, the installation failed, and nothing followed"
    );
}

/// A profile that asks for more than the operator lets run is stopped by the binding.
fn unnamed_command() {
    let server = StandIn::start(&["--task-seconds", "0"]);
    let scratch = server.workspace(&[PROVISION, NAME]);
    approve(&scratch, PROVISION).exits(0);
    let before = server.changes().len();
    let file = scratch.path("ops/bindings/infra.vm.profiles.yaml");
    let profiles = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, profiles.replace("{name: image-prune,", "{name: something-else,")).unwrap();
    scratch.pin();
    let _ = run(&scratch, NAME, &[]).exits(4).says("/etc/cron.d/ops-something-else").says("is not granted");
    assert_eq!(server.changes().len(), before);
}
