//! `require: {user: …}`: the boundary between users is looked at, and what is not as required runs nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Trial;

use super::{TWO, World, append, receipt, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("deployment::another_user_than_the_required_one", another_user),
        trial("deployment::files_that_others_can_replace", open_to_others),
        trial("deployment::a_user_of_its_own_is_in_the_receipt", separate_user),
    ]
}

fn requiring(user: &str) -> World {
    let world = World::new();
    append(&world.scratch.path("ops/ops.yaml"), &format!("require: {{user: {user}}}\n"));
    world.scratch.pin();
    // Whatever the mask of whoever runs the tests makes of new folders.
    fs::set_permissions(world.scratch.path(""), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(world.scratch.path("ops"), Permissions::from_mode(0o755)).unwrap();
    world
}

/// The name of whoever runs the tests.
fn me() -> String {
    let ran = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

fn another_user() {
    let world = requiring("somebody-else");
    world.refused(&["cap", "run", TWO], "deployment", "start it as `somebody-else`");
}

fn open_to_others() {
    let world = requiring(&me());
    let root = world.scratch.path("ops");
    for (path, good, bad) in [(root.clone(), 0o755, 0o775), (root.join("approvers"), 0o644, 0o666)] {
        fs::set_permissions(&path, Permissions::from_mode(bad)).unwrap();
        world.refused(&["cap", "run", TWO], "deployment", "can be written by others");
        fs::set_permissions(&path, Permissions::from_mode(good)).unwrap();
    }
    world.scratch.ops(&["cap", "run", TWO]).exits(3);
}

fn separate_user() {
    let world = requiring(&me());
    let ran = world.scratch.ops(&["cap", "run", TWO]).exits(3);
    assert_eq!(receipt(&ran)["host"]["deployment"], "separate-user");
    let plan = ran.plan();
    super::new_key(&world.scratch, "mallory", "mallory", 7);
    let ran = world.scratch.ops(&["plan", "approve", &plan, "--key", "mallory"]).exits(4);
    assert_eq!(receipt(&ran)["host"]["deployment"], "separate-user");
    let world = World::new();
    let ran = world.scratch.ops(&["cap", "run", TWO]).exits(3);
    assert_eq!(receipt(&ran)["host"]["deployment"], "same-user");
}
