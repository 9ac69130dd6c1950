use std::fs;
use std::path::PathBuf;

use super::*;
use crate::store::sample::{self, ROUND, Sample};

/// Changes the ledger's file behind its back, with the triggers that would object put away and back.
fn edit(sample: &Sample, sql: &str) {
    let connection = Connection::open(sample.state.path().join("ledger.db")).unwrap();
    let query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<(String, String)> = connection
        .prepare(query)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(sql).unwrap();
    for (_, text) in &triggers {
        connection.execute_batch(text).unwrap();
    }
}

#[test]
fn a_good_ledger_has_no_findings() {
    let sample = Sample::with_rounds(3);
    let checked = sample.check(None);
    assert_eq!(checked.findings, [""; 0]);
    assert_eq!((checked.size, checked.checkpoints), (3 * ROUND, 3));
    assert_eq!(checked.published, Some(3 * ROUND));
    // Hashes and entries at three sizes, none of which fills a tile.
    assert_eq!(checked.tiles, 6);
    assert_eq!(Sample::new().check(None).findings, [""; 0], "an empty ledger is good");
}

/// What is done to a good ledger, and what must be found.
#[test]
fn what_was_changed_is_named() {
    let cases = [
        ("UPDATE entries SET at = '2020-01-01T00:00:00Z' WHERE sequence = 5", "entry 5, the intent of "),
        ("UPDATE entries SET envelope = x'7b7d' WHERE sequence = 5", "its bundle was changed"),
        ("UPDATE entries SET kind = 'approval' WHERE sequence = 1", "entry 1, the approval of "),
        ("UPDATE hashes SET hash = zeroblob(32) WHERE place = 7", "run ops ledger rebuild"),
        ("DELETE FROM hashes WHERE place = 7", "run ops ledger rebuild"),
        ("INSERT INTO hashes VALUES (99, zeroblob(32))", "run ops ledger rebuild"),
        ("UPDATE checkpoints SET root = replace(root, 'sha256:', 'sha256:0')", "states another size or root"),
        ("UPDATE checkpoints SET at = ''", "of the table checkpoints is not as it was written"),
        ("UPDATE runs SET status = 'done' WHERE status = 'denied'", "its run's row says otherwise"),
        ("UPDATE runs SET plan = NULL", "of the table runs is not as it was written"),
        ("UPDATE runs SET input_digest = ''", "of the table runs is not as it was written"),
        ("UPDATE runs SET settled_by = 'x' WHERE status = 'unknown'", "of the table runs is not"),
        ("UPDATE plans SET document = x'00'", "the document of plan p0 is not the one with its digest"),
        ("UPDATE plans SET digest = 'x'", "its plan's row says otherwise"),
        ("UPDATE plans SET status = 'waiting'", "the plan p0 is waiting, and the log says otherwise"),
        ("UPDATE plans SET expires = '9'", "of the table plans is not as it was written"),
        ("UPDATE approvals SET principal = 'mallory'", "entry 4, the approval of "),
        ("UPDATE approvals SET consumed_by = NULL", "the row of an approval that it uses up says otherwise"),
        ("UPDATE effects SET state = 'started'", "the row of its effect 1 says otherwise"),
        ("UPDATE effects SET response = x'00'", "of the table effects is not as it was written"),
        ("INSERT INTO runs(key, capability) VALUES ('x', 'y')", "have neither intent nor receipt"),
        (
            "INSERT INTO runs(key, capability, receipt) VALUES ('x', 'y', 1)",
            "receipts: the log has 5, and the tables 6",
        ),
        ("DELETE FROM approvals", "approvals: the log has 1, and the tables 0"),
        ("DELETE FROM entries WHERE sequence = 8", "names a row that is not there"),
        ("DROP INDEX runs_that_undo", "a table, index or trigger of the ledger was changed"),
        ("INSERT INTO meta VALUES ('x', 'y')", "the table meta has rows"),
        ("UPDATE meta SET value = '1' WHERE key = 'kept'", "the sum of what is kept is not that of the runs"),
    ];
    for (sql, named) in cases {
        let sample = Sample::with_rounds(1);
        edit(&sample, sql);
        let findings = sample.check(None).findings;
        assert!(findings.iter().any(|finding| finding.contains(named)), "{sql}: {findings:#?}");
    }
}

