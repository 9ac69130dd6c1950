//! Mistakes, one at a time: exactly the gate that is for it fails, and says file, line and what to do.

use std::fs;
use std::path::Path;

use ops_tests::scratch::{Scratch, repository};
use serde_json::Value;

use super::world::{authored, core, lay_over};

/// The mistakes of `tests/gates/`, in one workspace: each is made, found and taken back.
pub(super) fn each_fails_its_gate_alone(scratch: &Scratch) {
    let kept = tempfile::tempdir().unwrap();
    authored(&scratch.path(""), kept.path());
    let mut folders: Vec<_> = fs::read_dir(repository().join("tests/gates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut gates: Vec<String> = folders.iter().map(|folder| gate(folder)).collect();
    gates.dedup();
    assert!(folders.len() >= 20 && gates.len() >= 8, "{gates:?}");
    let mut wrong = Vec::new();
    for folder in &folders {
        if let Err(why) = mistake(scratch, folder) {
            wrong.push(format!("{}: {why}", folder.file_name().unwrap().display()));
        }
        authored(kept.path(), &scratch.path(""));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // What was taken back is as it was.
    scratch.pin();
    assert_eq!(core(scratch)["summary"], "10/10 PASS");
}

fn gate(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned()
}

fn mistake(scratch: &Scratch, folder: &Path) -> Result<(), String> {
    let fixture: Value = serde_json::from_slice(&fs::read(folder.join("fixture.json")).unwrap()).unwrap();
    if folder.join("ops").exists() {
        lay_over(&folder.join("ops"), &scratch.path("ops"));
    }
    for edit in fixture["edits"].as_array().unwrap() {
        edited(scratch, edit)?;
    }
    if fixture["unsynced"] != true {
        scratch.ops(&["sync"]).exits(0);
    }
    scratch.pin();
    let gate = gate(folder);
    let findings = if fixture["unreadable"] == true {
        alone(scratch, &gate, &fixture)?
    } else {
        let said = core(scratch);
        if said["failing_gate_ids"] != serde_json::json!([gate]) || said["passed"] != 9 {
            return Err(format!("other gates fail: {said:#}"));
        }
        said["findings"].clone()
    };
    expected(scratch, &fixture, &findings)
}

/// Changes the one place of a file.
fn edited(scratch: &Scratch, edit: &Value) -> Result<(), String> {
    let word = |key: &str| edit[key].as_str().unwrap();
    let path = scratch.path(word("file"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (from, to) = (word("from"), word("to"));
    if text.matches(from).count() != 1 && from != "\n" {
        return Err(format!("{}: {from:?} does not stand there once", word("file")));
    }
    fs::write(&path, text.replacen(from, to, 1)).map_err(|error| error.to_string())
}

/// A contract that says which gates there are cannot be read: nothing can be verified, which is said with the finding;
/// the gate that is for it finds it too.
fn alone(scratch: &Scratch, gate: &str, fixture: &Value) -> Result<Value, String> {
    let what = fixture["what"].as_str().unwrap();
    scratch
        .ops(&["cap", "run", "verify.core.run"])
        .exits(1)
        .says(what)
        .says(fixture["file"].as_str().unwrap());
    let said = scratch.ops(&["cap", "run", "gates.topology.check", gate, "--json"]).exits(1).json();
    match said["data"]["result"] == "fail" {
        true => Ok(said["data"]["findings"].clone()),
        false => Err(format!("{said:#}")),
    }
}

/// Whether there is a finding as it is expected, with its file, its line and what to do.
fn expected(scratch: &Scratch, fixture: &Value, findings: &Value) -> Result<(), String> {
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let holds = |found: &&Value| {
        word(found, "file").ends_with(&word(fixture, "file"))
            && word(found, "what").contains(&word(fixture, "what"))
            && word(found, "fix").contains(&word(fixture, "fix"))
    };
    let found = findings.as_array().and_then(|all| all.iter().find(holds));
    let found = found.ok_or_else(|| format!("no such finding: {findings:#}"))?;
    let at = word(fixture, "at");
    if at.is_empty() {
        return Ok(());
    }
    let file = word(fixture, "file");
    let file = if file.starts_with("docs/") { file } else { format!("ops/{file}") };
    let text = fs::read_to_string(scratch.path(&file)).unwrap();
    let line = usize::try_from(found["line"].as_u64().unwrap()).unwrap();
    let named = text.lines().nth(line.wrapping_sub(1)).unwrap_or_default();
    if named.contains(&at) { Ok(()) } else { Err(format!("the line {line} is {named:?}: {found:#}")) }
}

/// A receipt's evidence that was changed where people have it fails D403; a ledger that was cut short fails D404.
pub(super) fn of_records(scratch: &Scratch) {
    let said = core(scratch);
    let run = said["gates"][3]["run_key"].as_str().unwrap();
    let evidence = scratch.path(&format!("receipts/sessions/R{run}/output.json"));
    let text = fs::read_to_string(&evidence).unwrap();
    fs::write(&evidence, text.replacen("pass", "fail", 1)).unwrap();
    let said = core(scratch);
    assert_eq!(said["failing_gate_ids"], serde_json::json!(["D403"]), "{said:#}");
    let found = &said["findings"][0];
    assert!(found["file"].as_str().unwrap().contains(run), "{found:#}");
    assert!(found["fix"].as_str().unwrap().contains("ops receipts verify"), "{found:#}");
    fs::write(&evidence, text).unwrap();
    assert_eq!(core(scratch)["summary"], "10/10 PASS");

    let state = fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path();
    let older = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(state.join(name), older.path().join(name)).unwrap();
    }
    scratch.ops(&["cap", "run", "verify.pack.list"]).exits(0);
    scratch.ops(&["ledger", "checkpoint"]).exits(0);
    fs::remove_file(state.join("ledger.db-shm")).unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(older.path().join(name), state.join(name)).unwrap();
    }
    let said = core(scratch);
    assert_eq!(said["failing_gate_ids"], serde_json::json!(["D404"]), "{said:#}");
    let found = &said["findings"][0];
    assert_eq!(found["file"], "the ledger", "{found:#}");
    assert!(found["fix"].as_str().unwrap().contains("ops ledger verify"), "{found:#}");
    // Without the checkpoint that tells of the lost end, the ledger is one again.
    fs::remove_dir_all(scratch.path("receipts/log")).unwrap();
}
