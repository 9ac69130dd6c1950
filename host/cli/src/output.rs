//! A capability's output on standard output: for people, or as one JSON envelope for programs.

use std::fmt::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::Timestamp;
use ops_policy::visible::visible;
use ops_runner::receipt::Report;
use serde_json::{Map, Value, json};

/// From this width on a first column holds texts and not names.
const LONGEST_NAME: u16 = 56;
/// From this width on a column needs no lower bound.
const ENORMOUS: u16 = 10_000;
/// What a column is given at least, where it has that much to show.
const NARROWEST: u16 = 9;

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
    let mut table = table(&columns.iter().map(|name| visible(name)).collect::<Vec<_>>());
    for row in objects {
        table.add_row(columns.iter().map(|name| row.get(*name).map_or_else(String::new, cell)));
    }
    leave_room(&mut table);
    text.push_str(&render(table));
    text.push('\n');
}

/// A table that fits 80 columns. Names in its first column are not broken, so that they can be copied.
pub(crate) fn table<T: AsRef<str>>(head: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(80);
    table.set_header(head.iter().map(|name| name.as_ref().to_uppercase()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// A first column of long texts, not names, may be broken, so that the others are more than a letter wide.
fn leave_room(table: &mut Table) {
    for (place, widest) in table.column_max_content_widths().into_iter().enumerate() {
        let Some(column) = table.column_mut(place) else { continue };
        match (place, widest) {
            (0, LONGEST_NAME..) => {
                column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(LONGEST_NAME / 2)));
            }
            // Of what is wider than any screen, the table's own sums would run over; it has its room anyhow.
            (0, _) | (_, ENORMOUS..) => {}
            (_, widest) => {
                let room = widest.min(NARROWEST).saturating_add(2);
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(room)));
            }
        }
    }
}

/// A table as text, without blanks at the ends of its lines.
pub(crate) fn render(table: Table) -> String {
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
}
