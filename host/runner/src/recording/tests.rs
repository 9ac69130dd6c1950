use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ops_egress::secret::{self, SecretSource};
use ops_ledger::content;
use ops_policy::message::{Header, Request, Response};

use super::*;

fn about() -> Recording {
    Recording {
        version: 0,
        run: "R1".into(),
        capability: "a.b".into(),
        host: "ops".into(),
        component: Digest::of(b""),
        input: Input { arguments: "{}".into(), config: "{}".into(), services: Vec::new() },
        contracts: BTreeMap::new(),
        phases: Vec::new(),
        missing: None,
        blobs: Vec::new(),
    }
}

fn entry(asked: usize, answered: usize) -> Entry {
    let request = Request {
        service: "s".into(),
        method: "POST".into(),
        path: "/".into(),
        headers: Vec::new(),
        body: Some(vec![b'q'; asked]),
    };
    let response = Response { status: 200, headers: Vec::new(), body: vec![b'a'; answered] };
    Entry { question: Question::Fetch(request), answer: Answer::Response(response), clock: 1 }
}

fn recorded_phase(recorder: &mut Recorder, entries: Vec<Entry>) -> Recorded {
    Recorded {
        phase: "read".into(),
        clock: Clock { seconds: 1, nanoseconds: 2 },
        seed: String::new(),
        links: [true, false, false],
        invoke: false,
        limits: [1, 2, 3],
        folders: Vec::new(),
        entries: recorder.entries(entries),
        end: Ended::Stopped("x".into()),
    }
}

fn kept(state: &Path, written: &Written) -> Result<Recording, RecordingError> {
    for (name, bytes) in &written.blobs {
        content::put(state, "R1", name, bytes, false).unwrap();
    }
    Recording::parse(&written.document)
}

#[test]
fn long_bodies_lie_elsewhere_and_come_back() {
    let state = tempfile::tempdir().unwrap();
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let entries = vec![entry(10, INLINE + 1), entry(INLINE + 1, 0)];
    let mut recorder = Recorder::default();
    let phase = recorded_phase(&mut recorder, entries.clone());
    recorder.phase(phase);
    let written = recorder.close(about(), &[], &Scrubber::new(&[])).unwrap();
    assert_eq!(written.blobs.len(), 2);
    assert!(written.document.len() < INLINE);
    let recording = kept(state.path(), &written).unwrap();
    let ledger = Ledger::open(state.path()).unwrap();
    assert_eq!(recording.entries(&ledger, &recording.phases[0]).unwrap(), entries);
    let name = written.blobs.keys().next().unwrap();
    std::fs::write(state.path().join("content/R1").join(name), b"other").unwrap();
    let error = recording.entries(&ledger, &recording.phases[0]).unwrap_err();
    assert!(error.to_string().contains("was changed"), "{error}");
}

#[test]
fn nothing_is_recorded_that_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2-hunter2").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let source = SecretSource::parse("file:token").unwrap();
    let secret = secret::read("token", &source, folder.path()).unwrap();
    let header = || vec![Header { name: "x-echo".into(), value: "Bearer hunter2-hunter2".into() }];
    let undo = |body: &str| match entry(0, 0) {
        Entry { question: Question::Fetch(request), answer, clock } => {
            let back = Request { body: Some(body.as_bytes().to_vec()), ..request.clone() };
            let effect = Effect { summary: "s".into(), request, undo: Undo::Request(back) };
            Entry { question: Question::Perform(effect), answer, clock }
        }
        other => other,
    };
    let mut echo = entry(0, 0);
    if let Answer::Response(response) = &mut echo.answer {
        response.headers = header();
    }
    let failed = Ended::Failed(Failure::Failed { message: "the token hunter2-hunter2 is wrong".into() });
    let fine = Ended::Stopped("x".into());
    for (what, entry, end, recorded) in [
        ("nothing", undo("other"), fine.clone(), true),
        ("a header field of an answer", echo, fine.clone(), false),
        ("the body of an undo", undo("hunter2-hunter2"), fine, false),
        ("the failure", undo("other"), failed, false),
    ] {
        let mut recorder = Recorder::default();
        let phase = Recorded { end, ..recorded_phase(&mut recorder, vec![entry]) };
        recorder.phase(phase);
        let written = recorder.close(about(), &[], &Scrubber::new(std::slice::from_ref(&secret))).unwrap();
        assert_eq!(Recording::parse(&written.document).is_ok(), recorded, "{what}");
        assert!(!String::from_utf8(written.document).unwrap().contains("hunter2"), "{what}");
    }
}

#[test]
fn what_is_too_long_is_not_recorded_and_says_so() {
    let mut recorder = Recorder::default();
    let phase = recorded_phase(&mut recorder, vec![entry(0, MAX_BYTES), entry(1, 0)]);
    recorder.phase(phase);
    let written = recorder.close(about(), &[], &Scrubber::new(&[])).unwrap();
    assert!(written.blobs.is_empty() && written.document.len() < 1000);
    let error = Recording::parse(&written.document).unwrap_err();
    assert!(error.to_string().contains("longer than 32 MiB"), "{error}");
}
