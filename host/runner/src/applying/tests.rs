use std::collections::BTreeMap;

use ops_policy::manifest::{RuleEffect, Safety};
use ops_policy::message::{Input, Request, Undo};
use ops_policy::plan::{AskedAs, Clock, PlannedEffect, VERSION};
use tempfile::TempDir;

use ops_ledger::store::{Durability, NewIntent};

use super::*;
use crate::ending::Status;

fn request(path: &str) -> Request {
    Request { service: "web".into(), method: "POST".into(), path: path.into(), headers: vec![], body: None }
}

fn effect(path: &str) -> Effect {
    Effect { summary: path.into(), request: request(path), undo: Undo::ByHand("undo it".into()) }
}

fn read(name: &str, answer: &str, after_effects: u32) -> PlannedRead {
    PlannedRead {
        summary: name.into(),
        request: Digest::of(name.as_bytes()),
        answer: Digest::of(answer.as_bytes()),
        after_effects,
    }
}

fn plan(effects: &[&str], reads: Vec<PlannedRead>, incomplete: bool) -> Plan {
    let digest = Digest::of(b"");
    Plan {
        version: VERSION,
        id: "P1".into(),
        ledger: String::new(),
        run: String::new(),
        requester: String::new(),
        asked_as: AskedAs::Person,
        capability: "a.b".into(),
        safety: Safety::Mutating,
        lock: digest,
        component: digest,
        binding: digest,
        manifest: digest,
        host: String::new(),
        input: Input { arguments: "{}".into(), config: "{}".into(), services: vec![] },
        clock: Clock { seconds: 0, nanoseconds: 0 },
        seed: digest,
        nonce: String::new(),
        created: String::new(),
        expires: String::new(),
        approvals: 1,
        dry_run: false,
        undoes: None,
        incomplete: incomplete.then(|| "the id".into()),
        effects: effects
            .iter()
            .map(|path| PlannedEffect {
                summary: (*path).into(),
                origin: None,
                rule: None,
                class: RuleEffect::Mutate,
                request: request(path),
                undo: Undo::ByHand("undo it".into()),
                unchecked: false,
            })
            .collect(),
        files: vec![],
        reads,
        invoked: Vec::new(),
        directories: BTreeMap::new(),
        contracts: BTreeMap::new(),
    }
}

/// An application whose first effect is in its intent, as in a run. The folder lives as long as the test.
fn applying(plan: Plan) -> (Applying, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    crate::workspace::private_folder(&state).unwrap();
    let ledger = Arc::new(Ledger::open(&state).unwrap());
    let digest = ops_ledger::digest::Digest::of(b"");
    let intent = NewIntent {
        run: "run",
        capability: "a.b",
        input_digest: &digest,
        plan: None,
        approvals: &[],
        bundle: b"",
        continues: None,
        undoes: None,
    };
    ledger.intend(&intent, Durability::Soft).unwrap();
    (Applying::new(Arc::new(plan), ledger, state, "run".into(), watch::channel(false).1, 0, None), folder)
}

fn status(result: Result<(), Ending>) -> Option<(Status, u8)> {
    result.err().and_then(|ending| ending.status.map(|status| (status, ending.exit)))
}

#[test]
fn a_changed_answer_before_the_first_effect_is_stale_and_anything_else_a_departure() {
    let planned = || vec![read("state", "old", 0), read("list", "a", 0), read("after", "x", 1)];
    for (asked, expected) in [
        (vec![read("state", "old", 0), read("list", "a", 0)], None),
        (vec![read("state", "new", 0)], Some((Status::Stale, 3))),
        (vec![read("other", "old", 0)], Some((Status::Denied, 4))),
        (
            vec![read("state", "old", 0), read("list", "a", 0), read("after", "x", 0)],
            Some((Status::Denied, 4)),
        ),
    ] {
        let (mut applying, _folder) = applying(plan(&["/a"], planned(), false));
        let first = asked.iter().find_map(|read| status(applying.check_read(read, None)));
        assert_eq!(first, expected, "{asked:?}");
    }
}

#[test]
fn a_service_that_is_gone_makes_no_plan_stale() {
    let (mut one, _folder) = applying(plan(&["/a"], vec![read("state", "old", 0)], false));
    let gone = NetError::Unreachable("nobody answers".into());
    let ending = one.check_read(&read("state", "error", 0), Some(&gone)).unwrap_err();
    assert_eq!((ending.status, ending.exit), (Some(Status::Failed), 1), "{}", ending.message);
}

#[test]
fn only_the_next_effect_begins() {
    let (mut one, _folder) = applying(plan(&["/a", "/b"], vec![], false));
    assert_eq!(status(one.begin(&effect("/b"))), Some((Status::Denied, 4)), "out of order");
    assert_eq!(status(one.begin(&effect("/a"))), None);
    let mut other = effect("/a");
    other.request.body = Some(vec![]);
    assert_eq!(status(one.begin(&other)), Some((Status::Denied, 4)), "an empty body is not none");
}

#[test]
fn a_read_of_the_plan_may_not_be_left_out() {
    let (mut one, _folder) = applying(plan(&["/a"], vec![read("state", "old", 0)], false));
    assert_eq!(status(one.begin(&effect("/a"))), Some((Status::Denied, 4)));
    let (files_only, _folder) = applying(plan(&[], vec![read("state", "old", 0)], false));
    assert_eq!(files_only.missing().and_then(|ending| ending.status), Some(Status::Denied));
}

#[test]
fn what_comes_after_the_last_effect_depends_on_whether_the_plan_was_whole() {
    let (mut whole, _folder) = applying(plan(&[], vec![], false));
    assert_eq!(status(whole.begin(&effect("/a"))), Some((Status::Denied, 4)));
    let (mut part, _folder) = applying(plan(&[], vec![], true));
    assert_eq!(status(part.begin(&effect("/a"))), Some((Status::Partial, 3)));
}

#[test]
fn what_may_have_been_sent_ends_the_run_and_what_was_not_is_an_answer() {
    let failure = |maybe_sent| {
        Err(SendFailure::Answer { error: NetError::Timeout("late".into()), maybe_sent, address: None })
    };
    let (mut one, _folder) = applying(plan(&["/a"], vec![], false));
    one.begin(&effect("/a")).unwrap();
    assert!(matches!(
        one.end(effect("/a"), failure(false), 7),
        Ok((Err(NetError::Timeout(_)), Entry { clock: 7, .. }))
    ));
    assert_eq!(status(one.begin(&effect("/a"))), None, "it may be tried again");
    let ending = one.end(effect("/a"), failure(true), 8).unwrap_err();
    assert_eq!((ending.status, ending.exit), (Some(Status::Unknown), 5));
    assert_eq!(one.missing().and_then(|ending| ending.status), Some(Status::Denied), "it was not performed");
}
