//! Guests that want files of the host, and one that wants a socket.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use ops_tests::server::Server;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use super::Test;
use super::yard::{Yard, entries, saw};

pub(super) const TESTS: &[Test] = &[
    ("opens-socket", "refused_before_its_first_instruction", opens_socket),
    ("reads-passwd", "finds_nothing_but_its_folder", reads_passwd),
    ("symlink-escape", "can_make_no_link", symlink_escape),
    ("fifo-read", "never_starts_beside_what_is_no_file", fifo_read),
];

fn opens_socket(yard: &Yard) {
    let server = Server::answering("hello");
    yard.bind("");
    let address = server.origin().replace("http://", "");
    yard.run(&["--address", &address])
        .ends("denied", 4, Some("import"))
        .denies("import", "guest_opens_socket.wasm: the component imports `wasi:sockets/")
        .says("nothing grants sockets");
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

fn reads_passwd(yard: &Yard) {
    yard.folder();
    for grants in ["", "directories: {box: {path: state/box, access: read}}"] {
        yard.bind(grants);
        let run = yard.run(&[]).ends("done", 0, None);
        assert_eq!(run.output()["read"], json!({}), "with `{grants}`");
        assert_eq!(run.output()["refused"].as_object().unwrap().len(), 6, "it tries six paths");
    }
    assert_eq!(yard.files_with(&a_line_of_passwd()), <[&Path; 0]>::default());
}

fn symlink_escape(yard: &Yard) {
    let folder = yard.folder();
    yard.bind(
        "safety: mutating\napproval: {mode: manual}\ndirectories: {box: {path: state/box, access: stage}}",
    );
    let run = yard.run(&[]).ends("done", 0, None).says("there is nothing to change");
    let output = run.output();
    assert_eq!(output["read"], json!({}), "a link was followed");
    let refused = output["refused"].as_object().unwrap();
    assert_eq!(refused.len(), 3, "it tries three links");
    assert!(refused.values().all(|why| why.as_str().unwrap().contains("not permitted")), "{refused:?}");
    assert_eq!(run.receipt["files"], json!([]));
    assert_eq!(yard.waiting(), <[&str; 0]>::default(), "its plan waits for an approval");
    assert_eq!(entries(&folder), [folder.join("kept.txt")]);

    let line = a_line_of_passwd();
    assert!(!run.ran.stdout.contains(&line) && !run.ran.stderr.contains(&line), "{:?}", run.ran);
    assert_eq!(yard.files_with(&line), <[&Path; 0]>::default());
}

/// What the search for it must never find.
fn a_line_of_passwd() -> String {
    fs::read_to_string("/etc/passwd").unwrap().lines().next().unwrap().to_owned()
}

fn fifo_read(yard: &Yard) {
    let folder = yard.folder();
    yard.bind("directories: {box: {path: state/box, access: read}}");
    let intruder = folder.join("intruder");
    let cases: [(&str, &dyn Fn()); 5] = [
        ("a FIFO", &|| mknodat(CWD, &intruder, FileType::Fifo, Mode::RUSR, 0).unwrap()),
        ("a socket", &|| drop(UnixListener::bind(&intruder).unwrap())),
        ("a symbolic link", &|| symlink("/etc/passwd", &intruder).unwrap()),
        ("a hard link", &|| fs::hard_link(folder.join("kept.txt"), &intruder).unwrap()),
        ("setuid", &|| {
            fs::write(&intruder, "x").unwrap();
            fs::set_permissions(&intruder, fs::Permissions::from_mode(0o4755)).unwrap();
        }),
    ];
    for (what, put) in cases {
        put();
        let told = format!("directory `box`: `intruder` in {}: it is {what}", folder.display());
        let run = yard.run(&[]).ends("denied", 4, Some("directory")).denies("file", &told).says(&told);
        assert_eq!(run.receipt["usage"]["peakMemoryBytes"], 0, "{what}: the guest was started");
        fs::remove_file(&intruder).unwrap();
    }

    fs::write(folder.join("a.txt"), "four").unwrap();
    let run = yard.run(&[]).ends("done", 0, None).denies_nothing();
    assert_ne!(run.receipt["usage"]["peakMemoryBytes"], 0);
    assert_eq!(run.output(), json!({"sizes": {"a.txt": 4, "kept.txt": 4}, "order": ["a.txt", "kept.txt"]}));
}
