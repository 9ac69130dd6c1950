//! The communications capabilities against a real mail server: Cyrus and exim, started by each test for itself. The
//! infrastructure capabilities against a stand-in for Proxmox VE. An agent that uses the first through MCP.

mod agent;
mod cannot_send;
mod imap;
mod lmtp;
mod operator;
mod pve;
mod read;
mod send;
mod server;
mod suggest;
mod tls;
mod watch;

use libtest_mimic::Trial;
use ops_tests::skip;

/// A test: its name, and the story.
type Test = (&'static str, fn());

pub(crate) fn trials() -> Vec<Trial> {
    let with_mail =
        [send::TESTS, read::TESTS, tls::TESTS, cannot_send::TESTS, suggest::TESTS].concat().into_iter();
    let with_mail = with_mail.map(|(name, test)| (name, server::missing(), test));
    let openssl = (!skip::has_program("openssl")).then_some("openssl");
    let alone = tls::ALONE.iter().map(|(name, test)| (*name, openssl, *test));
    let all = with_mail.chain(alone);
    let all = all.map(|(name, missing, test)| skip::trial(format!("live::{name}"), missing, test));
    all.chain(pve::trials()).chain(agent::trials()).collect()
}
