use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tlog_tiles::{check_record, check_tree, prove_tree};

use super::*;
use crate::store::sample::Sample;

/// The leaves of the tree in RFC 6962's own test vectors, as Certificate Transparency's implementations have them.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The roots over the first 1 to 8 of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn tree() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::connect::SCHEMA).unwrap();
    connection
}

#[test]
fn roots_are_those_of_the_vectors() {
    let connection = tree();
    for (index, (leaf, expected)) in LEAVES.iter().zip(ROOTS).enumerate() {
        let index = u64::try_from(index).unwrap();
        add_hashes(&connection, index, record_hash(&hex::decode(leaf).unwrap())).unwrap();
        assert_eq!(root(&connection, index + 1).unwrap().hex(), expected, "{} leaves", index + 1);
    }
    assert_eq!(root(&connection, 0).unwrap(), Digest::of(b""), "the empty tree");
}

/// The tree as RFC 6962 section 2.1 defines it, by splitting, and nothing kept.
fn naive(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => Sha256::new().chain_update([0]).chain_update(leaf).finalize().into(),
        leaves => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            Sha256::new()
                .chain_update([1])
                .chain_update(naive(left))
                .chain_update(naive(right))
                .finalize()
                .into()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// For any size, older size and leaf: the root is the naive tree's, inclusion and consistency are proven, and
    /// neither proof holds for another leaf or another root.
    #[test]
    fn proofs_hold_for_what_they_are_of(size in 1..400_u64, older in any::<u64>(), leaf in any::<u64>()) {
        let (older, leaf) = (1 + older % size, leaf % size);
        let connection = tree();
        let leaves: Vec<Vec<u8>> = (0..size).map(|index| index.to_be_bytes().to_vec()).collect();
        for (index, leaf) in (0..).zip(&leaves) {
            add_hashes(&connection, index, record_hash(leaf)).unwrap();
        }
        let at = |size: u64| naive(&leaves[..usize::try_from(size).unwrap()]);
        prop_assert_eq!(root(&connection, size).unwrap(), Digest::from(at(size)));
        prop_assert_eq!(root(&connection, older).unwrap(), Digest::from(at(older)));

        let hashes = Hashes(&connection);
        let (new, old) = (Hash(at(size)), Hash(at(older)));
        let included = prove_record(size, leaf, &hashes).unwrap();
        let hash = record_hash(&leaf.to_be_bytes());
        prop_assert!(check_record(&included, size, new, leaf, hash).is_ok());
        prop_assert!(check_record(&included, size, new, leaf, record_hash(b"other")).is_err());
        prop_assert!(check_record(&included, size, Hash([7; 32]), leaf, hash).is_err());
        let consistent = prove_tree(size, older, &hashes).unwrap();
        prop_assert!(check_tree(&consistent, size, new, older, old).is_ok());
        prop_assert!(check_tree(&consistent, size, new, older, Hash([7; 32])).is_err());
    }
}

#[test]
fn each_entry_is_proven_under_each_checkpoint_that_covers_it() {
    let sample = Sample::new();
    let mut checkpoints = Vec::new();
    for number in 0..4 {
        sample.round(number);
        checkpoints.push(sample.ledger.checkpoint(&sample.log).unwrap());
    }
    let size = sample.ledger.size().unwrap();
    for checkpoint in &checkpoints {
        for entry in 0..=size {
            let proven = sample.ledger.prove(entry, checkpoint);
            if entry == 0 || entry > checkpoint.size {
                assert!(matches!(proven, Err(LedgerError::Tree { .. })), "{entry} of {}", checkpoint.size);
                continue;
            }
            let (leaf, proof) = proven.unwrap();
            let (_, under) = proof.check(&leaf, sample.log.verifier()).unwrap();
            assert_eq!((proof.index, under.size), (entry - 1, checkpoint.size));
        }
    }
    let kinds = |kind: Kind| {
        sample
            .ledger
            .read(|connection| {
                let query = "SELECT count(*) FROM entries WHERE kind = ?1";
                Ok(connection.query_row(query, [kind.word()], |row| row.get::<_, i64>(0))?)
            })
            .unwrap()
    };
    let counted = [Kind::Receipt, Kind::Denial, Kind::Recovery, Kind::Intent, Kind::Approval].map(kinds);
    assert_eq!(counted, [12, 4, 4, 8, 4], "of every round three receipts, and one or two of the others");
}