#[test]
fn a_rewritten_entry_is_seen_even_with_every_digest_made_again() {
    let sample = Sample::with_rounds(2);
    let (old, kept) = (sample.ledger.newest_checkpoint(sample.log.verifier()).unwrap().unwrap(), 2 * ROUND);
    assert_eq!(old.size, kept);
    // The host signs another first entry, and everything that is derived from it is made again.
    let other = Sample::new();
    edit(&sample, &format!("UPDATE meta SET value = '{}' WHERE key = 'ledger'", other.ledger.ledger_id()));
    let rewritten = Ledger::open(sample.state.path()).unwrap();
    rewritten.rebuild_hashes().unwrap();
    let checked = sample::check(&rewritten, &sample.host, &sample.log, Some(&old), &sample.tiles());
    assert!(checked.findings.iter().any(|finding| finding.contains("it is of another ledger")));

    edit(
        &sample,
        "UPDATE entries SET envelope = (SELECT envelope FROM entries WHERE sequence = 2),
         digest = (SELECT digest FROM entries WHERE sequence = 2) WHERE sequence = 1",
    );
    sample.ledger.rebuild_hashes().unwrap();
    let findings = sample.check(Some(&old)).findings;
    let rewritten = findings.iter().filter(|finding| finding.contains("history was rewritten")).count();
    assert_eq!(rewritten, 3, "two stored checkpoints and the one that was kept: {findings:#?}");
}

#[test]
fn a_tail_that_was_cut_off_is_seen_by_a_checkpoint_that_was_kept() {
    let whole = Sample::new();
    whole.round(0);
    let first = whole.ledger.checkpoint(&whole.log).unwrap();
    let cut = whole.state.path().join("cut");
    copy_ledger(&whole, &cut);
    whole.round(1);
    let kept = whole.publish();
    assert_eq!(whole.check(Some(&first)).findings, [""; 0]);

    let restored = Ledger::open(&cut).unwrap();
    let check = |since, tiles: &Path| sample::check(&restored, &whole.host, &whole.log, since, tiles);
    let nowhere = cut.join("tiles");
    assert_eq!(check(None, &nowhere).findings, [""; 0], "without a witness nobody can tell");
    let findings = check(Some(&kept), &nowhere).findings;
    assert!(findings.iter().any(|finding| finding.contains("its end was cut off")), "{findings:#?}");
    let findings = check(None, &whole.tiles()).findings;
    assert!(findings.iter().any(|finding| finding.contains("did not sign so")), "{findings:#?}");
}

#[test]
fn rebuilding_mends_what_is_derived() {
    let sample = Sample::with_rounds(2);
    edit(&sample, "UPDATE hashes SET hash = zeroblob(32) WHERE place > 3");
    fs::write(sample.tiles().join("tile/0/000.p/16"), "x").unwrap();
    fs::write(sample.tiles().join("checkpoint"), "x").unwrap();
    assert!(
        sample.ledger.checkpoint(&sample.log).is_err(),
        "a checkpoint was made over a tree that is broken"
    );
    assert_eq!(sample.ledger.rebuild_hashes().unwrap(), 27);
    let newest = sample.ledger.checkpoint(&sample.log).unwrap();
    sample.ledger.write_tiles(&sample.tiles(), &newest, true).unwrap();
    assert_eq!(sample.check(None).findings, [""; 0]);
    fs::write(sample.tiles().join("tile/notes.txt"), "x").unwrap();
    let findings = sample.check(None).findings;
    assert!(matches!(findings.as_slice(), [one] if one.contains("is no part of the log")), "{findings:#?}");
}

/// Moves everything into the one file, and copies it.
fn copy_ledger(sample: &Sample, to: &Path) {
    let file = sample.state.path().join("ledger.db");
    let connection = Connection::open(&file).unwrap();
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    crate::private::make_folder(to).unwrap();
    fs::copy(file, to.join("ledger.db")).unwrap();
}

/// Every row of every table, as SQLite reads them; none where it cannot.
fn dump(file: &Path) -> Option<Vec<String>> {
    let connection = Connection::open(file).ok()?;
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").ok()?;
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).ok()?.collect::<Result<_, _>>().ok()?;
    let mut lines = Vec::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} NOT INDEXED")).ok()?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            let values: Vec<String> =
                (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
            lines.push(format!("{table}: {}", values.join(" ")));
        }
    }
    lines.sort();
    Some(lines)
}

