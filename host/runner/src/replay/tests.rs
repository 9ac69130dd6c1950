use ops_ledger::content;
use ops_ledger::store::Ledger;
use ops_policy::digest::Digest;
use ops_policy::message::{Effect, Failure, Input, NetError, Outcome, Request, Response, Undo};
use ops_policy::plan::{Change, Clock, PlannedFile};
use ops_sandbox::broker::{Broker, Stop};
use ops_sandbox::job::End;
use ops_sandbox::tree::{self, Tree};

use super::*;
use crate::journal::{Answer, Entry, Question};
use crate::recording::Folder;

fn request(path: &str) -> Request {
    Request {
        service: "web".into(),
        method: "GET".into(),
        path: path.into(),
        headers: Vec::new(),
        body: None,
    }
}

fn effect(summary: &str) -> Effect {
    Effect { summary: summary.into(), request: request("/a"), undo: Undo::Impossible("no".into()) }
}

fn response(body: &str) -> Response {
    Response { status: 200, headers: Vec::new(), body: body.into() }
}

fn broker(entries: Vec<(Question, Answer)>) -> ReplayBroker {
    let entry = |(number, (question, answer))| Entry { question, answer, clock: 10 + number as u64 };
    let entries = entries.into_iter().enumerate().map(entry).collect();
    ReplayBroker::new(Tape::new(entries), Arc::new(Notify::new()))
}

#[tokio::test(flavor = "current_thread")]
async fn the_tape_answers_and_nothing_else_does() {
    let mut broker = broker(vec![
        (Question::Fetch(request("/a")), Answer::Response(response("one"))),
        (Question::Fetch(request("/a")), Answer::Error(NetError::Timeout("late".into()))),
        (Question::Perform(effect("do a")), Answer::Planned),
        (Question::Malformed { method: "GET".into(), why: "it has trailers".into() }, Answer::Refused),
        (Question::Perform(effect("do a")), Answer::Response(response("two"))),
    ]);
    assert_eq!((broker.now().clock, broker.now().replaying), (0, true));
    assert_eq!(broker.fetch(request("/a")).await, Ok(Ok(response("one"))));
    assert_eq!(broker.now().clock, 10);
    assert_eq!(broker.fetch(request("/a")).await, Ok(Err(NetError::Timeout("late".into()))));
    assert_eq!(broker.perform(effect("do a")).await, Ok(Ok(Outcome::Planned)));
    broker.refused("GET", "it has trailers").unwrap();
    assert_eq!(broker.perform(effect("do a")).await, Ok(Ok(Outcome::Performed(response("two")))));
    assert_eq!((broker.answers, broker.effects, broker.left(), broker.now().clock), (5, 2, 0, 14));
    assert_eq!(broker.fetch(request("/a")).await, Err(Stop));
    assert_eq!(broker.halt, Some(Halt::PastEnd("a read of web GET /a".into())));
}

#[tokio::test(flavor = "current_thread")]
async fn another_question_stops_it() {
    let mut broker = broker(vec![
        (Question::Perform(effect("do a")), Answer::Planned),
        (Question::Perform(effect("do b")), Answer::Planned),
    ]);
    assert_eq!(broker.perform(effect("do c")).await, Err(Stop));
    let Some(Halt::Different(text)) = &broker.halt else { panic!("{:?}", broker.halt) };
    assert!(text.starts_with("crossing 1: recorded was the effect `do a`"), "{text}");
}

#[test]
fn a_difference_is_told_and_a_host_s_decision_is_none() {
    let output = |text: &str| Ended::Output(Digest::of(text.as_bytes()));
    let failed = |why: &str| Failure::Failed { message: why.into() };
    let past = Some(Halt::PastEnd("a read of web GET /z".into()));
    let other = Some(Halt::Different("crossing 1: other".into()));
    let done = End::Output("1".into());
    for (recorded, halt, left, end, says) in [
        (output("1"), None, 0, done.clone(), None),
        (output("2"), None, 0, done.clone(), Some("its output is not the recorded one")),
        (output("1"), None, 2, done.clone(), Some("it ended after 3 of 5 crossings, with an output")),
        (output("1"), past.clone(), 0, End::Stopped, Some("crossing 4: recorded was the end, an output")),
        (output("1"), other.clone(), 1, End::Stopped, Some("crossing 1: other")),
        (output("1"), None, 0, End::OutOfTime, Some("this time it ended with limit-time")),
        (Ended::Failed(failed("no")), None, 0, End::Failed(failed("no")), None),
        (Ended::Failed(failed("no")), None, 0, End::Failed(failed("yes")), Some("\"message\":\"yes\"")),
        (Ended::Broke("limit-memory".into()), None, 0, End::OutOfMemory, None),
        (Ended::Broke("limit-memory".into()), None, 0, done.clone(), Some("recorded was limit-memory")),
        // What the host stopped came as far again, and asked on, or ended, or went on until it was stopped.
        (Ended::Stopped("stale".into()), past, 0, End::Stopped, None),
        (Ended::Stopped("stale".into()), None, 0, done.clone(), None),
        (Ended::Stopped("limit-time".into()), None, 0, End::Cancelled, None),
        (Ended::Stopped("stale".into()), None, 1, done, Some("it ended after 3 of 4 crossings")),
        (Ended::Stopped("stale".into()), other, 1, End::Stopped, Some("crossing 1: other")),
    ] {
        let found = difference(&recorded, halt.as_ref(), 3, left, &end);
        match says {
            None => assert_eq!(found, None, "{recorded:?} {end:?}"),
            Some(says) => {
                assert!(found.as_ref().is_some_and(|text| text.contains(says)), "{found:?}: {says}")
            }
        }
    }
}

