//! The report of a whole bench: figures with the machine that they are of, kept as JSON; what falls short of its budget;
//! and one line of it for the history.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::machine::Machine;
use crate::table;

/// What a report says it is. It changes when its fields do; docs/performance.md says what they are.
const SCHEMA: &str = "ops-bench/1";

/// What was measured, where and when.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    schema: String,
    /// When it was begun, RFC 3339.
    at: String,
    /// The version of `ops`.
    version: String,
    /// The commit, where it was measured in a repository. A star follows where files were changed since.
    commit: String,
    machine: Machine,
    figures: Vec<Figure>,
}

impl Report {
    /// A report that has no figures yet.
    pub(crate) fn begin(machine: Machine) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit(),
            machine,
            figures: Vec::new(),
        }
    }

    /// Adds figures.
    pub(crate) fn extend(&mut self, figures: Vec<Figure>) {
        self.figures.extend(figures);
    }

    /// Reads a report.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read(path)
            .unwrap_or_else(|error| panic!("{}: {error}; `make bench` writes it", path.display()));
        let report: Self =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(report.schema, SCHEMA, "{} is of another version of the bench", path.display());
        report
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
    }

    /// It for people.
    pub(crate) fn text(&self) -> String {
        let Self { at, version, commit, machine, figures, .. } = self;
        format!("{}\n\nops {version} at {commit}, {at}\n{}", table::text(figures), machine.line())
    }

    /// The figures that fall short of their budgets. Where none has a budget, nothing was shown.
    pub(crate) fn short(&self) -> Vec<&Figure> {
        assert!(
            self.figures.iter().any(|figure| figure.budget.is_some()),
            "the report has no figure with a budget"
        );
        self.figures.iter().filter(|figure| !figure.is_met()).collect()
    }

    /// A line for the history, and the head that the file with it has to have. What has no budget is not in it.
    pub(crate) fn line(&self) -> (String, String) {
        let (mut head, mut line) = ("date,version,commit,processor,processors".to_owned(), String::new());
        let processor = self.machine.processor.replace(',', " ");
        line +=
            &format!("{},{},{},{processor},{}", self.at, self.version, self.commit, self.machine.processors);
        for figure in self.figures.iter().filter(|figure| figure.budget.is_some()) {
            let ratio = figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            head += &format!(",{} [{}],{} [x]", figure.id, figure.unit, figure.id);
            line += &format!(",{:.4},{ratio}", figure.ours.value);
        }
        (head, line)
    }

    /// Appends the line to the history.
    pub(crate) fn record(&self, history: &Path) {
        let (head, line) = self.line();
        let text = fs::read_to_string(history).unwrap_or_else(|_| format!("{head}\n"));
        let known = text.lines().next().unwrap_or_default();
        assert_eq!(known, head, "{} has other columns; move it away to begin a new one", history.display());
        fs::write(history, format!("{text}{line}\n")).unwrap();
    }
}

/// The commit of the repository that this was built in.
fn commit() -> String {
    let git = |words: &[&str]| {
        let ran = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR")]).args(words).output().ok()?;
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|files| !files.is_empty());
    if changed { commit + "*" } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::figure::Budget;

    fn report() -> Report {
        let mut report = Report::begin(Machine::this("tmpfs".to_owned()));
        report.extend(vec![
            Figure::new("fast", "fast", "ms", Amount::once(1.0)).budget(Budget::AtMost(2.0)),
            Figure::new("slow", "slow", "ms", Amount::once(3.0))
                .beside("it", Amount::once(2.0))
                .budget(Budget::TimesAtMost(0.75)),
            Figure::new("free", "free", "ms", Amount::once(9.0)),
        ]);
        report
    }

    #[test]
    fn what_is_read_is_what_was_written_and_says_what_falls_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench/latest.json");
        report().write(&path);
        let read = Report::read(&path);
        assert_eq!(read.text(), report().text().replace(&report().at, &read.at));
        assert_eq!(read.short().iter().map(|figure| figure.id.as_str()).collect::<Vec<_>>(), ["slow"]);
    }

    #[test]
    #[should_panic(expected = "no figure with a budget")]
    fn a_report_without_figures_meets_nothing() {
        Report::begin(Machine::this("tmpfs".to_owned())).short();
    }

    #[test]
    fn the_history_grows_by_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        report().record(&path);
        report().record(&path);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with(",fast [ms],fast [x],slow [ms],slow [x]"), "{text}");
        assert!(lines[2].ends_with(",1.0000,,3.0000,1.500"), "{text}");
        assert!(lines.iter().all(|line| line.split(',').count() == lines[0].split(',').count()), "{text}");
        fs::write(&path, "other,columns\n").unwrap();
        assert!(std::panic::catch_unwind(|| report().record(&path)).is_err());
    }
}
