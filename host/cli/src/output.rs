//! A capability's output on standard output: for people, or as one JSON envelope for programs.

use std::fmt::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::Timestamp;
use ops_policy::visible::visible;
use ops_runner::receipt::Report;
use serde_json::{Map, Value, json};

/// How wide a screen is at least.
const SCREEN: u16 = 80;
/// Above this width a first column holds texts and not names.
const LONGEST_NAME: u16 = 66;
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
    let Some(widths) = widths(&whole.column_max_content_widths()) else {
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

/// Each row as lines of name and value, with an empty line between. What is empty is left out.
fn records(head: &[String], rows: &[Vec<String>]) -> String {
    let records = rows.iter().map(|row| {
        let mut table = table(&[""; 0]);
        for (name, value) in head.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
            table.add_row([name, value]);
        }
        render(table)
    });
    records.collect::<Vec<_>>().join("\n\n")
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

/// The width of each column, the gap behind it included, given the widest text in each. `None` where so many columns cannot
/// be shown side by side.
///
/// Each column gets what it needs, where that is little; the others share what is left. Names, which are in the first, are
/// broken last, so that they can be copied.
fn widths(widest: &[u16]) -> Option<Vec<u16>> {
    let least: Vec<_> = widest.iter().map(|widest| (*widest).min(NARROWEST)).collect();
    let mut left =
        (SCREEN + GAP).checked_sub(least.iter().map(|width| width + GAP).fold(0, u16::saturating_add))?;
    let mut widths = least;
    if let (Some(width), Some(widest @ 0..=LONGEST_NAME)) = (widths.first_mut(), widest.first()) {
        let more = (widest - *width).min(left);
        *width += more;
        left -= more;
    }
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
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(SCREEN + GAP);
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(*width)));
    }
}

/// A table as text, as wide as a screen at most, without blanks at the ends of its lines.
pub(crate) fn render(mut table: Table) -> String {
    // Our own tables have a few columns each, so that there is always room.
    let widths = widths(&table.column_max_content_widths()).unwrap_or_default();
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
    fn columns_share_the_screen_and_names_are_broken_last() {
        for (widest, expected) in [
            (&[5, 5][..], Some(vec![7, 7])),
            (&[30, 100], Some(vec![32, 50])),
            (&[100, 5], Some(vec![75, 7])),
            (&[29, 9, 6, 86], Some(vec![31, 11, 8, 32])),
            (&[200, 200, 200], Some(vec![28, 27, 27])),
            (&[50, 200, 200], Some(vec![52, 15, 15])),
            (&[20, 40, 40], Some(vec![22, 30, 30])),
            (&[9; 8], None),
            (&[3; 16], Some(vec![5; 16])),
            (&[], Some(vec![])),
        ] {
            let found = widths(widest);
            assert_eq!(found, expected, "{widest:?}");
            assert!(found.unwrap_or_default().iter().sum::<u16>() <= 82);
        }
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
        is_narrow(&unbroken);
    }

    #[test]
    fn tables_of_long_names_fit_the_screen() {
        let mut table = table(&["plan", "capability", "status", "good until"]);
        table.add_row(["01234567", &"n".repeat(100), "waiting, 0 of 3", "2026-01-01 00:00Z"]);
        is_narrow(&render(table));
    }
}
