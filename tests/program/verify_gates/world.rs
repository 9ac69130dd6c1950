//! A copy of the repository's own workspace, pinned.

use std::fs;
use std::path::Path;

use ops_tests::scratch::{Scratch, repository};
use serde_json::Value;

/// What of `ops/` is authored or generated, and so belongs to a copy.
const FOLDERS: [&str; 6] =
    ["ops/bindings", "ops/gaps", "ops/loops", "ops/handoffs", "ops/skills", "docs/capabilities"];
const FILES: [&str; 2] = ["ops/ops.yaml", "ops/capabilities.yaml"];

/// The copy, with every component that a binding of it names.
pub(super) fn copy() -> Scratch {
    let scratch = Scratch::new();
    authored(&repository(), &scratch.path(""));
    for entry in fs::read_dir(scratch.path("ops/bindings")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        if let Some(name) = text.lines().find_map(|line| line.strip_prefix("component: components/")) {
            scratch.place(name.split(".wasm").next().unwrap());
        }
    }
    fs::create_dir_all(scratch.path("ops/state/outbox")).unwrap();
    scratch.ops(&["sync"]).exits(0);
    scratch.pin();
    scratch
}

/// Copies what is authored or generated, from one folder that holds a workspace to another.
pub(super) fn authored(from: &Path, to: &Path) {
    for folder in FOLDERS {
        lay_over(&from.join(folder), &to.join(folder));
    }
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// Copies all files below a folder into another one.
pub(super) fn lay_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            lay_over(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a run of all core gates says.
pub(super) fn core(scratch: &Scratch) -> Value {
    let ran = scratch.ops(&["cap", "run", "verify.core.run", "--json"]);
    assert!(!ran.stdout.is_empty(), "{}", ran.stderr);
    let said = ran.json()["data"].clone();
    let passed = said["result"] == "PASS";
    assert_eq!(ran.code, i32::from(!passed), "{said:#}");
    // The words of a full pass go with a full pass, and with nothing else.
    assert_eq!(passed, said["summary"] == "10/10 PASS", "{said:#}");
    assert!(passed || !said["summary"].as_str().unwrap().contains("PASS"), "{said:#}");
    said
}