/// Numbers that look drawn and are the same each time.
fn drawn(number: usize, below: usize) -> usize {
    let bytes = *Digest::of(&number.to_be_bytes()).bytes();
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    usize::try_from(u64::from_be_bytes(first) % u64::try_from(below).unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// What came of a flip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Reported,
    Harmless,
}

/// A log of 200 leaves, of which copies are damaged.
struct Flips {
    sample: Sample,
    good: Vec<u8>,
    contents: Vec<String>,
}

impl Flips {
    fn new() -> Self {
        let sample = Sample::with_rounds(25);
        assert_eq!(sample.ledger.size().unwrap(), 200);
        let place = sample.state.path().join("good");
        copy_ledger(&sample, &place);
        let good = fs::read(place.join("ledger.db")).unwrap();
        Self { sample, good, contents: dump(&place.join("ledger.db")).unwrap() }
    }

    fn check(&self, place: &Path) -> Vec<String> {
        match Ledger::open(place) {
            Ok(ledger) => {
                let (host, log) = (&self.sample.host, &self.sample.log);
                sample::check(&ledger, host, log, None, &self.sample.tiles()).findings
            }
            Err(error) => vec![error.to_string()],
        }
    }

    /// A byte of the database: it is reported, or every table still has the same contents.
    fn database(&self, number: usize) -> Outcome {
        let place = crate::scratch();
        let file = place.path().join("ledger.db");
        let mut bytes = self.good.clone();
        bytes[drawn(number, self.good.len())] ^= u8::try_from(1 + drawn(number + 1000, 255)).unwrap();
        crate::private::write_new(&file, &bytes, false).unwrap();
        if !self.check(place.path()).is_empty() {
            return Outcome::Reported;
        }
        assert!(dump(&file).as_ref() == Some(&self.contents), "flip {number} was not seen");
        Outcome::Harmless
    }

    /// A byte of a tile, or of the checkpoint beside them: it is reported.
    fn tile(&self, number: usize) {
        let tiles = files(&self.sample.tiles());
        let tile = &tiles[drawn(number, tiles.len())];
        let good = fs::read(tile).unwrap();
        let mut bytes = good.clone();
        bytes[drawn(number + 2000, good.len())] ^= u8::try_from(1 + drawn(number + 3000, 255)).unwrap();
        fs::write(tile, bytes).unwrap();
        let connection = Connection::open(self.sample.state.path().join("ledger.db")).unwrap();
        let found = tiles::check(&connection, &self.sample.tiles(), Some(self.sample.log.verifier()));
        assert!(!found.unwrap().findings.is_empty(), "flip {number} in {} was not seen", tile.display());
        fs::write(tile, good).unwrap();
    }
}

/// 400 flips in the database and 100 in the tiles.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are for people")]
fn a_flipped_byte_is_reported_or_harmless() {
    let flips = Flips::new();
    let all: Vec<usize> = (0..400).collect();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let run = |part: &[usize]| part.iter().map(|number| flips.database(*number)).collect::<Vec<_>>();
        let parts: Vec<_> = all.chunks(100).map(|part| scope.spawn(move || run(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    (400..500).for_each(|number| flips.tile(number));
    assert_eq!(flips.sample.check(None).findings, [""; 0], "something else was left behind");
    let reported = outcomes.iter().filter(|outcome| **outcome == Outcome::Reported).count();
    // The harmless ones: free space, and fields of the header that say nothing about contents.
    println!("of 500 flips {} were reported and {} were harmless", reported + 100, 400 - reported);
    assert!(reported > 200, "{reported}");
}

/// A byte of SQLite's log that has not been moved into the file yet: SQLite drops what comes after it. That is an end
/// that was cut off, so the checkpoint that was kept reports it, or every table still has the same contents.
#[test]
fn a_flipped_byte_in_the_newest_writes_is_seen_by_a_checkpoint_that_was_kept() {
    let sample = Sample::with_rounds(2);
    // So that the log holds what follows, and no frames that it has done with.
    copy_ledger(&sample, &sample.state.path().join("moved"));
    sample.round(2);
    let kept = sample.publish();
    let read = |name: &str| fs::read(sample.state.path().join(name)).unwrap();
    let (file, log) = (read("ledger.db"), read("ledger.db-wal"));
    let place = |log: &[u8]| {
        let place = crate::scratch();
        crate::private::write_new(&place.path().join("ledger.db"), &file, false).unwrap();
        crate::private::write_new(&place.path().join("ledger.db-wal"), log, false).unwrap();
        place
    };
    let contents = dump(&place(&log).path().join("ledger.db")).unwrap();
    let mut reported = 0;
    for number in 0..60 {
        let mut bytes = log.clone();
        bytes[drawn(number, log.len())] ^= u8::try_from(1 + drawn(number + 1000, 255)).unwrap();
        let place = place(&bytes);
        let findings = match Ledger::open(place.path()) {
            Ok(ledger) => {
                let nowhere = place.path().join("tiles");
                sample::check(&ledger, &sample.host, &sample.log, Some(&kept), &nowhere).findings
            }
            Err(error) => vec![error.to_string()],
        };
        if findings.is_empty() {
            let same = dump(&place.path().join("ledger.db")).as_ref() == Some(&contents);
            assert!(same, "flip {number} was not seen");
        } else {
            reported += 1;
        }
    }
    assert!(reported > 30, "{reported}");
}