#[test]
fn a_checkpoint_is_signed_once_for_each_size() {
    let sample = Sample::new();
    let empty = sample.ledger.checkpoint(&sample.log).unwrap();
    assert_eq!((empty.size, empty.root), (0, Digest::of(b"")));
    sample.round(0);
    let first = sample.ledger.checkpoint(&sample.log).unwrap();
    assert_eq!(sample.ledger.checkpoint(&sample.log).unwrap(), first);
    assert_eq!(sample.ledger.newest_checkpoint(sample.log.verifier()).unwrap(), Some(first));
    assert_eq!(sample.check(None).findings, [""; 0]);
}

#[test]
fn checkpoints_of_two_writers_agree() {
    let sample = Sample::new();
    let notes: Vec<Checkpoint> = std::thread::scope(|scope| {
        let write = |from: u64| {
            let ledger = Ledger::open(sample.state.path()).unwrap();
            (0..5)
                .map(|number| {
                    sample.round(from + number);
                    ledger.checkpoint(&sample.log).unwrap()
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = [0, 1000].map(|from| scope.spawn(move || write(from))).into();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for note in &notes {
        assert_eq!(sample.check(Some(note)).findings, [""; 0], "{}", note.size);
    }
}

/// Fills a ledger with real receipts and prints how long what people wait for takes: run it with
/// `cargo test -p ops-ledger --lib -- --ignored --nocapture hundred_thousand`.
#[test]
#[ignore = "not run: it takes a minute and prints figures for people; make bench-more runs it"]
#[expect(clippy::print_stdout, reason = "the figures are for people")]
fn a_hundred_thousand_receipts() {
    use std::time::{Duration, Instant};
    let sample = Sample::new();
    let file = sample.state.path().join("ledger.db");
    let mut grown = Vec::new();
    for part in 1..=4_u64 {
        let start = Instant::now();
        for round in (part - 1) * 3125..part * 3125 {
            sample.round(round);
        }
        let spent = start.elapsed();
        let connection = Connection::open(&file).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let bytes = file.metadata().unwrap().len();
        grown.push(bytes);
        println!(
            "{:>6} entries: {bytes} bytes, {} per entry; {spent:?}",
            part * 25_000,
            bytes / (part * 25_000)
        );
    }
    let best = |work: &dyn Fn()| {
        let once = || {
            let start = Instant::now();
            work();
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap_or(Duration::MAX)
    };
    let open = best(&|| assert_eq!(Ledger::open(sample.state.path()).unwrap().dangling().unwrap().len(), 0));
    let key = "CAP-20261122-006000__communications.mail.send.test__Rread";
    let show = best(&|| assert_eq!(sample.ledger.receipt(key).unwrap().summary.run, key));
    let show_end = best(&|| assert!(sample.ledger.receipt("Rnothing").is_err()));
    let checkpoint = sample.ledger.checkpoint(&sample.log).unwrap();
    let prove = best(&|| assert!(sample.ledger.receipt_proof(key, &checkpoint).is_ok()));
    println!(
        "open and recover {open:?}; show by key {show:?}; show by its end {show_end:?}; prove {prove:?}"
    );
    let start = Instant::now();
    let files = sample.ledger.write_tiles(&sample.tiles(), &checkpoint, false).unwrap();
    println!("{files} files of the log in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(sample.check(None).findings, [""; 0]);
    println!("the whole check in {:?}", start.elapsed());
    assert!(open < Duration::from_secs(1) && show_end < Duration::from_millis(50));
    assert!(prove < Duration::from_millis(10));
    let quarters: Vec<u64> = grown.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(quarters.iter().all(|quarter| quarter.abs_diff(grown[0]) < grown[0] / 10), "{grown:?}");
}
