//! A capability's output on standard output: for people, or as one JSON envelope for programs.

use std::fmt::Write;
use std::io::IsTerminal;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::Timestamp;
use ops_policy::visible::visible;
use ops_runner::receipt::Report;
use serde_json::{Map, Value, json};

/// How wide a screen is, where nothing says more.
const SCREEN: u16 = 80;
/// What a column is given at least, where it has that much to show.
const NARROWEST: u16 = 9;
/// Between two columns.
const GAP: u16 = 2;
/// A row of a capability's output that takes more lines than this is easier to read as a record.
const MOST_LINES: usize = 3;

/// The version of the envelope.
const SCHEMA_VERSION: &str = "1.0";

/// The envelope of `--json`.
pub(crate) fn envelope(report: &Report) -> Value {
    let plan = report.plan.as_ref().map(|plan| {
        json!({"id": plan.id, "hash": plan.hash(), "expires": plan.expires, "approvals": plan.approvals})
    });
    let mut envelope = json!({
        "capability": report.capability,
        "schema_version": SCHEMA_VERSION,
        "status": report.ending.status.map_or("usage", ops_runner::ending::Status::as_str),
        "generated_at": Timestamp::now().to_string(),
        "run_key": report.key,
        "receipt": report.receipt.as_ref().map(|path| path.display().to_string()),
        "data": report.output,
    });
    if let (Some(fields), Some(plan)) = (envelope.as_object_mut(), plan) {
        fields.insert("plan".into(), plan);
    }
    if let (Some(code), Some(fields)) = (report.ending.code, envelope.as_object_mut()) {
        fields.insert("error".into(), json!({"code": code, "message": report.ending.message}));
    }
    if let (Some(started), Some(fields)) = (&report.started, envelope.as_object_mut()) {
        fields.insert("started".into(), self::envelope(started));
    }
    envelope
}

/// An output for people, in its author's order: `key: value` lines, and a table for each list of objects. What is
/// empty is left out.
pub(crate) fn text(output: &Value) -> String {
    let mut text = String::new();
    match output {
        Value::Object(fields) => object(&mut text, fields),
        Value::Array(rows) => list(&mut text, rows),
        other => {
            let _ = writeln!(text, "{}", cell(other));
        }
    }
    text
}

fn object(text: &mut String, fields: &Map<String, Value>) {
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::Array(rows) if rows.is_empty() => {}
            Value::Array(rows) if rows.iter().all(Value::is_object) => {
                let _ = writeln!(text, "{}:", visible(name));
                list(text, rows);
            }
            value => {
                let _ = writeln!(text, "{}: {}", visible(name), cell(value));
            }
        }
    }
}

fn list(text: &mut String, rows: &[Value]) {
    let objects: Vec<_> = rows.iter().filter_map(Value::as_object).collect();
    if objects.len() != rows.len() || objects.is_empty() {
        for row in rows {
            let _ = writeln!(text, "{}", cell(row));
        }
        return;
    }
    let mut columns: Vec<&String> = Vec::new();
    for name in objects.iter().flat_map(|row| row.keys()) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let head: Vec<_> = columns.iter().map(|name| visible(name)).collect();
    let cells = |row: &Map<String, Value>| -> Vec<String> {
        columns.iter().map(|name| row.get(*name).map_or_else(String::new, cell)).collect()
    };
    let rows: Vec<_> = objects.into_iter().map(cells).collect();
    text.push_str(&table_or_records(&head, &rows));
    text.push('\n');
}

/// How wide a line may be: as the terminal is, where there is one.
fn screen() -> u16 {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return SCREEN;
    }
    rustix::termios::tcgetwinsize(&out).map_or(SCREEN, |size| match size.ws_col {
        0 => SCREEN,
        // A column of its own for a name and one for what it says is the least.
        columns => columns.clamp(2 * NARROWEST, u16::MAX - GAP),
    })
}

/// A table, where every row of it fits into a few lines of the screen; else each row by itself.
fn table_or_records(head: &[String], rows: &[Vec<String>]) -> String {
    let of = |rows: &[Vec<String>]| {
        let mut table = table(head);
        for row in rows {
            table.add_row(row);
        }
        table
    };
    let whole = of(rows);
    let Some(widths) = widths(&whole.column_max_content_widths(), &words(head, rows), screen()) else {
        return records(head, rows);
    };
    let lines = |row: &Vec<String>| {
        let mut alone = table(&[""; 0]);
        alone.add_row(row);
        fix(&mut alone, &widths);
        alone.lines().count()
    };
    if rows.iter().any(|row| lines(row) > MOST_LINES) { records(head, rows) } else { render(whole) }
}

