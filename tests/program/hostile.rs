//! Every guest of `tests/guests`, bound, pinned and run as a person would do it.
//!
//! Each has its own workspace beside an honest guest. A test looks at the exit code, at what the signed receipt says
//! and at what the server saw. Whatever the guest did, the host is unharmed afterwards: the honest guest runs, no copy
//! of a folder is left, every receipt verifies and `ops status` has nothing to report.

mod files;
mod limits;
mod output;
mod plans;
mod requests;
pub(crate) mod yard;

use std::collections::BTreeSet;
use std::fs;

use libtest_mimic::Trial;
use ops_tests::scratch::repository;
use ops_tests::skip::trial;

use crate::{invoke, network, secrets, upgrade};
use yard::Yard;

/// Guests that need a mail server; `live` tests them.
const LIVE: [&str; 2] = ["search-that-sends", "search-with-effects"];

/// Guests whose runs are killed and gone on with; `torture` and `unknown` test them.
const KILLED: [&str; 1] = ["sets-up"];

/// A test: the guest's folder in `tests/guests`, what the test shows, and the story.
type Test = (&'static str, &'static str, fn(&Yard));

fn tests() -> Vec<Test> {
    [files::TESTS, limits::TESTS, output::TESTS, plans::TESTS, requests::TESTS].concat()
}

pub(crate) fn trials() -> Vec<Trial> {
    let guests = tests().into_iter().map(|(guest, what, story)| {
        trial(format!("hostile::{guest}::{what}"), None, move || {
            let yard = Yard::new(guest);
            story(&yard);
            yard.is_unharmed();
        })
    });
    guests.chain([trial("hostile::every_guest_has_a_test", None, every_guest_has_a_test)]).collect()
}

/// A guest without a host test proves nothing, and a test without a guest has lost it.
fn every_guest_has_a_test() {
    let entries = fs::read_dir(repository().join("tests/guests")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("Cargo.toml").exists());
    let guests: BTreeSet<_> =
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let here = tests().into_iter().map(|(guest, ..)| guest);
    let elsewhere = [
        network::guests(),
        secrets::guests(),
        LIVE.to_vec(),
        KILLED.to_vec(),
        invoke::GUESTS.to_vec(),
        upgrade::GUESTS.to_vec(),
    ]
    .concat();
    let tested: BTreeSet<_> = here.chain(elsewhere).map(str::to_owned).collect();
    let missing: Vec<_> = guests.difference(&tested).collect();
    let lost: Vec<_> = tested.difference(&guests).collect();
    assert!(missing.is_empty(), "guests without a test: {missing:?}");
    assert!(lost.is_empty(), "tests whose guest is gone from tests/guests/: {lost:?}");
}
