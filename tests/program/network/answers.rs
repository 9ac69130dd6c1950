//! Answers that would take all the time or all the memory there is.

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use ops_tests::peak::ran_with_peak;
use ops_tests::server::{Reply, Server};
use serde_json::{Value, json};

use super::{Test, changing, reading};
use crate::hostile::yard::{Run, Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("asks", "a_byte_a_second_ends_with_the_time", a_byte_a_second),
    ("asks", "an_endless_body_is_cut_off", an_endless_body),
    ("asks", "an_endless_head_is_cut_off", an_endless_head),
    ("asks", "ten_thousand_headers_are_too_many", ten_thousand_headers),
    ("asks", "a_gzip_bomb_is_never_unpacked", a_gzip_bomb),
    ("asks", "a_redirect_is_an_answer", a_redirect),
    ("asks", "a_reset_in_mid_body_is_a_failure", a_reset),
    ("asks", "no_http_at_all_is_a_failure", no_http),
    ("asks", "fifty_megabytes_through_one", fifty_megabytes),
    ("changes", "a_change_without_a_whole_answer_is_unknown", a_change),
    ("changes", "a_change_that_is_redirected_is_performed", a_redirected_change),
];

/// How much more memory a run may take that meets a bad server than one that meets a good one, in bytes. The rest is
/// the program itself, its engine, and one answer of the largest size that is allowed here.
const MORE: u64 = 32 << 20;

/// Runs the guest with one question, and checks its memory against that of a run with a small answer.
#[track_caller]
fn ask(yard: &Yard) -> Run<'_> {
    measured(yard).0
}

/// The run, the most memory that it took, and what one with a small answer took.
#[track_caller]
fn measured(yard: &Yard) -> (Run<'_>, u64, u64) {
    let good = Server::answering("good day");
    let bad = std::fs::read_to_string(yard.scratch.path("ops/bindings/test.guest.asks.yaml")).unwrap();
    yard.bind(&reading(&good));
    let (ran, usual) = ran_with_peak(&yard.command(&["--ask", "web/hello"]));
    yard.ended(ran).ends("done", 0, None);

    yard.scratch.write_binding(&bad);
    yard.scratch.pin();
    let (ran, peak) = ran_with_peak(&yard.command(&["--ask", "web/hello", "--strict"]));
    assert!(peak < usual + MORE, "{} KiB, where {} KiB are usual", peak >> 10, usual >> 10);
    (yard.ended(ran), peak, usual)
}

fn a_byte_a_second(yard: &Yard) {
    let server = slow();
    yard.bind(&format!("{}limits: {{time: 3s}}", reading(&server)));
    let run = ask(yard).ends("failed", 4, Some("limit-time")).says("3 s, the binding's limits.time");
    assert_eq!(run.used(), [("web/all".to_owned(), 1)].into(), "it went out, so it counts");
    assert_eq!(saw(&server), ["GET /hello"]);
}

/// The body takes a quarter of an hour.
fn slow() -> Server {
    Server::start(|_, _| {
        Reply::Stream(|stream| {
            write!(stream, "HTTP/1.1 200 -\r\ncontent-length: 1000\r\n\r\n")?;
            for _ in 0..1000 {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        })
    })
}

fn an_endless_body(yard: &Yard) {
    let server = endless();
    yard.bind(&reading(&server));
    too_large(&ask(yard), "1048576 bytes");
    assert_eq!(saw(&server), ["GET /hello"], "what is too large once is too large again");
}

fn endless() -> Server {
    Server::start(|_, _| {
        Reply::Stream(|stream| {
            write!(stream, "HTTP/1.1 200 -\r\nconnection: close\r\n\r\n")?;
            forever(stream, &[b'x'; 65536])
        })
    })
}

fn an_endless_head(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Stream(|stream| {
            write!(stream, "HTTP/1.1 200 -\r\n")?;
            forever(stream, format!("x-filler: {}\r\n", "x".repeat(1000)).as_bytes())
        })
    });
    yard.bind(&reading(&server));
    too_large(&ask(yard), "head");
}

fn ten_thousand_headers(yard: &Yard) {
    yard.bind(&reading(&many_headers()));
    too_large(&ask(yard), "head");
}

fn many_headers() -> Server {
    Server::start(|_, _| {
        Reply::Stream(|stream| {
            let fields: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
            write!(stream, "HTTP/1.1 200 -\r\n{fields}content-length: 2\r\n\r\nok")
        })
    })
}

/// One gibibyte of nothing, packed into about one mebibyte, in pieces of about one kibibyte.
fn a_gzip_bomb(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Stream(|stream| {
            let length = bomb_piece().len() * 1024;
            write!(stream, "HTTP/1.1 200 -\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n")?;
            (0..1024).try_for_each(|_| stream.write_all(bomb_piece()))
        })
    });
    // Within the limit it comes through as the bytes that it is.
    yard.bind(&format!("{}limits: {{response: 2MiB, output: 1MiB}}", reading(&server)));
    let run = ask(yard).ends("done", 0, None);
    let answer = &run.output()["answers"][0];
    assert_eq!(answer["bytes"], json!(bomb_piece().len() * 1024), "it is not what was sent");
    assert!(field(answer, "content-encoding") == Some("gzip"), "{}", answer["headers"]);
    for seen in server.seen() {
        assert_eq!(seen.header("accept-encoding"), None, "it asks for what it cannot scrub");
    }
    // Above the limit it is too large, as anything else.
    yard.bind(&format!("{}limits: {{response: 64KiB}}", reading(&server)));
    too_large(&ask(yard), "65536 bytes");
}

