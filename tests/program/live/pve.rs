//! The infrastructure capabilities against a stand-in for Proxmox VE, which each test starts for itself. Their names say
//! so: a pass on the stand-in is not a pass on Proxmox.

mod bootstrap;
mod provision;
mod stand_in;
mod vendor;
mod workspace;

use libtest_mimic::Trial;
use ops_tests::skip;

/// A test: its name, and the story.
type Test = (&'static str, fn());

pub(super) fn trials() -> Vec<Trial> {
    let missing = stand_in::missing();
    let with_server = [provision::TESTS, bootstrap::TESTS].concat().into_iter();
    let with_server = with_server.map(|(name, test)| (name, missing, test));
    let with_schema = vendor::TESTS.iter().map(|(name, test)| (*name, missing, *test));
    let named = |name: &str| format!("live::pve_stand_in_not_proxmox::{name}");
    let alone = workspace::TESTS.iter();
    let alone = alone.map(|(name, test)| skip::trial(format!("live::pve_not_bound::{name}"), None, *test));
    let with_server = with_server.map(|(name, missing, test)| skip::trial(named(name), missing, test));
    let with_schema = with_schema.map(|(name, missing, test)| match vendor::not_run() {
        Some(why) => {
            Trial::test(format!("{} (not run: {why})", named(name)), || Ok(())).with_ignored_flag(true)
        }
        None => skip::trial(named(name), missing, test),
    });
    with_server.chain(with_schema).chain(alone).collect()
}
