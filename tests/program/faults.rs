//! A disk that is full, broken or read-only: `ops` refuses, or says that it does not know, and never that it is done
//! when it is not.

use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use ops_tests::scratch::{self, ran};
use ops_tests::skip::trial;
use ops_tests::torture::campaign::{Campaign, Under};
use ops_tests::torture::dice::{Dice, seed};
use ops_tests::torture::disk;
use ops_tests::torture::job::Job;
use ops_tests::torture::say;
use ops_tests::torture::site::{Site, approve};

/// Outside `make torture`, one call in so many is hit, from a random one on.
const ONE_IN: usize = 9;

pub(crate) fn trials() -> Vec<Trial> {
    let under = [("apply", Under::Apply), ("recovery", Under::Recovery), ("resume", Under::Resume)];
    let faults = disk::FAULTS.iter().flat_map(|fault| under.map(|(name, under)| (name, under, *fault))).map(
        |(name, under, fault)| {
            disk::trial(format!("torture::faults::{fault}::{name}"), move || every_call(under, fault))
        },
    );
    // Not skipped where it cannot run: nothing could be installed that would give the right to mount.
    let mount = match can_mount() {
        true => trial("torture::faults::a_read_only_mount", None, read_only_mount),
        false => trial("torture::faults::a_read_only_mount (not run: this user may not mount)", None, || ()),
    };
    faults.chain([mount]).collect()
}

fn every_call(under: Under, fault: &'static str) {
    let all = std::env::var_os("TORTURE").is_some() || fault == "readonly";
    let mut dice = Dice::new(seed());
    let (first, step) = if all { (1, 1) } else { (1 + dice.below(ONE_IN), ONE_IN) };
    let figures = Campaign::new(Site::new(), dice).fault(under, fault, first, step);
    say(&format!("{fault} under {under:?}: {figures}"));
}

/// Runs the words after the first with that folder mounted read-only, seen by this program alone.
const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";

fn can_mount() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", READ_ONLY]).arg(folder.path()).arg("true");
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The host's state on a disk that was mounted read-only: everything is refused, and nothing is done.
fn read_only_mount() {
    let site = Site::new();
    let plan = site.plan(&Job::machine("one", "a note"));
    for words in [&approve(&plan), &Job::machine("other", "a note").words] {
        let mut command = Command::new("unshare");
        site.scratch
            .around(&mut command)
            .args(["--mount", "sh", "-c", READ_ONLY])
            .arg(site.state())
            .arg(scratch::ops())
            .args(words);
        let run = ran(&mut command);
        assert!(!run.stderr.contains("panicked"), "{run:?}");
        assert!(run.stdout.is_empty() || run.json()["status"] == "denied", "{run:?}");
        assert!([2, 4].contains(&run.code), "{run:?}");
    }
    assert_eq!(site.machines.done(), []);
    ran(&mut site.command(&approve(&plan))).exits(0);
}