fn recording(folders: Vec<Folder>) -> (Recording, Recorded) {
    let recording = Recording {
        version: 1,
        run: "R1".into(),
        capability: "a.b".into(),
        host: String::new(),
        component: Digest::of(b""),
        input: Input { arguments: "{}".into(), config: "{}".into(), services: Vec::new() },
        contracts: [("c.yaml".to_owned(), Digest::of(b"c"))].into(),
        phases: Vec::new(),
        missing: None,
        blobs: Vec::new(),
    };
    let phase = Recorded {
        invoke: false,
        phase: "plan".into(),
        clock: Clock { seconds: 1, nanoseconds: 2 },
        seed: String::new(),
        links: [true, false, false],
        limits: [1, 2, 3],
        folders,
        entries: Vec::new(),
        end: Ended::Stopped("x".into()),
    };
    (recording, phase)
}

fn state(blobs: &[&[u8]]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    for folder in ["runs", "staging"] {
        crate::workspace::private_folder(&state.path().join(folder)).unwrap();
    }
    for bytes in blobs {
        content::put(state.path(), "R1", &format!("blob-{}", Digest::of(bytes).hex()), bytes, false).unwrap();
    }
    state
}

fn file(path: &str, bytes: &[u8]) -> (String, tree::Entry) {
    let size = bytes.len() as u64;
    (path.into(), tree::Entry::File { size, digest: Digest::of(bytes), mode: 0o644 })
}

fn granted(entries: Vec<(String, tree::Entry)>) -> Folder {
    Folder { name: "box".into(), writable: true, tree: Tree { entries: entries.into_iter().collect() } }
}

#[test]
fn folders_come_back_and_what_was_staged_is_compared() {
    let state = state(&[b"one", b"", b"c"]);
    let folder = granted(vec![
        ("sub".into(), tree::Entry::Directory { mode: 0o755 }),
        file("sub/a", b"one"),
        file("z", b""),
    ]);
    let (recording, phase) = recording(vec![folder.clone()]);
    let world =
        Restored::new(state.path(), &Ledger::open(state.path()).unwrap(), &recording, &phase).unwrap();
    let mounts = world.mounts(&phase.folders);
    assert_eq!(mounts.iter().map(|mount| mount.guest.as_str()).collect::<Vec<_>>(), ["/box", "/contracts"]);
    let [copy, contracts] = [&mounts[0].host, &mounts[1].host];
    assert_eq!(std::fs::read(copy.join("sub/a")).unwrap(), b"one");
    assert_eq!(std::fs::read(contracts.join("c.yaml")).unwrap(), b"c");
    assert_eq!(world.difference(&phase.folders, &[]).unwrap(), None);

    std::fs::write(copy.join("z"), "two").unwrap();
    let planned = |after: &[u8]| PlannedFile {
        directory: "box".into(),
        path: "z".into(),
        change: Change::Replace,
        before: Some(Digest::of(b"")),
        after: Some(Digest::of(after)),
        size: 3,
        before_text: None,
        after_text: None,
    };
    let found = |files: &[PlannedFile]| world.difference(&phase.folders, files).unwrap();
    assert_eq!(found(&[planned(b"two")]), None);
    assert_eq!(found(&[planned(b"six")]).unwrap(), "the file box/z is not as it was planned");
    assert_eq!(found(&[]).unwrap(), "the file box/z is not as it was planned");
    let more = PlannedFile { path: "zz".into(), ..planned(b"two") };
    assert_eq!(found(&[planned(b"two"), more]).unwrap(), "the file box/zz was planned and did not change");

    let copy = copy.clone();
    drop(world);
    assert!(!copy.exists(), "the private folder stayed");
}

#[test]
fn nothing_is_written_outside_the_private_folder() {
    let state = state(&[b"one", b"c"]);
    for path in ["../out", "/etc/out", "a/../../out", "a//b", "."] {
        let (recording, phase) = recording(vec![granted(vec![file(path, b"one")])]);
        let error = Restored::new(state.path(), &Ledger::open(state.path()).unwrap(), &recording, &phase)
            .err()
            .unwrap();
        assert!(error.to_string().contains("outside its folder"), "{path}: {error}");
    }
    let (recording, phase) = recording(vec![granted(vec![file("a", b"gone")])]);
    let error =
        Restored::new(state.path(), &Ledger::open(state.path()).unwrap(), &recording, &phase).err().unwrap();
    assert!(error.to_string().contains("is gone"), "{error}");
    assert_eq!(std::fs::read_dir(state.path().join("staging")).unwrap().count(), 0);
}