/// Each row as lines of name and value, with an empty line between. What is empty is left out. A word that is longer than
/// the screen stays whole all the same, so that it can be copied.
fn records(head: &[String], rows: &[Vec<String>]) -> String {
    let names = head.iter().map(|name| wide(name)).max().unwrap_or_default();
    let room = screen().saturating_sub(names + GAP).max(NARROWEST);
    let records = rows.iter().map(|row| {
        let mut lines = Vec::new();
        for (name, value) in head.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
            for (place, part) in wrapped(value, room).into_iter().enumerate() {
                let name = if place == 0 { name.as_str() } else { "" };
                let blanks = " ".repeat(usize::from(names + GAP - wide(name)));
                lines.push(format!("{name}{blanks}{part}"));
            }
        }
        lines.join("\n")
    });
    records.collect::<Vec<_>>().join("\n\n")
}

/// A text in lines of so many columns, broken only at blanks.
pub(crate) fn wrapped(text: &str, room: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if wide(line).saturating_add(wide(word)) < room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Adds a text, in lines that fit the screen: `first` stands before the first of them, `rest` before the others.
pub(crate) fn indented(out: &mut String, text: &str, first: &str, rest: &str) {
    let room = screen().saturating_sub(wide(first).max(wide(rest))).max(NARROWEST);
    let lines = text.lines().flat_map(|line| wrapped(line, room));
    for (place, line) in lines.enumerate() {
        let before = if place == 0 { first } else { rest };
        let _ = writeln!(out, "{}", format!("{before}{line}").trim_end());
    }
}

/// How many columns a text takes.
fn wide(text: &str) -> u16 {
    if text.is_ascii() {
        return u16::try_from(text.len()).unwrap_or(u16::MAX / 4).min(u16::MAX / 4);
    }
    let mut alone = Table::new();
    alone.add_row([text]);
    alone.column_max_content_widths().first().copied().unwrap_or_default().min(u16::MAX / 4)
}

/// The widest word of each column.
fn words(head: &[String], rows: &[Vec<String>]) -> Vec<u16> {
    let mut widest: Vec<u16> = Vec::new();
    for row in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)) {
        widest.resize(widest.len().max(row.len()), 0);
        for (widest, cell) in widest.iter_mut().zip(row) {
            *widest = cell.split(' ').map(wide).max().unwrap_or_default().max(*widest);
        }
    }
    widest
}

/// A table that fits the screen once it is rendered.
pub(crate) fn table<T: AsRef<str>>(head: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !head.is_empty() {
        table.set_header(head.iter().map(|name| name.as_ref().to_uppercase()));
    }
    table
}

/// The width of each column, the gap behind it included, given the widest text and the widest word in each. `None` where so
/// many columns cannot be shown side by side.
///
/// Each column gets what its words need, so that names, times and paths stay whole and can be copied; the narrowest get
/// what is left.
fn widths(widest: &[u16], words: &[u16], screen: u16) -> Option<Vec<u16>> {
    let least = widest.iter().zip(words).map(|(widest, word)| (*widest).min(NARROWEST.max(*word)));
    let mut widths: Vec<_> = least.collect();
    let needed = widths.iter().map(|width| width + GAP).fold(0, u16::saturating_add);
    let mut left = (screen + GAP).checked_sub(needed)?;
    // A column at a time, a letter at a time: what is left is less than a screen.
    while left > 0 {
        let wanting = widths.iter_mut().zip(widest).filter(|(width, widest)| **width < **widest);
        let Some((narrowest, _)) = wanting.min_by_key(|(width, _)| **width) else { break };
        *narrowest += 1;
        left -= 1;
    }
    Some(widths.into_iter().map(|width| width + GAP).collect())
}

/// Gives each column its width.
fn fix(table: &mut Table, widths: &[u16]) {
    let whole = widths.iter().copied().fold(0, u16::saturating_add);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(whole);
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(*width)));
    }
}

