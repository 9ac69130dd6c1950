//! Gaps, loops and handoffs: their life in a scratch workspace, with the repository's own bindings and real receipts.

mod crowd;
mod handoffs;
mod life;

use std::fs;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, repository};
use serde_json::Value;

/// The file of all gaps.
const GAPS: &str = "ops/gaps/operational.gaps.yaml";

pub(crate) fn trials() -> Vec<Trial> {
    [life::trials(), handoffs::trials(), crowd::trials()].into_iter().flatten().collect()
}

/// A workspace with these capabilities of records, bound as in the repository, and two that make receipts: one that says
/// what it is told, and one that fails.
fn workspace(capabilities: &[&str], gaps: &str, scopes: &[(&str, &str)]) -> Scratch {
    let scratch = Scratch::new();
    for name in capabilities {
        let text = fs::read_to_string(repository().join(format!("ops/bindings/{name}.yaml"))).unwrap();
        let component = text.lines().find_map(|line| line.strip_prefix("component: components/")).unwrap();
        scratch.place(component.strip_suffix(".wasm").unwrap());
        scratch.write_binding(&text);
    }
    for (guest, name) in [("guest-echo", "test.guest.echo"), ("guest-panics", "test.guest.panics")] {
        let component = scratch.place(guest);
        scratch.write_binding(&format!("capability: {name}\ncomponent: {component}\nsafety: read-only\n"));
    }
    scratch.write(GAPS, gaps);
    scratch.write("ops/handoffs/README.md", "# Handoffs\n");
    fs::create_dir_all(scratch.path("ops/loops")).unwrap();
    for (id, text) in scopes {
        scratch.write(&format!("ops/loops/{id}.scope.md"), text);
    }
    scratch.pin();
    scratch
}

/// Front matter of an open loop, and what follows it.
fn scope(id: &str, more: &str, body: &str) -> String {
    format!(
        "---\nloop_id: {id}\ncreated: 2026-03-02\nstatus: open   # since March\nowner: platform\nscope: core\npriority: high\n\
         objective: To be tested\n{more}---\n\n# Loop Scope\n\n{body}"
    )
}

/// A read-only run that is done. Returns its key.
fn check(scratch: &Scratch, text: &str) -> String {
    let said = scratch.ops(&["cap", "run", "test.guest.echo", "--text", text, "--json"]).exits(0).json();
    said["run_key"].as_str().unwrap().to_owned()
}

/// Runs a capability with a piped yes. Returns its output.
fn yes(scratch: &Scratch, words: &[&str]) -> Value {
    let words = [&["cap", "run"], words, &["--json"]].concat();
    scratch.ops_with_input(&words, "yes\n").exits(0).json()["data"].take()
}
