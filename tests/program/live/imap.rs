//! A mail reader: as much of IMAP as it takes to see what lies in a mailbox.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that has logged in.
pub(super) struct Imap {
    stream: BufReader<TcpStream>,
}

/// What a command was answered.
pub(super) struct Answer {
    lines: Vec<String>,
    /// The parts that came as literals; messages do.
    literals: Vec<String>,
}

impl Imap {
    pub(super) fn login(port: u16, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut imap = Self { stream: BufReader::new(stream) };
        imap.line();
        imap.run(&format!("LOGIN {user} {password}"));
        imap
    }

    /// Sends a command and reads its answer; anything but OK is an error of the test's.
    pub(super) fn run(&mut self, command: &str) -> Answer {
        self.stream.get_mut().write_all(format!("tag {command}\r\n").as_bytes()).unwrap();
        let mut answer = Answer { lines: Vec::new(), literals: Vec::new() };
        loop {
            let line = self.line();
            if let Some(verdict) = line.strip_prefix("tag ") {
                assert!(verdict.starts_with("OK"), "{command}: {verdict}");
                return answer;
            }
            if let Some(size) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
                let mut literal = vec![0; size.1.parse().unwrap()];
                self.stream.read_exact(&mut literal).unwrap();
                answer.literals.push(String::from_utf8(literal).unwrap());
            }
            answer.lines.push(line);
        }
    }

    /// The messages in the inbox, whole, oldest first.
    pub(super) fn inbox(&mut self) -> Vec<String> {
        self.messages("INBOX")
    }

    /// The messages in a mailbox, whole, oldest first.
    pub(super) fn messages(&mut self, mailbox: &str) -> Vec<String> {
        let selected = self.run(&format!("EXAMINE {mailbox}"));
        if selected.lines.iter().any(|line| line == "* 0 EXISTS") {
            return Vec::new();
        }
        self.run("FETCH 1:* (BODY.PEEK[])").literals
    }

    /// How many messages lie in each mailbox of the user who logged in.
    pub(super) fn mailboxes(&mut self) -> BTreeMap<String, u32> {
        let listed = self.run(r#"LIST "" "*""#).lines;
        let names =
            listed.iter().filter_map(|line| line.rsplit_once(r#""/" "#)).map(|(_, name)| name.to_owned());
        names
            .map(|name| {
                let status = self.run(&format!("STATUS {name} (MESSAGES)")).lines.concat();
                let count = status.rsplit_once("MESSAGES ").unwrap().1.trim_end_matches(')').parse().unwrap();
                (name.trim_matches('"').to_owned(), count)
            })
            .collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "the mail server hung up");
        line.trim_end().to_owned()
    }
}
