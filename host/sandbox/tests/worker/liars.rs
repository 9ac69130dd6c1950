//! Processes that do not keep to what is agreed with them: whatever they say or leave out, their run ends in order.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libtest_mimic::Trial;
use ops_sandbox::describe::DescribeError;
use ops_sandbox::job::{End, Job, Ran};
use ops_sandbox::workers::Workers;

use crate::testing::{Guest, Script, job, sandbox};
use crate::{part, run, runtime, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("liars::what is no message ends the run", no_message),
        trial("liars::what is said out of turn ends the run", out_of_turn),
        trial("liars::an end is believed as far as it can be", ends),
        trial("liars::nothing for ever ends with the time", silence),
        trial("liars::nothing is asked after the run was stopped", after_the_stop),
        trial("liars::nothing is asked after the run was cancelled", after_the_cancel),
        trial("liars::what a component is said to be is checked again", descriptions),
    ]
}

const CONFINED: &str = r#"{"Confined":{"landlock":null}}"#;
const FETCH: &str = r#"{"Fetch":{"service":"s","method":"GET","path":"/","headers":[],"body":null}}"#;
const PERFORM: &str = r#"{"Perform":{"summary":"s","request":{"service":"s","method":"POST","path":"/","headers":[],"body":null},
    "undo":{"kind":"by-hand","value":"u"}}}"#;

/// The process's side of the socket.
struct Host(File);

impl Host {
    fn hear(&mut self) -> Vec<u8> {
        let mut header = [0; 4];
        self.0.read_exact(&mut header).unwrap();
        let mut frame = vec![0; u32::from_le_bytes(header) as usize];
        self.0.read_exact(&mut frame).unwrap();
        frame
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let _ = self.0.write_all(&(bytes.len() as u32).to_le_bytes());
        let _ = self.0.write_all(bytes);
    }

    /// Comes to where the guest begins.
    fn begin(&mut self) {
        // What it is wanted for; the component that comes with it is lost on a liar.
        self.0.read_exact(&mut [0]).unwrap();
        self.hear();
        self.say(CONFINED);
        self.hear();
    }

