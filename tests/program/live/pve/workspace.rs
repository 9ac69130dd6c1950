//! Both capabilities as the repository's own workspace binds them: without a server, so that only a dry run works.

use std::fs;

use ops_tests::scratch::{Scratch, repository};

use super::Test;
use super::stand_in::{put_contracts, run};

pub(super) const TESTS: &[Test] = &[
    ("a_dry_run_works_and_cannot_be_approved", dry_run),
    ("another_run_says_what_the_binding_lacks", without_dry_run),
];

const BOTH: [(&str, &str, usize); 2] =
    [("infra.vm.provision", "infra-vm-provision", 4), ("infra.vm.bootstrap", "infra-vm-bootstrap", 5)];

fn workspace() -> Scratch {
    let scratch = Scratch::new();
    put_contracts(&scratch);
    for (name, guest, _) in BOTH {
        scratch.place(guest);
        let binding = fs::read_to_string(repository().join(format!("ops/bindings/{name}.yaml"))).unwrap();
        scratch.write_binding(&binding);
    }
    scratch.pin();
    scratch
}

fn dry_run() {
    let scratch = workspace();
    for (name, _, count) in BOTH {
        let dry = run(&scratch, name, &["--dry-run"]).exits(0).says("nothing was changed");
        assert!(dry.stdout.contains("state: planned\nstatus: OK\n"), "{}", dry.stdout);
        assert_eq!(dry.stderr.matches("not bound: unchecked").count(), count, "{}", dry.stderr);
        let receipt = scratch.last_receipt();
        assert_eq!(receipt["run"]["status"], "done");
        let effects = receipt["effects"].as_array().unwrap();
        assert!(
            effects.len() == count && effects.iter().all(|effect| effect["outcome"] == "unchecked"),
            "{effects:?}"
        );
        let plan = dry.stderr.split_whitespace().skip_while(|word| *word != "Plan").nth(1).unwrap();
        let _ = scratch.ops(&["plan", "approve", plan, "--key", "key"]).exits(4).says("dry run");
    }
}

fn without_dry_run() {
    let scratch = workspace();
    for (name, ..) in BOTH {
        let denied = run(&scratch, name, &[]).exits(4).says("the binding does not grant it");
        let _ = denied.says("the rule that would allow it").says("  pve:").says("method: POST");
        assert_eq!(scratch.last_receipt()["run"]["status"], "denied");
    }
}
