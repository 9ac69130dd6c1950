//! Tests that need something that may be missing.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

/// Whether a program can be found: in `PATH`, or in Debian's folders for servers.
pub fn has_program(name: &str) -> bool {
    let folders = std::env::var("PATH").unwrap_or_default();
    folders
        .split(':')
        .chain(["/usr/sbin", "/usr/lib/cyrus/bin"])
        .any(|folder| Path::new(folder).join(name).exists())
}

/// A Python that has these modules, where there is one: `OPS_TEST_PYTHON`, else `target/python/bin/python`, else
/// `python3`.
pub fn python(modules: &[&str]) -> Option<String> {
    let own = crate::scratch::repository().join("target/python/bin/python");
    let candidates =
        [std::env::var("OPS_TEST_PYTHON").unwrap_or_default(), own.display().to_string(), "python3".into()];
    candidates.into_iter().filter(|python| !python.is_empty()).find(|python| {
        Command::new(python)
            .args(["-c", &format!("import {}", modules.join(", "))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// A test that is reported as skipped, by name and reason, where `missing` says that something is.
pub fn trial(name: impl Into<String>, missing: Option<&str>, run: impl FnOnce() + Send + 'static) -> Trial {
    let name = name.into();
    match missing {
        None => Trial::test(name, move || {
            run();
            Ok(())
        }),
        Some(missing) => {
            Trial::test(format!("{name} (skipped: {missing} is missing; make live-deps installs it)"), || {
                Ok(())
            })
            .with_ignored_flag(true)
        }
    }
}

/// A test that cannot run here, and that nothing which could be installed would let run.
pub fn unless(name: impl Into<String>, why_not: Option<&str>, run: impl FnOnce() + Send + 'static) -> Trial {
    let name = name.into();
    match why_not {
        None => trial(name, None, run),
        Some(why) => Trial::test(format!("{name} (not run: {why})"), || Ok(())).with_ignored_flag(true),
    }
}
