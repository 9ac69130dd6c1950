//! `ops inspect`: our components, those of another toolchain, and what is no component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, guest, repository};
use ops_tests::skip;
use serde_json::Value;

pub(crate) fn trials() -> Vec<Trial> {
    let tool = componentize();
    let missing = (!tool.exists()).then_some("componentize-py");
    vec![
        skip::trial("inspect::what_is_read_is_what_is_pinned", None, as_pinned),
        skip::trial("inspect::it_needs_no_workspace_and_says_what_can_be_granted", None, in_words),
        skip::trial("inspect::sockets_are_never_granted", None, sockets),
        skip::trial("inspect::what_is_no_component_is_refused_in_a_sentence", None, no_component),
        skip::trial("inspect::components_of_another_toolchain_show_as_much", missing, foreign),
    ]
}

/// Python's tool for components, where `make live-deps` puts it.
fn componentize() -> PathBuf {
    let own = repository().join("target/python/bin/componentize-py");
    std::env::var_os("OPS_TEST_COMPONENTIZE").map_or(own, PathBuf::from)
}

fn names(items: &Value) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn inspect(scratch: &Scratch, file: &Path) -> Value {
    scratch.ops(&["inspect", file.to_str().unwrap(), "--json"]).exits(0).json()
}

/// What the bytes say is what the engine says when a component is pinned: imports, their digest, its manifest.
fn as_pinned() {
    const SEND: &str = "capability: communications.mail.send.test\n\
                        component: components/communications_mail_send_test.wasm\nsafety: mutating\n\
                        approval: {mode: manual}\ndirectories: {outbox: {path: state/outbox, access: stage}}\n\
                        config: {from: ops@example.test, allowed_recipient_domains: [example.test]}\n";
    let scratch = Scratch::new();
    scratch.bind("communications-mail-send-test", SEND);
    let read = inspect(&scratch, &guest("communications-mail-send-test"));
    let shown = scratch.ops(&["cap", "show", "communications.mail.send.test", "--json"]).exits(0).json();
    assert_eq!(read["digest"], shown["component"]["digest"]);
    assert_eq!(read["manifest"], shown["manifest"]);
    let pinned: Vec<_> =
        shown["imports"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names(&read["imports"]), pinned);
    let lock = fs::read_to_string(scratch.path("ops/ops.lock")).unwrap();
    assert!(lock.contains(read["interface"].as_str().unwrap()), "{}: {lock}", read["interface"]);
}

