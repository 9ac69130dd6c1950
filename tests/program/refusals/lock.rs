//! The lock is the trust root: what it does not vouch for does not run, and nobody can put another in its place.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use ops_policy::lock::{NAMESPACE, SignedLock};

use super::{TWO, World, append, new_key, ops_in, signature, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let tampered =
        TAMPERED.into_iter().map(|case| trial(&format!("tampered::{}", case.name), move || tampered(&case)));
    tampered
        .chain([
            trial("an_older_lock_put_back", || older_lock(true)),
            trial("an_older_lock_put_back_before_the_new_one_was_used", || older_lock(false)),
            trial("the_untampered_world_runs", untampered),
            trial("an_untrusted_copy_of_the_workspace", untrusted_copy),
        ])
        .collect()
}

/// One thing that somebody changes behind the approver's back.
struct Tampered {
    name: &'static str,
    how: fn(&World),
    code: &'static str,
    why: &'static str,
}

const TAMPERED: [Tampered; 9] = [
    Tampered {
        name: "a_byte_of_the_component",
        how: |world| flip(world, "ops/components/guest_two_effects.wasm", 1000),
        code: "component",
        why: "`components/guest_two_effects.wasm` has changed",
    },
    Tampered {
        name: "the_binding",
        how: |world| append(&world.scratch.path("ops/bindings/test.guest.two-effects.yaml"), "# harmless\n"),
        code: "lock",
        why: "`bindings/test.guest.two-effects.yaml` has changed",
    },
    Tampered {
        name: "ops_yaml",
        how: |world| append(&world.scratch.path("ops/ops.yaml"), "approvals: {approval: 1h}\n"),
        code: "lock",
        why: "`ops.yaml` has changed",
    },
    Tampered {
        name: "approvers",
        how: |world| {
            let line = new_key(&world.scratch, "mallory", "mallory", 7);
            append(&world.scratch.path("ops/approvers"), &line);
        },
        code: "lock",
        why: "`approvers` has changed",
    },
    Tampered {
        name: "a_byte_of_the_lock",
        how: |world| {
            // The first digit of a digest: still a lock in form, but not the one that was signed.
            let path = world.scratch.path("ops/ops.lock");
            let lock = fs::read_to_string(&path).unwrap();
            let at = lock.find("sha256:").unwrap() + "sha256:".len();
            let other = if lock.as_bytes()[at] == b'0' { "1" } else { "0" };
            fs::write(&path, format!("{}{other}{}", &lock[..at], &lock[at + 1..])).unwrap();
        },
        code: "lock-signature",
        why: "the lock's signature is refused",
    },
    Tampered {
        name: "a_space_in_the_lock",
        how: |world| {
            let path = world.scratch.path("ops/ops.lock");
            let lock = fs::read_to_string(&path).unwrap();
            fs::write(&path, lock.replacen(": ", ":  ", 1)).unwrap();
        },
        code: "lock",
        why: "is not as `ops pin` writes it",
    },
    Tampered {
        name: "a_lock_by_somebody_who_is_no_approver",
        how: |world| {
            new_key(&world.scratch, "mallory", "mallory", 7);
            forge(world, "mallory", |lock| lock.lock.counter += 1);
        },
        code: "lock-signature",
        why: "it must be signed by an approver that this host already trusts",
    },
    Tampered {
        name: "another_lock_with_the_same_number",
        how: |world| forge(world, "key", |lock| lock.lock.development = true),
        code: "lock-older",
        why: "there are two locks with number 1",
    },
    Tampered {
        name: "no_lock",
        how: |world| fs::remove_file(world.scratch.path("ops/ops.lock")).unwrap(),
        code: "lock",
        why: "`ops pin` writes it, signed by an approver",
    },
];

/// After the approval, so that nothing but the lock stands between the change and the server.
fn tampered(case: &Tampered) {
    let world = World::new();
    let plan = world.approved();
    let waiting = world.plan();

    (case.how)(&world);

    world.refused(&["cap", "run", TWO], case.code, case.why);
    world.refused(&["cap", "run", TWO, "--dry-run"], case.code, case.why);
    world.refused(&["plan", "apply", &plan], case.code, case.why);
    if case.code != "component" {
        world.refused(&["plan", "approve", &waiting, "--key", "key"], case.code, case.why);
    }
    assert_eq!(world.server.connections(), 0);
    world.scratch.ops(&["status"]).exits(1).says(case.why);
}

/// The control: the same steps without tampering reach the server.
fn untampered() {
    let world = World::new();
    let plan = world.approved();
    world.scratch.ops(&["plan", "apply", &plan]).exits(0);
    assert_eq!(world.sent(), ["POST /a", "GET /task", "POST /b"]);
}

/// A binding is tightened and pinned. Whoever holds a copy of the old set, with its good signature, puts it back.
fn older_lock(used: bool) {
    let world = World::new();
    let files = ["ops/ops.lock", "ops/bindings/test.guest.two-effects.yaml"];
    let old: Vec<_> = files.iter().map(|file| fs::read(world.scratch.path(file)).unwrap()).collect();
    world.scratch.write_binding(&super::two_effects(&world.server, "{mode: manual, approvals: 2}"));
    world.scratch.pin();
    if used {
        world.plan();
    }

    for (file, bytes) in files.iter().zip(old) {
        fs::write(world.scratch.path(file), bytes).unwrap();
    }

    world.refused(&["cap", "run", TWO], "lock-older", "an older one was put back");
    assert_eq!(world.server.connections(), 0);
}

/// Somebody's checkout, with a lock that is good where it came from.
fn untrusted_copy() {
    let world = World::new();
    let elsewhere = world.scratch.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-r", "ops"]).arg(&elsewhere).current_dir(world.scratch.path("."));
    assert!(copy.status().unwrap().success());

    for words in [
        &["cap", "run", TWO] as &[&str],
        &["cap", "list"],
        &["plan", "list"],
        &["pin", "--key", "../key", "--yes"],
    ] {
        ops_in(&world.scratch, &elsewhere, words)
            .exits(2)
            .says("was never trusted on this host, so nothing in it runs");
    }
    assert_eq!(world.server.connections(), 0);

    ops_in(&world.scratch, &elsewhere, &["trust", "--yes"]).exits(0).says("alice");
    ops_in(&world.scratch, &elsewhere, &["cap", "run", TWO]).exits(3);
}

/// Changes one byte.
fn flip(world: &World, file: &str, at: usize) {
    let path = world.scratch.path(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Replaces the lock by a changed one, signed with a key of the workspace's folder.
fn forge(world: &World, key: &str, change: fn(&mut SignedLock)) {
    let path = world.scratch.path("ops/ops.lock");
    let mut lock = SignedLock::parse("ops.lock", &fs::read(&path).unwrap()).unwrap();
    change(&mut lock);
    let signature = signature(&world.scratch, key, NAMESPACE, &lock.lock.body().unwrap());
    fs::write(path, SignedLock::render(&lock.lock, &signature).unwrap()).unwrap();
}
