//! A case: lines that set up, lines that a person types, and what comes of them.
//!
//! Running one gives the same text with the outputs as they are now. So comparing is comparing two texts, and
//! blessing is writing the second one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ops_tests::scratch::{Ran, Scratch, ran};

use super::placeholders::Placeholders;

/// Runs a case in a fresh folder; an error names the line that makes no sense.
pub(super) fn run(scratch: &Scratch, text: &str) -> Result<String, String> {
    let mut placeholders = Placeholders::new(scratch);
    let mut shown = String::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        // What was expected gives way to what is.
        if ["1|", "2|", "exit "].iter().any(|mark| line.starts_with(mark)) {
            continue;
        }
        shown.push_str(line);
        shown.push('\n');
        let mut content = String::new();
        while let Some((_, more)) = lines.next_if(|(_, more)| more.starts_with('|')) {
            shown.push_str(more);
            shown.push('\n');
            content.push_str(more.strip_prefix("| ").unwrap_or(&more[1..]));
            content.push('\n');
        }
        let output = step(scratch, &mut placeholders, line, &content);
        shown.push_str(&output.map_err(|error| format!("line {}: `{line}`: {error}", number + 1))?);
    }
    Ok(shown)
}

/// Does what one line says. What a typed line prints is returned.
fn step(
    scratch: &Scratch,
    placeholders: &mut Placeholders,
    line: &str,
    content: &str,
) -> Result<String, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(String::new());
    }
    let words = words(line)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["$", "ops", ..] => {
            let typed = placeholders.reverse(&words[2..])?;
            let before = tree(scratch);
            let ran = ran(scratch.command().args(typed));
            let written = tree(scratch) != before;
            Ok(printed(&placeholders.apply(&ran), written))
        }
        [">", "ops", ..] => {
            let typed = placeholders.reverse(&words[2..])?;
            let ran = ran(scratch.command().args(typed));
            placeholders.apply(&ran);
            if matches!(ran.code, 0 | 3) {
                Ok(String::new())
            } else {
                Err(format!("exit {}:\n{}", ran.code, ran.stderr))
            }
        }
        ["$", "show", path] => {
            let content = fs::read_to_string(scratch.path(path)).map_err(|error| error.to_string())?;
            Ok(content
                .lines()
                .map(|line| format!("1|{}{line}\n", if line.is_empty() { "" } else { " " }))
                .collect())
        }
        ["guest", name] => {
            scratch.place(name);
            Ok(String::new())
        }
        ["write", path] => {
            scratch.write(path, content);
            Ok(String::new())
        }
        ["write", path, times, "times"] => {
            let times = times.parse().map_err(|error| format!("{times}: {error}"))?;
            scratch.write(path, &content.repeat(times));
            Ok(String::new())
        }
        ["chmod", "600", path] => {
            fs::set_permissions(scratch.path(path), PermissionsExt::from_mode(0o600))
                .map_err(|error| error.to_string())?;
            Ok(String::new())
        }
        _ => Err("not a line that tests/cli/README.md knows".into()),
    }
}

fn printed(ran: &Ran, written: bool) -> String {
    let mut text = String::new();
    for (mark, stream) in [("1|", &ran.stdout), ("2|", &ran.stderr)] {
        for line in stream.lines() {
            let space = if line.is_empty() { "" } else { " " };
            text.push_str(&format!("{mark}{space}{line}\n"));
        }
    }
    text.push_str(&format!("exit {}{}\n", ran.code, if written { "" } else { ", nothing written" }));
    text
}

/// Splits a line at its spaces; single quotes hold words together, and so do the brackets of a placeholder.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), None);
    let mut begun = false;
    for letter in line.chars() {
        match (inside, letter) {
            (None, '\'') => (inside, begun) = (Some('\''), true),
            (Some('\''), '\'') => inside = None,
            (None, '<') => {
                (inside, begun) = (Some('>'), true);
                word.push(letter);
            }
            (Some('>'), '>') => {
                inside = None;
                word.push(letter);
            }
            (None, ' ') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                begun = true;
                word.push(letter);
            }
        }
    }
    if inside.is_some() {
        return Err("a quote is not closed".into());
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// Every file of the scratch folder with its mode and content. SQLite's shared memory holds no data of its own, and a
/// ledger that is only read may have its log put into its file.
fn tree(scratch: &Scratch) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    walk(&scratch.path("."), &mut files);
    files.retain(|path, _| !path.ends_with("ledger.db-shm"));
    files
}

fn walk(folder: &Path, files: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        let content = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        files.insert(path.display().to_string(), (about.permissions().mode(), content));
        if about.is_dir() {
            walk(&path, files);
        }
    }
}
