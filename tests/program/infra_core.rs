//! The probes, the smoke test, the record, recovery and the restart, against stand-ins for Cloudflare, Vaultwarden,
//! Infisical, Authentik and the Docker engine. Their names say so: a pass on a stand-in is not a pass on the service.
//!
//! The workspace of these tests has the repository's own bindings and contracts, bound as the comments in them say.

mod pages;
mod record;
mod recovery;
mod restart;
mod site;
mod smoke;
mod stand_in;
mod vendors;

use libtest_mimic::Trial;
use ops_tests::skip;

/// A test: its name, and the story.
type Test = (&'static str, fn());

pub(crate) fn trials() -> Vec<Trial> {
    let python = (!skip::has_program("python3")).then_some("python3");
    let stories = [smoke::TESTS, record::TESTS, recovery::TESTS, restart::TESTS, pages::TESTS].concat();
    let stories = stories.into_iter().map(|test| (test, python));
    let vendors = vendors::TESTS.iter().map(|test| (*test, vendors::missing()));
    let named = |name: &str| format!("infra_core::stand_ins::{name}");
    stories.chain(vendors).map(|((name, story), missing)| skip::trial(named(name), missing, story)).collect()
}
