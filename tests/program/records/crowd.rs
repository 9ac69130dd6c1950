//! Two hundred at once on one file: half of them file a gap, half of them close one. None is lost, none is doubled, and
//! whoever reads the file meanwhile finds it in order, at every moment.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, repository};
use ops_tests::skip::trial;
use ops_tests::torture::say;
use serde_json::Value;

use super::{GAPS, check, scope, workspace};

/// How many file a gap, and how many close one.
const EACH: usize = 100;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("records::two_hundred_at_once_lose_and_double_nothing", None, two_hundred)]
}

fn two_hundred() {
    let gap = |number: usize| {
        format!(
            "  # number {number}\n  - id: GAP-OP-{number:03}\n    type: runtime-bug\n    severity: high\n    status: open  # {number}\n    \
             discovered_by: tester\n    description: Gap {number} of before.\n    parent_loop: LOOP-A\n\n"
        )
    };
    let before = format!(
        "# All of them.\nversion: 1\nupdated: 2026-03-02\ngaps:\n{}",
        (1..=EACH).map(gap).collect::<String>()
    );
    let scratch = workspace(
        &["gaps.file", "gaps.close"],
        &before,
        &[("LOOP-A", &scope("LOOP-A", "proof:\n  - [test.guest.echo]\n", "## Acceptance\n- x\n"))],
    );
    let key = check(&scratch, "fixed");
    let yes = scratch.path("yes");
    fs::write(&yes, "yes\n").unwrap();

    let (began, over) = (Instant::now(), AtomicBool::new(false));
    let (runs, seen) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&scratch, &over));
        let started: Vec<_> = (1..=EACH)
            .flat_map(|number| {
                let (id, description) =
                    (format!("GAP-OP-{number:03}"), format!("Gap {number} of the crowd."));
                let file = [
                    "--type",
                    "missing-entry",
                    "--severity",
                    "low",
                    "--discovered-by",
                    "crowd",
                    "--loop-id",
                    "LOOP-A",
                ];
                let file = [&["cap", "run", "gaps.file", "--json", "--description", &description], &file[..]]
                    .concat();
                let close = [
                    "cap",
                    "run",
                    "gaps.close",
                    "--json",
                    "--id",
                    &id,
                    "--status",
                    "fixed",
                    "--fixed-in",
                    &key,
                ];
                [file, close.to_vec()].map(|words| {
                    let mut command = scratch.command();
                    command.args(words).stdin(fs::File::open(&yes).unwrap());
                    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
                })
            })
            .collect();
        let runs: Vec<Ran> =
            started.into_iter().map(|run| Ran::of(&run.wait_with_output().unwrap())).collect();
        over.store(true, Ordering::Relaxed);
        (runs, watcher.join().expect("the file was not in order"))
    });
    let took = began.elapsed();

    let filed: BTreeSet<String> = runs
        .into_iter()
        .map(|run| run.exits(0).json())
        .filter(|said| said["capability"] == "gaps.file")
        .map(|said| said["data"]["id"].as_str().unwrap().to_owned())
        .collect();
    let wanted: BTreeSet<String> =
        (EACH + 1..=2 * EACH).map(|number| format!("GAP-OP-{number:03}")).collect();
    assert_eq!(filed, wanted, "an id was given twice, or left out");

    let text = fs::read_to_string(scratch.path(GAPS)).unwrap();
    let gaps = parse(&text).unwrap()["gaps"].take();
    let gaps = gaps.as_array().unwrap();
    assert_eq!(gaps.len(), 2 * EACH);
    let descriptions: BTreeSet<&str> = gaps.iter().map(|gap| gap["description"].as_str().unwrap()).collect();
    assert_eq!(descriptions.len(), 2 * EACH, "a gap is lost or doubled");
    for (place, gap) in gaps.iter().enumerate() {
        let closed = place < EACH;
        assert_eq!(gap["status"], if closed { "fixed" } else { "open" }, "{gap}");
        assert!(!closed || gap["fixed_in"][0] == key.as_str(), "{gap}");
    }
    // Every line of before is there still, but for those that were meant.
    for line in before.lines().filter(|line| !line.starts_with("updated:") && !line.contains("status: open"))
    {
        assert!(text.contains(line), "{line:?} is gone");
    }
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    say(&format!(
        "{} at once on one file in {:.1} s, read {seen} times meanwhile",
        2 * EACH,
        took.as_secs_f32()
    ));
}

/// Reads the file again and again until it is over. Returns how often.
fn watch(scratch: &Scratch, over: &AtomicBool) -> usize {
    let schema = fs::read(repository().join("docs/schemas/operational.gaps.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let (mut seen, mut last, mut most, mut closed) = (0, String::new(), EACH, 0);
    loop {
        let ends = over.load(Ordering::Relaxed);
        let text = fs::read_to_string(scratch.path(GAPS)).unwrap();
        seen += 1;
        if text != last {
            let value = parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
            schema.validate(&value).unwrap_or_else(|why| panic!("{why}\n{text}"));
            let gaps = value["gaps"].as_array().unwrap();
            let ids: BTreeSet<&str> = gaps.iter().map(|gap| gap["id"].as_str().unwrap()).collect();
            let fixed = gaps.iter().filter(|gap| gap["status"] == "fixed").count();
            assert_eq!(ids.len(), gaps.len(), "an id is there twice");
            assert!(gaps.len() >= most && fixed >= closed, "something was taken back");
            (last, most, closed) = (text, gaps.len(), fixed);
        }
        if ends {
            return seen;
        }
        // The processor belongs to the crowd.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