    fn ran(&mut self, end: &str) {
        self.say(format!(r#"{{"Ran":{{"end":{end},"printed":[0,0],"peak_memory":0}}}}"#));
    }

    fn printed(&mut self) {
        self.say("");
        self.say("");
    }
}

/// The process, which tells this lie and waits to be ended.
pub(crate) fn lie(lie: &str) -> ExitCode {
    let mut host = Host(std::io::stdin().as_fd().try_clone_to_owned().unwrap().into());
    match lie {
        "garbage" => host.0.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(),
        "no json" => host.say("{]"),
        "unknown" => host.say(r#"{"Grant":"everything"}"#),
        "first a question" => host.say(FETCH),
        "an exit" => return ExitCode::from(3),
        "an end before it began" => host.ran(r#"{"Output":""}"#),
        "not started" => host.ran(r#"{"NotStarted":"\u001b[2Jwhy\nnot"}"#),
        "described" => {
            host.begin();
            let long = "n".repeat(100_000);
            host.say(format!(
                r#"{{"Ok":{{"name":"{long}","summary":"s","version":"1","safety":"read-only","input":{{}},"output":{{}},"needs":[]}}}}"#
            ));
        }
        "a refusal to describe" => {
            host.begin();
            host.say(r#"{"Err":{"Trapped":"\u001b[2J"}}"#);
        }
        _ => {
            host.begin();
            after_it_began(&mut host, lie);
        }
    }
    // Until the host ends it.
    let _ = host.0.read_to_end(&mut Vec::new());
    loop {
        std::thread::park();
    }
}

fn after_it_began(host: &mut Host, lie: &str) {
    match lie {
        "silence" => {}
        "too long" => host.0.write_all(&[0xff; 64]).unwrap(),
        "confined twice" => host.say(CONFINED),
        "a description" => host.say(r#"{"Err":"OutOfTime"}"#),
        "an unknown refusal" => host.say(r#"{"Refused":{"method":"GET","why":99}}"#),
        "two questions" => {
            host.say(FETCH);
            host.say(FETCH);
        }
        "after the stop" => {
            host.say(FETCH);
            host.hear();
            host.say(PERFORM);
        }
        "after the time" => {
            host.say(FETCH);
            host.hear();
            host.say(PERFORM);
        }
        "an output that is too long" => {
            host.ran(r#"{"Output":""}"#);
            host.say(vec![b'x'; (1 << 20) + 1]);
        }
        "an output that is no text" => {
            host.ran(r#"{"Output":""}"#);
            host.say([0xff]);
        }
        "prints that are too long" => {
            host.ran(r#""OutOfMemory""#);
            host.say(vec![b'x'; (64 << 10) + 1]);
        }
        "half an end" => host.ran(r#""OutOfMemory""#),
        "cancelled" => host.ran(r#""Cancelled""#),
        "stopped" => host.ran(r#""Stopped""#),
        "lost" => host.ran(r#"{"Lost":"it was the host"}"#),
        "unconfined" => host.ran(r#"{"Unconfined":"no"}"#),
        "an end twice" => {
            for _ in 0..2 {
                host.ran(r#"{"Output":""}"#);
                host.say("{}");
                host.printed();
            }
        }
        "great numbers" => {
            host.say(format!(
                r#"{{"Ran":{{"end":"OutOfTime","printed":[{0},{0}],"peak_memory":{0}}}}}"#,
                u64::MAX
            ));
            host.printed();
        }
        "a trap" => {
            host.ran(r#"{"Trapped":"\u001b[2Jfirst\nsecond"}"#);
            host.printed();
        }
        other => panic!("no such lie: {other}"),
    }
}

fn told(lie: &str, job: Job, broker: Script) -> Ran {
    run(&Workers::new(part(&["liar", lie])), &Guest::default(), job, broker)
}

#[track_caller]
fn lost(lie: &str, broker: Script, expected: &str) {
    let ran = told(lie, job().0, broker);
    let End::Lost(why) = &ran.end else { panic!("{lie}: {ran:?}") };
    assert!(why.contains(expected), "{lie}: {why}");
}

fn no_message() {
    let none = Script::default();
    lost("garbage", none.clone(), "a message of 1347703880 bytes, where at most 65536 may come");
    lost("too long", none.clone(), "a message of 4294967295 bytes");
    for lie in ["no json", "unknown"] {
        lost(lie, none.clone(), "something that is no message");
    }
    lost("an exit", none, "its process ended with status 3");
}

fn out_of_turn() {
    let none = Script::default();
    for lie in ["first a question", "an end before it began"] {
        lost(lie, none.clone(), "before it was confined");
    }
    lost("confined twice", none.clone(), "out of its turn");
    lost("a description", none.clone(), "something that is no message");
    lost("an unknown refusal", none, "no known refusal");
    let slow = Script { delay: Duration::from_secs(3_600), ..Script::default() };
    lost("two questions", slow.clone(), "a question while another is asked");
    assert_eq!(slow.fetched.load(Ordering::Relaxed), 0);
}

fn ends() {
    let none = Script::default();
    lost(
        "an output that is too long",
        none.clone(),
        "a message of 1048577 bytes, where at most 1048576 may come",
    );
    lost("an output that is no text", none.clone(), "no text");
    lost("prints that are too long", none.clone(), "a message of 65537 bytes, where at most 65536 may come");
    for lie in ["cancelled", "stopped"] {
        lost(lie, none.clone(), "an end that nobody asked for");
    }
    for lie in ["lost", "unconfined"] {
        lost(lie, none.clone(), "an end that it cannot have");
    }
    let ran = told("an end twice", job().0, none.clone());
    assert_eq!(ran.end, End::Output("{}".to_owned()), "the second one is nobody's");
    let ran = told("great numbers", job().0, none.clone());
    assert_eq!((ran.end, ran.peak_memory), (End::OutOfTime, job().0.limits.memory));
    assert!(ran.stdout.total < 1 << 53 && ran.stderr.total < 1 << 53, "a receipt has to hold it");
    for (lie, expected) in [("a trap", "\\u{1b}[2Jfirst"), ("not started", "\\u{1b}[2Jwhy")] {
        let ran = told(lie, job().0, none.clone());
        let (End::Trapped(text) | End::NotStarted(text)) = &ran.end else { panic!("{ran:?}") };
        assert_eq!(text, expected);
    }
}

fn silence() {
    for lie in ["silence", "half an end"] {
        let (mut job, _cancel) = job();
        job.limits.time = Duration::from_millis(10);
        assert_eq!(told(lie, job, Script::default()).end, End::OutOfTime, "{lie}");
    }
}

fn after_the_stop() {
    let stops = Script { stop: true, ..Script::default() };
    lost("after the stop", stops.clone(), "a question after its run was stopped");
    assert_eq!(stops.performed.load(Ordering::Relaxed), 0);
    // The answer comes when the time is over, so there is none, and no change after it.
    let (mut job, _cancel) = job();
    job.limits.time = Duration::from_millis(10);
    let late = Script { delay: Duration::from_millis(50), ..Script::default() };
    let ran = told("after the time", job, late.clone());
    assert!(matches!(&ran.end, End::Lost(why) if why.contains("after its run was stopped")), "{ran:?}");
    assert_eq!(late.performed.load(Ordering::Relaxed), 0);
}

fn after_the_cancel() {
    let (job, cancel) = job();
    let slow = Script { delay: Duration::from_secs(3_600), ..Script::default() };
    let begun = slow.begun.clone();
    let cancels = std::thread::spawn(move || {
        // Not before its first question is being answered: after the cancel even that would be one too many.
        while begun.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        cancel.send_replace(true);
    });
    let ran = told("after the stop", job, slow.clone());
    cancels.join().unwrap();
    assert_eq!(ran.end, End::Cancelled);
    assert_eq!((slow.fetched.load(Ordering::Relaxed), slow.performed.load(Ordering::Relaxed)), (0, 0));
}

fn descriptions() {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&Guest::default().build()).unwrap();
    let described =
        |words: &[&str]| runtime().block_on(Workers::new(part(words)).describe(&component, false));
    assert_eq!(described(&["guest-worker"]).unwrap().name, "tests.guest.run");
    let error = described(&["liar", "described"]).unwrap_err();
    assert!(matches!(&error, DescribeError::Field { field, .. } if field == "name"), "{error}");
    let error = described(&["liar", "a refusal to describe"]).unwrap_err();
    assert!(matches!(&error, DescribeError::Trapped(why) if why == "\\u{1b}[2J"), "{error}");
    for lie in ["garbage", "confined twice", "an exit"] {
        let error = described(&["liar", lie]).unwrap_err();
        assert!(matches!(&error, DescribeError::Lost(_)), "{lie}: {error}");
    }
    let error = described(&["liar", "silence"]).unwrap_err();
    assert!(matches!(error, DescribeError::OutOfTime), "{error}");
}
