//! The walk of `docs/reviewing.md`: every command of the page, run as it stands there, and what it says compared.
//!
//! Below a block of commands, a block `text` holds lines of what they print, in their order; `…` stands for whatever differs
//! from run to run, and for lines that are left out. A block `sh fails N` must end with that exit code.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, guest, ops, ran, repository};
use ops_tests::server::{Reply, Server};
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn()| skip::trial(format!("reviewing_docs::{name}"), None, run);
    vec![
        trial("each_command_says_what_the_page_says", walk),
        trial("a_line_that_is_not_said_is_noticed", noticed),
    ]
}

/// The server's address on the page.
const ADDRESS: &str = "127.0.0.1:8025";

/// A block of the page: the words of its first line, and its lines.
struct Block {
    words: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(repository().join("docs/reviewing.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(words) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { words: words.trim().to_owned(), text: text.join("\n") });
        }
    }
    blocks
}

fn walk() {
    let server = Server::start(|seen, _| match seen.method.as_str() {
        "GET" => Reply::Answer(200, "alice\nbob\n".into()),
        _ => Reply::Answer(200, "done".into()),
    });
    let scratch = Scratch::without_workspace();
    let address = server.origin().trim_start_matches("http://").to_owned();
    let path = format!("{}:{}", ops().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let (mut said, mut commands) = (String::new(), String::new());
    let mut count = 0;
    for block in blocks() {
        let mut words = block.words.split(' ');
        match (words.next().unwrap(), words.next()) {
            // The test has a server already.
            ("sh", Some("server")) => {}
            ("sh", word) => {
                let expected = match word {
                    None => 0,
                    Some("fails") => words.next().unwrap().parse().unwrap(),
                    Some(other) => panic!("a block that no test runs: sh {other}"),
                };
                commands = block.text.replace(ADDRESS, &address);
                let mut shell = Command::new("bash");
                // As on a terminal, where both streams are one.
                let script = format!("exec 2>&1\n{commands}");
                let shell = scratch.around(&mut shell).args(["-eu", "-c", &script]).env("PATH", &path);
                let done = ran(shell.env("GUESTS", guest("guest-queue-list").parent().unwrap()));
                said = done.stdout.replace(&address, ADDRESS);
                assert_eq!(done.code, expected, "{commands}\n{said}");
                count += 1;
            }
            ("text", None) => {
                if let Err(line) = says(&block.text, &said) {
                    panic!("{commands}\ndoes not say\n{line}\nbut\n{said}");
                }
            }
            ("yaml", None) => {}
            (word, _) => panic!("a block that no test knows: {word}"),
        }
    }
    assert!(count >= 12, "the page lost its commands");
    let changed = server.seen().iter().filter(|seen| seen.method != "GET").count();
    assert_eq!(changed, 0, "something was sent that the page says is not");
}

/// Whether lines occur in a text, in their order. `Err` is the first that does not.
fn says<'a>(lines: &'a str, said: &str) -> Result<(), &'a str> {
    let mut rest = said.lines();
    for line in lines.lines().filter(|line| line.trim() != "…") {
        if !rest.any(|said| fits(line, said)) {
            return Err(line);
        }
    }
    Ok(())
}

/// Whether a line is one of the page's, whose `…` stands for anything.
fn fits(line: &str, said: &str) -> bool {
    let mut parts = line.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.trim_end().strip_prefix(first) else { return false };
    let mut ended = !line.contains('…') && rest.is_empty();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        ended = rest.is_empty() || part.is_empty();
    }
    ended
}

fn noticed() {
    let said = "one line\nthe component is 1234 and was 5678\nlast\n";
    for (lines, fit) in [
        ("one line", true),
        ("one…", true),
        ("one line\n…\nlast", true),
        ("the component is … and was …", true),
        ("the component is … and was", false),
        ("last\none line", false),
        ("one", false),
        ("line", false),
        ("… line", true),
        ("no line", false),
    ] {
        assert_eq!(says(lines, said).is_ok(), fit, "{lines}");
    }
}
