//! A mail server's neighbour: hands one message over, as much of LMTP (RFC 2033) as that takes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Delivers a message to a user. It lies in the mailbox when this returns.
pub(super) fn deliver(port: u16, to: &str, message: &str) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut server = BufReader::new(stream);
    answers(&mut server, "220");
    let text = message.replace("\r\n", "\n").replace('\n', "\r\n").replace("\r\n.", "\r\n..");
    for (words, code) in [
        ("LHLO test.example.test".to_owned(), "250"),
        ("MAIL FROM:<bounces@example.test>".to_owned(), "250"),
        (format!("RCPT TO:<{to}>"), "250"),
        ("DATA".to_owned(), "354"),
        (format!("{text}\r\n."), "250"),
        ("QUIT".to_owned(), "221"),
    ] {
        server.get_mut().write_all(format!("{words}\r\n").as_bytes()).unwrap();
        answers(&mut server, code);
    }
}

/// Reads an answer to its last line, the one without a hyphen after the code.
fn answers(server: &mut BufReader<TcpStream>, code: &str) {
    loop {
        let mut line = String::new();
        server.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "the mail server says {line:?} and not {code}");
        if !line.starts_with(&format!("{code}-")) {
            return;
        }
    }
}