/// A gzip member of one mebibyte of zeros. Members may follow one another.
fn bomb_piece() -> &'static [u8] {
    static PIECE: OnceLock<Vec<u8>> = OnceLock::new();
    PIECE.get_or_init(|| {
        let mut gzip = Command::new("gzip")
            .args(["-9", "-n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        gzip.stdin.take().unwrap().write_all(&vec![0; 1 << 20]).unwrap();
        gzip.wait_with_output().unwrap().stdout
    })
}

fn a_redirect(yard: &Yard) {
    let inside = Server::answering("what nobody outside may see");
    let location = format!("{}/secret", inside.origin());
    let place = location.clone();
    let server =
        Server::start(move |_, _| Reply::Fields(302, vec![("location", place.clone())], String::new()));
    yard.bind(&reading(&server));
    let run = ask(yard).ends("done", 0, None);
    let answer = &run.output()["answers"][0];
    assert_eq!((&answer["status"], field(answer, "location")), (&json!(302), Some(location.as_str())));
    assert_eq!(saw(&server), ["GET /hello"]);
    assert_eq!(saw(&inside), <[&str; 0]>::default(), "the redirect was followed");
}

fn a_reset(yard: &Yard) {
    let server = Server::resetting();
    yard.bind(&format!("{}limits: {{response: 64MiB}}", reading(&server)));
    let (ran, _) = ran_with_peak(&yard.command(&["--ask", "web/hello", "--strict"]));
    let run = yard.ended(ran).ends("failed", 1, Some("failed"));
    let run = run.says("service `web`: the connection was lost in the middle of the answer");
    // A read may be asked again; each time is in the receipt.
    let asked = server.seen().len();
    assert!((1..=4).contains(&asked), "asked {asked} times");
    assert_eq!(run.used(), [("web/all".to_owned(), asked as u64)].into());
}

fn no_http(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Stream(|stream| stream.write_all(b"220 mail.example ESMTP\r\n500 what?\r\n"))
    });
    yard.bind(&reading(&server));
    ask(yard).ends("failed", 1, Some("failed")).says("service `web`: the answer is not HTTP/1.1");
}

#[expect(clippy::print_stderr, reason = "a figure for the one who runs the test")]
fn fifty_megabytes(yard: &Yard) {
    let server = Server::start(|_, _| {
        Reply::Stream(|stream| {
            write!(stream, "HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n", 50_000_000)?;
            (0..500).try_for_each(|_| stream.write_all(&[b'x'; 100_000]))
        })
    });
    yard.bind(&format!("{}limits: {{response: 1MiB}}", reading(&server)));
    let (run, peak, usual) = measured(yard);
    eprintln!("50 MB through 1 MiB: {} KiB at most; a small answer: {} KiB", peak >> 10, usual >> 10);
    too_large(&run, "1048576 bytes");
    let used = &run.receipt["used"][0];
    assert!(used["bytesReceived"].as_u64().unwrap() < 2 << 20, "it went on reading: {used}");
}

/// An effect that was sent has happened or not; no answer that breaks off says which. So it is sent once.
fn a_change(other: &Yard) {
    other.scratch.pin();
    let cases = [
        (Server::resetting(), "lost in the middle of the answer"),
        (endless(), "67108864 bytes"),
        (many_headers(), "head"),
        (slow(), "in time"),
    ];
    for (server, why) in cases {
        // What is unknown blocks the same input, so each case has a workspace of its own.
        let yard = Yard::new("changes");
        yard.bind(&format!("{}limits: {{time: 2s, response: 64MiB}}", changing(&server)));
        let plan = yard.run(&["--change", "POST/item"]).ends("planned", 3, None).plan();
        let run = yard.approve(&plan).ends("unknown", 5, Some("unknown")).says("service `web`").says(why);
        assert_eq!(run.effects(), [("do POST/item", "started")], "{why}");
        assert_eq!(run.used(), [("web/item".to_owned(), 1)].into(), "{why}");
        assert_eq!(saw(&server), ["POST /item"], "{why}");
    }
}

fn a_redirected_change(yard: &Yard) {
    let inside = Server::answering("ok");
    let location = format!("{}/item", inside.origin());
    // 307 is the one with which a client would send the same body once more.
    let server =
        Server::start(move |_, _| Reply::Fields(307, vec![("location", location.clone())], "there".into()));
    yard.bind(&changing(&server));
    let plan = yard.run(&["--change", "POST/item"]).ends("planned", 3, None).plan();
    let run = yard.approve(&plan).ends("done", 0, None);
    assert_eq!(
        (run.output(), &run.receipt["effects"][0]["status"]),
        (json!({"answers": ["there"]}), &json!(307))
    );
    assert_eq!(saw(&server), ["POST /item"]);
    assert_eq!(saw(&inside), <[&str; 0]>::default(), "the redirect was followed");
}

#[track_caller]
fn too_large(run: &Run<'_>, most: &str) {
    let ran = run.ran.clone().exits(1).says("service `web`").says(most);
    let told = (&run.receipt["run"]["status"], &run.receipt["outcome"]["errorCode"]);
    assert_eq!(told, (&json!("failed"), &json!("failed")), "{ran:?}");
    assert_eq!(run.used(), [("web/all".to_owned(), 1)].into());
}

fn forever(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes)?;
    }
}

fn field<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let fields = answer["headers"].as_array()?.iter().filter_map(Value::as_str);
    fields
        .filter_map(|field| field.split_once(": "))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}
