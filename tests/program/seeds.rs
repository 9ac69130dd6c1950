//! The two documents that the project comes from, word for word: every script in `tests/seeds` is a test. Each makes its own
//! clone of the repository and works in that one's `ops/`.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{guest, ops, repository};
use ops_tests::skip::{has_program, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let folder = repository().join("tests/seeds");
    let mut scripts: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 2, "the seeds are gone: {scripts:?}");
    let missing = (!has_program("python3")).then_some("python3");
    let test = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        trial(format!("seeds::{name}"), missing, move || {
            let folder = tempfile::tempdir().unwrap();
            let ran = Command::new("bash")
                .arg(&path)
                .arg(folder.path())
                .env("OPS", ops())
                .env("GUESTS", guest("guest-echo").parent().unwrap())
                .output()
                .unwrap();
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (out, err) = (said(&ran.stdout), said(&ran.stderr));
            assert!(ran.status.success(), "{}\n{out}\n{err}", ran.status);
        })
    };
    scripts.into_iter().map(test).collect()
}