fn in_words() {
    let scratch = Scratch::without_workspace();
    let file = guest("communications-mail-send-test");
    let shown = scratch.ops(&["inspect", file.to_str().unwrap()]).exits(0).stdout;
    for part in [
        "  a capability\n",
        "says of itself, which nobody has checked\n  version      ",
        "  licence      Apache-2.0",
        "imports that reach the world, each as far as a binding grants it\n  ops:capability/effects@0.1.0\n",
        "changes services that the binding names, each change planned and approved",
        "      calls: perform\n",
        "imports that every guest gets",
        "ops:capability/guest@0.1.0\n      calls: describe, run\n",
        "  safety       mutating\n",
        "what `ops bind` would leave to you to grant\n  services:\n    mail:",
        "outbox: {path: state/outbox, access: stage}",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    assert!(!shown.contains("never"), "{shown}");
    assert!(!scratch.path("home/.local/state").exists(), "it leaves nothing behind");
}

fn sockets() {
    let scratch = Scratch::without_workspace();
    let file = guest("guest-opens-socket");
    let shown = scratch.ops(&["inspect", file.to_str().unwrap()]).exits(0).stdout;
    assert!(shown.contains("imports that nobody can grant\n  wasi:sockets/"), "{shown}");
    assert_eq!(shown.matches("never: nothing grants sockets").count(), 1, "{shown}");
    let read = inspect(&scratch, &file);
    let never = read["imports"].as_array().unwrap().iter().filter(|import| import["class"] == "never");
    assert!(never.clone().count() > 0);
    assert!(never.clone().all(|import| import["name"].as_str().unwrap().starts_with("wasi:sockets/")));
}

fn no_component() {
    let scratch = Scratch::without_workspace();
    let whole = fs::read(guest("guest-echo")).unwrap();
    fs::write(scratch.path("cut.wasm"), &whole[..whole.len() - 100]).unwrap();
    fs::write(scratch.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(scratch.path("empty.wasm"), b"").unwrap();
    scratch.write("text.wasm", "#!/bin/sh\n");
    // Large without taking any room.
    fs::File::create(scratch.path("large.wasm")).unwrap().set_len(1 << 30).unwrap();
    fs::create_dir(scratch.path("folder.wasm")).unwrap();
    for (file, why) in [
        ("cut.wasm", "broken or cut-off"),
        ("core.wasm", "core WebAssembly module"),
        ("empty.wasm", "not WebAssembly"),
        ("text.wasm", "not WebAssembly"),
        ("large.wasm", "1073741824 bytes, and a component may have at most 64 MiB"),
        ("folder.wasm", "no regular file"),
        ("missing.wasm", "No such file"),
    ] {
        let path = scratch.path(file);
        let ran = scratch.ops(&["inspect", path.to_str().unwrap()]).exits(2).says(why).says(file);
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{file}: {}", ran.stderr);
    }
}

/// Builds a component of Python's.
fn build(scratch: &Scratch, wit: &Path, world: &str, app: &str) -> PathBuf {
    let file = scratch.path(&format!("{app}.wasm"));
    // Python keeps what it compiled beside the source.
    let source = format!("{app}.py");
    fs::copy(repository().join("tests/foreign").join(&source), scratch.path(&source)).unwrap();
    let built = Command::new(componentize())
        .arg("--quiet")
        .arg("--wit-path")
        .arg(wit)
        .args(["--world", world, "componentize", "--python-path"])
        .arg(scratch.path(""))
        .arg(app)
        .arg("--output")
        .arg(&file)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    file
}

/// A command that knows nothing of us, and a capability written by the contract alone.
fn foreign() {
    let scratch = Scratch::without_workspace();
    let command = build(&scratch, &repository().join("tests/foreign/command.wit"), "tool", "command_app");
    let read = inspect(&scratch, &command);
    assert_eq!((&read["capability"], &read["manifest"]), (&Value::Bool(false), &Value::Null));
    assert!(names(&read["exports"]).contains(&"wasi:cli/run@0.2.0"), "{}", read["exports"]);
    let shown = scratch.ops(&["inspect", command.to_str().unwrap()]).exits(0).stdout;
    assert!(shown.contains("a component, but no capability"), "{shown}");
    assert!(shown.contains("it cannot run here, because nobody can grant"), "{shown}");
    assert!(shown.contains("  made with    ") && shown.contains("libpython"), "{shown}");

    let capability =
        build(&scratch, &repository().join("wit"), "ops:capability/capability", "capability_app");
    let read = inspect(&scratch, &capability);
    assert_eq!(read["capability"], true);
    assert!(names(&read["exports"]).contains(&"ops:capability/guest@0.1.0"), "{}", read["exports"]);
    let imports = read["imports"].as_array().unwrap();
    let fetch = imports.iter().find(|import| import["name"] == "ops:capability/fetch@0.1.0").unwrap();
    assert_eq!((fetch["class"].as_str(), &fetch["functions"][0]), (Some("power"), &Value::from("fetch")));
    // Its runtime has sockets, whether the capability uses them or not.
    assert!(imports.iter().any(|import| import["class"] == "never"), "{imports:?}");
    assert_eq!(read["manifest"]["name"], "foreign.item.show");
    assert!(read["to_grant"].as_str().unwrap().contains("path: \"/items/{id}\", effect: read"), "{read}");
}
