//! Tables of refusals: `tests/tables/*.table`, one row each as its README says.
//!
//! Every row goes through the public functions that a run goes through; nothing is decided here. A trial is a file, and
//! a failure names the rows.

mod judge;
mod row;

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

/// The fewest rows that all tables have together, so that a table that is not read is noticed.
const ROWS: usize = 150;

pub(crate) fn trials() -> Vec<Trial> {
    let count = Trial::test("tables::are_read", || {
        let total: usize = files().iter().map(|file| rows(&read(file)).count()).sum();
        if total < ROWS { Err(format!("{total} rows, expected at least {ROWS}").into()) } else { Ok(()) }
    });
    let tables = files().into_iter().map(|file| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        Trial::test(format!("tables::{name}"), move || check(&file, &name))
    });
    tables.chain([count]).collect()
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tables");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "table")).collect();
    files.sort();
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// The rows with their line numbers.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn check(file: &Path, name: &str) -> Result<(), Failed> {
    let text = read(file);
    let judge = judge::of(name).ok_or_else(|| format!("nothing judges the table `{name}`"))?;
    let judged = |line: &str| {
        let input = line.split(" → ").next().unwrap_or(line).trim_end();
        format!("{input} → {}", judge(&row::fields(input)))
    };
    if std::env::var_os("BLESS").is_some() {
        let is_row = |line: &str| !line.is_empty() && !line.starts_with('#');
        let lines = text.lines().map(|line| if is_row(line) { judged(line) } else { line.to_owned() });
        fs::write(file, lines.map(|line| line + "\n").collect::<String>()).unwrap();
        return Ok(());
    }
    let wrong = rows(&text).filter_map(|(number, line)| {
        let now = judged(line);
        (now != line).then(|| format!("{}:{number}\n  expected {line}\n  judged   {now}", file.display()))
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
