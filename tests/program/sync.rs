//! `ops sync`: what is generated has one source, and what differs from that is named with its file, line and fix.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, guest, repository};
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("writes_each_file_once_and_the_lock_covers_them", written),
        trial("each_difference_is_named_with_file_line_and_fix", differences),
        trial("a_binding_that_cannot_be_used_is_told_of_alone", unusable),
        trial("the_repositorys_own_files_are_in_sync", own),
    ]
}

fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    skip::trial(format!("sync::{name}"), None, run)
}

const ECHO: &str = "capability: test.guest.echo\ncomponent: components/guest_echo.wasm\nsafety: read-only\n";

fn workspace() -> Scratch {
    let scratch = Scratch::new();
    scratch.place("guest-echo");
    scratch.write_binding(ECHO);
    fs::create_dir(scratch.path("docs")).unwrap();
    scratch
}

fn written() {
    let scratch = workspace();
    scratch.ops(&["sync", "--check"]).exits(1);
    // There is no lock yet: components are asked.
    let said = scratch.ops(&["sync"]).exits(0).stdout;
    for file in
        ["ops/capabilities.yaml", "ops/bindings/capability_map.yaml", "docs/capabilities/test.guest.echo.md"]
    {
        assert!(said.contains(&format!("wrote {file}\n")), "{said}");
    }
    assert_eq!(scratch.ops(&["sync"]).exits(0).stdout, "");
    scratch.pin();
    scratch.ops(&["sync", "--check"]).exits(0);
    // A hand in a file that lies beside the bindings is one in what the lock covers.
    let map = scratch.path("ops/bindings/capability_map.yaml");
    fs::write(&map, fs::read_to_string(&map).unwrap() + "\n").unwrap();
    scratch.ops(&["pin", "--check"]).exits(1).says("`ops sync` writes them anew");
    scratch.ops(&["sync"]).exits(0);
    scratch.ops(&["pin", "--check"]).exits(0);
}

fn differences() {
    let scratch = workspace();
    scratch.ops(&["sync"]).exits(0);
    let check = |file: &str, line: u64, what: &str| {
        let found = scratch.ops(&["sync", "--check", "--json"]).exits(1).json();
        let [found] = found["differences"].as_array().unwrap().as_slice() else { panic!("{found}") };
        assert_eq!((found["file"].as_str(), found["line"].as_u64()), (Some(file), Some(line)), "{found}");
        assert!(found["what"].as_str().unwrap().contains(what), "{found}");
        assert!(found["fix"].as_str().unwrap().contains("`ops sync`"), "{found}");
        let said = scratch.ops(&["sync", "--check"]).exits(1).stdout;
        assert!(said.starts_with(&format!("{file}:{line}: ")), "{said}");
        scratch.ops(&["sync"]).exits(0);
        scratch.ops(&["sync", "--check"]).exits(0);
    };
    let edit = |file: &str, from: &str, to: &str| {
        let path = scratch.path(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    edit("ops/capabilities.yaml", "safety: read-only", "safety: mutating");
    check("ops/capabilities.yaml", 8, "is `safety: mutating`, would be `safety: read-only`");
    edit("ops/bindings/capability_map.yaml", "  test.", "  a.phantom: {}\n  test.");
    check("ops/bindings/capability_map.yaml", 5, "a.phantom");
    fs::remove_file(scratch.path("docs/capabilities/README.md")).unwrap();
    check("docs/capabilities/README.md", 1, "is missing");
    let gone = scratch.path("docs/capabilities/a.gone.md");
    fs::copy(scratch.path("docs/capabilities/test.guest.echo.md"), &gone).unwrap();
    check("docs/capabilities/a.gone.md", 1, "not bound here");
    assert!(!gone.exists());
    // What people wrote there is theirs.
    scratch.write("docs/capabilities/notes.md", "Mine.\n");
    scratch.ops(&["sync", "--check"]).exits(0);
}

fn unusable() {
    let scratch = workspace();
    scratch.ops(&["sync"]).exits(0);
    let one = |file: &str, line: u64, what: &str| {
        let found = scratch.ops(&["sync", "--check", "--json"]).exits(1).json();
        let [found] = found["differences"].as_array().unwrap().as_slice() else { panic!("{found}") };
        assert_eq!((found["file"].as_str(), found["line"].as_u64()), (Some(file), Some(line)), "{found}");
        assert!(found["what"].as_str().unwrap().contains(what), "{found}");
        scratch.ops(&["sync"]).exits(2).says(file);
    };
    let path = "ops/bindings/test.guest.echo.yaml";
    scratch.write(path, &ECHO.replace("read-only", "harmless"));
    one(path, 3, "harmless");
    scratch.write(path, &ECHO.replace("guest_echo", "guest_gone"));
    one(path, 2, "there is no such file");
    scratch.write(path, &ECHO.replace("test.guest.echo", "test.guest.other"));
    one(path, 1, "binds `test.guest.other`");
}

/// On a fresh clone: what was committed is what these bindings and components make.
fn own() {
    let scratch = Scratch::new();
    let copy = |from: &Path, to: &str| {
        let to = scratch.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-rT").args([from, &to]).status().unwrap();
        assert!(copied.success(), "{}", from.display());
    };
    for (from, to) in [("ops/bindings", "ops/bindings"), ("ops/ops.yaml", "ops/ops.yaml"), ("docs", "docs")] {
        copy(&repository().join(from), to);
    }
    let registry = repository().join("ops/capabilities.yaml");
    copy(&registry, "ops/capabilities.yaml");
    let guests = guest("guest-echo");
    for component in fs::read_dir(guests.parent().unwrap()).unwrap() {
        let component = component.unwrap();
        let name = component.file_name().into_string().unwrap();
        if name.ends_with(".wasm") && !name.starts_with("guest_") {
            copy(&component.path(), &format!("ops/components/{name}"));
        }
    }
    let said = scratch.ops(&["sync", "--check"]);
    assert_eq!(said.code, 0, "run `make build` and commit what changed:\n{}\n{}", said.stdout, said.stderr);
}