/// A table as text, as wide as a screen at most, without blanks at the ends of its lines; as records where
/// that would break words.
pub(crate) fn render(mut table: Table) -> String {
    let head: Vec<_> = table
        .header()
        .map(|head| head.cell_iter().map(comfy_table::Cell::content).collect())
        .unwrap_or_default();
    let rows: Vec<Vec<_>> =
        table.row_iter().map(|row| row.cell_iter().map(comfy_table::Cell::content).collect()).collect();
    let Some(widths) = widths(&table.column_max_content_widths(), &words(&head, &rows), screen()) else {
        return records(&head.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(), &rows);
    };
    fix(&mut table, &widths);
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A time in a table: to the minute, in UTC.
pub(crate) fn minute(time: &str) -> String {
    time.parse::<Timestamp>()
        .map_or_else(|_| visible(time), |time| time.strftime("%Y-%m-%d %H:%MZ").to_string())
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Null => String::new(),
        other => visible(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_tables() {
        let text = text(&json!({
            "status": "ok", "none": null, "to": ["b", "a"], "cc": [],
            "rows": [{"id": 1, "name": "a\u{1b}b"}, {"id": 2}],
        }));
        assert!(text.starts_with("status: ok\nto: b, a\nrows:\n"), "{text}");
        assert!(text.contains("ID") && text.contains("NAME"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("none"), "{text}");
    }

    fn is_narrow(text: &str) {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", line.chars().count());
        }
    }

    #[test]
    fn columns_share_the_screen_and_no_word_is_broken() {
        for (widest, words, expected) in [
            (&[5, 5][..], &[5, 5][..], Some(vec![7, 7])),
            (&[30, 100], &[30, 8], Some(vec![32, 50])),
            (&[100, 5], &[9, 5], Some(vec![75, 7])),
            (&[29, 9, 6, 86], &[29, 9, 6, 20], Some(vec![31, 11, 8, 32])),
            (&[200, 200, 200], &[9, 9, 9], Some(vec![28, 27, 27])),
            (&[50, 200, 200], &[50, 9, 9], Some(vec![52, 15, 15])),
            (&[60, 30], &[60, 19], None),
            (&[9; 8], &[9; 8], None),
            (&[3; 16], &[3; 16], Some(vec![5; 16])),
            (&[], &[], Some(vec![])),
        ] {
            let found = widths(widest, words, SCREEN);
            assert_eq!(found, expected, "{widest:?}");
            assert!(found.unwrap_or_default().iter().sum::<u16>() <= 82);
        }
        // A wider screen has room for both.
        assert_eq!(widths(&[60, 30], &[60, 19], 120), Some(vec![62, 32]));
    }

    #[test]
    fn rows_that_wrap_too_far_become_records() {
        let row = |subject: &str| json!({"id": "M1", "from": "a@example.test", "to": "b@example.test", "subject": subject});
        let short = text(&json!([row("Hello"), row("Again")]));
        assert!(short.starts_with("ID  ") && short.lines().count() == 3, "{short}");
        let long = text(&json!([row("Hello"), row(&"word ".repeat(60))]));
        assert!(!long.contains("SUBJECT") && long.contains("subject  Hello\n\nid"), "{long}");
        is_narrow(&long);
        let wide: Value =
            (0..20).map(|number| (format!("column-{number}"), json!("value"))).collect::<Map<_, _>>().into();
        let wide = text(&json!([wide]));
        assert!(wide.lines().count() == 20, "{wide}");
        is_narrow(&wide);
        let unbroken = text(&json!([{"id": "x".repeat(300), "wide": "漢".repeat(100)}]));
        // What has no blanks stays whole, wherever the screen ends.
        assert!(unbroken.contains(&"x".repeat(300)) && unbroken.contains(&"漢".repeat(100)), "{unbroken}");
    }

    #[test]
    fn long_names_stay_whole() {
        let mut table = table(&["plan", "capability", "status", "good until"]);
        table.add_row(["01234567", &"n".repeat(100), "waiting, 0 of 3", "2026-01-01 00:00Z"]);
        let long = render(table);
        assert!(
            long.starts_with("plan        01234567\ncapability  nnn") && long.contains(&"n".repeat(100)),
            "{long}"
        );
        let path = format!("/srv/{}", "p".repeat(45));
        let row =
            json!({"path": path, "at": "2026-01-01T00:00:00Z", "what": "some words that may be broken"});
        let text = text(&json!([row]));
        assert!(text.contains(&path) && text.contains("2026-01-01T00:00:00Z"), "{text}");
        is_narrow(&text);
    }
}
