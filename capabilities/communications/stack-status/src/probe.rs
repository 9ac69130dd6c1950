//! The checks of the mail server: its session, what it offers, and whether it has what the contract calls active.

use std::time::Duration;

use communications_common::contract::{Contract, Mailbox, MailboxStatus};
use communications_common::jmap::{Answers, Call, SUBMISSION, Session};
use ops_guest::{Ctx, Failure};
use serde::Deserialize;
use serde_json::json;

use crate::checks::Checks;
use crate::{Outcome, count};

/// The checks of the server; each active mailbox has one more.
const SESSION: &str = "session";
const CAN_SEND: &str = "submission";
const MAILBOXES: &str = "server-mailboxes";

/// What asking the mail server came to.
pub(crate) struct Probe {
    pub(crate) outcome: Outcome,
    pub(crate) latency_ms: Option<u64>,
    pub(crate) mailboxes: Option<u64>,
}

impl Probe {
    fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, latency_ms: None, mailboxes: None }
    }
}

/// Asks nothing, because there is nobody to ask.
pub(crate) fn skip(contract: &Contract, checks: &mut Checks) -> Probe {
    let why = "no mail service is bound";
    for check in [SESSION, CAN_SEND, MAILBOXES] {
        checks.skipped(check, why);
    }
    active(contract).for_each(|mailbox| checks.skipped(row(mailbox), why));
    Probe::without_answer(Outcome::Skipped)
}

/// Asks the mail server. Each failure becomes a row; what depends on it is skipped.
pub(crate) fn check(ctx: &Ctx, contract: &Contract, checks: &mut Checks) -> Probe {
    let start = ctx.elapsed();
    let session = match Session::open(ctx) {
        Ok(session) => session,
        Err(failure) => {
            checks.made(SESSION, Err(failure.why()));
            for check in [CAN_SEND, MAILBOXES] {
                checks.skipped(check, "there is no session");
            }
            active(contract).for_each(|mailbox| checks.skipped(row(mailbox), "there is no session"));
            return Probe::without_answer(Outcome::Failed);
        }
    };
    let opened = ctx.elapsed();
    checks.made(SESSION, Ok(format!("as {}, in {} ms", name(&session), milliseconds(opened - start))));
    checks.made(CAN_SEND, can_send(&session));

    let seen = Seen::read(ctx, &session);
    let listed = ctx.elapsed();
    let seen = match seen {
        Ok(seen) => seen,
        Err(failure) => {
            checks.made(MAILBOXES, Err(failure.why()));
            let why = "the server's mailboxes are not known";
            active(contract).for_each(|mailbox| checks.skipped(row(mailbox), why));
            return Probe::without_answer(Outcome::Failed);
        }
    };
    let mailboxes = count(seen.folders.len());
    let time = milliseconds(listed - opened);
    checks.made(MAILBOXES, Ok(format!("{mailboxes} mailboxes, in {time} ms")));
    active(contract).for_each(|mailbox| seen.check(mailbox, &session, checks));
    Probe { outcome: Outcome::Ok, latency_ms: Some(milliseconds(listed - start)), mailboxes: Some(mailboxes) }
}

fn active(contract: &Contract) -> impl Iterator<Item = &Mailbox> {
    contract.mailboxes.iter().filter(|mailbox| mailbox.status == MailboxStatus::Active)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn row(mailbox: &Mailbox) -> String {
    format!("mailbox {}", mailbox.id)
}

/// Whose session it is, as far as the server tells.
fn name(session: &Session) -> &str {
    let known = [
        session.username.as_str(),
        session.accounts.get(&session.account).map_or("", |account| &account.name),
        &session.account,
    ];
    known.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

fn can_send(session: &Session) -> Result<String, String> {
    match session.offers(SUBMISSION) {
        true => Ok("the server takes messages to send".to_owned()),
        false => Err(format!("the server does not offer {SUBMISSION}, so nothing can be sent")),
    }
}

/// What the server shows to this credential.
struct Seen {
    folders: Vec<String>,
    identities: Vec<String>,
}

#[derive(Deserialize)]
struct Folder {
    name: String,
}

#[derive(Deserialize)]
struct Identity {
    email: Option<String>,
}

impl Seen {
    fn read(ctx: &Ctx, session: &Session) -> Result<Self, Failure> {
        let account = &session.account;
        let folders = json!({"accountId": account, "ids": null, "properties": ["id", "name"]});
        let mut calls = vec![Call::new("Mailbox/get", folders)];
        let mut uses = vec![];
        // Identities are a part of submission.
        if session.offers(SUBMISSION) {
            uses.push(SUBMISSION);
            calls.push(Call::new("Identity/get", json!({"accountId": account, "ids": null})));
        }
        let answers = session.read_calls(ctx, &uses, &calls)?;
        let folders: Vec<Folder> = answers.list("Mailbox/get")?;
        Ok(Self {
            folders: folders.into_iter().map(|folder| folder.name).collect(),
            identities: identities(&answers),
        })
    }

    /// A mailbox that the contract calls active is an account of its own, an identity, or a folder of this account.
    ///
    /// A credential that reaches its own account alone cannot tell what else the server has, so there a mailbox that
    /// is not seen is no finding.
    fn check(&self, mailbox: &Mailbox, session: &Session, checks: &mut Checks) {
        let address = mailbox.address.as_str();
        let local = address.split('@').next().unwrap_or(address);
        let is = |name: &str| name.eq_ignore_ascii_case(address) || name.eq_ignore_ascii_case(local);
        let mut accounts = session.accounts.values().map(|account| account.name.as_str());
        let found = if is(&session.username) || accounts.any(is) {
            "an account"
        } else if self.identities.iter().any(|email| email.eq_ignore_ascii_case(address)) {
            "an identity"
        } else if self.folders.iter().any(|folder| is(folder)) {
            "a folder"
        } else if session.accounts.len() > 1 {
            let why = format!("the server shows no account, identity or folder for {address}");
            return checks.made(row(mailbox), Err(why));
        } else {
            let why =
                format!("the credential sees the account of {} alone, so nobody can tell", name(session));
            return checks.skipped(row(mailbox), why);
        };
        checks.made(row(mailbox), Ok(format!("{address} is {found} at the server")));
    }
}

/// The addresses that the account sends as. Some servers tell none, and none is missed: it is one way of three.
fn identities(answers: &Answers) -> Vec<String> {
    let list: Vec<Identity> = answers.list("Identity/get").unwrap_or_default();
    list.into_iter().filter_map(|identity| identity.email).collect()
}
