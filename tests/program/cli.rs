//! What people read: one golden file in `tests/cli/` for each case. `tests/cli/README.md` describes the format.

mod case;
mod placeholders;

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use ops_tests::scratch::{Scratch, repository};
use ops_tests::skip;

pub(crate) fn trials() -> Vec<Trial> {
    let golden = cases().into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        trial(&name, move || golden(&path))
    });
    golden
        .chain([
            trial("golden::placeholders", placeholders::each_stands_for_what_changes),
            trial("golden::a_difference_fails_and_blessing_mends_it", difference),
            trial("golden::a_case_that_cannot_be_read_names_its_line", unreadable),
            trial("golden::what_is_written_is_noticed", written),
        ])
        .collect()
}

fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    skip::trial(format!("cli::{name}"), None, run)
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("tests/cli")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    paths
}

/// Runs one case. What a file whose name begins with `bad-` shows is wrong usage, whatever has been blessed.
fn golden(path: &Path) {
    let expected = fs::read_to_string(path).unwrap();
    let actual = case::run(&Scratch::without_workspace(), &expected)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    compare(path, &expected, &actual, std::env::var_os("BLESS").is_some());
    if path.file_name().unwrap().to_str().unwrap().starts_with("bad-") {
        for typed in actual.split("\n$ ").skip(1) {
            let exit = typed.lines().find(|line| line.starts_with("exit ")).unwrap();
            assert_eq!(
                exit,
                "exit 2, nothing written",
                "{}: {}",
                path.display(),
                typed.lines().next().unwrap()
            );
        }
    }
}

/// Shows the first difference, or writes down what there is now.
fn compare(path: &Path, expected: &str, actual: &str, bless: bool) {
    if bless {
        fs::write(path, actual).unwrap();
        return;
    }
    if expected == actual {
        return;
    }
    let same =
        expected.lines().zip(actual.lines()).take_while(|(expected, actual)| expected == actual).count();
    let from = |text: &str| text.lines().skip(same.saturating_sub(2)).take(12).collect::<Vec<_>>().join("\n");
    panic!(
        "{}:{}: another output; BLESS=1 writes it down, if it is better\n--- expected\n{}\n--- actual\n{}",
        path.display(),
        same + 1,
        from(expected),
        from(actual)
    );
}

fn difference() {
    let scratch = Scratch::without_workspace();
    let wrong = "$ ops plan list\n2| all is well\nexit 0\n";
    let actual = case::run(&Scratch::without_workspace(), wrong).unwrap();
    let path = scratch.path("wrong.case");
    fs::write(&path, wrong).unwrap();
    let told = std::panic::catch_unwind(|| compare(&path, wrong, &actual, false)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(
        told.contains("wrong.case:2") && told.contains("2| all is well") && told.contains("exit 2"),
        "{told}"
    );

    compare(&path, wrong, &actual, true);

    let blessed = fs::read_to_string(&path).unwrap();
    let again = case::run(&Scratch::without_workspace(), &blessed).unwrap();
    compare(&path, &blessed, &again, false);
}

fn unreadable() {
    for (text, line) in [
        ("ops plan list\n", "line 1"),
        ("# fine\n\n$ git status\n", "line 3"),
        ("write\n", "line 1"),
        ("$ ops 'plan list\n", "line 1"),
        ("$ ops plan show <plan 1>\n", "line 1"),
        ("> ops plan list\n", "line 1"),
    ] {
        let error = case::run(&Scratch::without_workspace(), text).unwrap_err();
        assert!(error.contains(line), "{text:?}: {error}");
    }
}

/// `nothing written` is the claim of most cases, so it must not be made by mistake: not of a new file, not of a byte.
fn written() {
    let text = "$ ops init --name demo --principal alice --new-key key\n> ops pin --key key --yes\n> ops status\n\
                $ ops status\nwrite ops/ops.yaml\n| workspace: demo\n| approvals: {plan: 2h}\n\
                $ ops pin --check\n$ ops pin --key key --yes\n";
    let actual = case::run(&Scratch::without_workspace(), text).unwrap();
    let exits: Vec<_> = actual.lines().filter(|line| line.starts_with("exit ")).collect();
    assert_eq!(exits, ["exit 0", "exit 0, nothing written", "exit 1, nothing written", "exit 0"]);
}
