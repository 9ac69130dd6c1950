//! Each entry of the log, and the tree over all of them, in one pass.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, Rows};
use serde::de::DeserializeOwned;
use tlog_tiles::{EMPTY_HASH, Hash, node_hash, record_hash};

use super::{Against, Checked, RESTORE, tables};
use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::log::{Checkpoint, Kind};
use crate::receipt::{Receipt, Status};
use crate::statement::{Intent, PlanApproval, STATEMENT_TYPE, Statement};
use crate::store::log::{entry_seal, leaf_of};
use crate::store::{LedgerError, sequence};

/// An entry as it is stored.
struct Entry {
    sequence: u64,
    kind: String,
    run: String,
    digest: String,
    envelope: Vec<u8>,
    sealed: bool,
}

/// What an entry states, once its signature was checked.
pub(super) enum Stated {
    Receipt(Box<Statement<Receipt>>),
    Intent(Box<Statement<Intent>>),
    Approval(Box<Statement<PlanApproval>>),
}

/// Reads every entry, and compares what the tree over them comes to with hashes and checkpoints.
pub(super) fn check(
    connection: &Connection,
    ledger: &str,
    against: &Against<'_>,
    checked: &mut Checked,
) -> Result<(), LedgerError> {
    let mut due = checkpoints(connection, against, checked)?;
    let mut stored = connection.prepare("SELECT place, hash FROM hashes ORDER BY place")?;
    let mut stored = StoredHashes { rows: stored.query([])?, next: 0, damaged: false };
    let mut entries = connection
        .prepare("SELECT sequence, kind, run, at, digest, envelope, seal FROM entries ORDER BY sequence")?;
    let mut rows = entries.query([])?;
    let mut tree = Tree::default();
    let mut seen = tables::Seen::default();
    tree.compare(&mut due, checked);
    while let Some(row) = rows.next()? {
        let at = tree.size + 1;
        match read(row) {
            Ok(entry) => {
                if let Err(finding) = check_entry(connection, ledger, against.host, at, &entry, &mut seen) {
                    checked.find(format!(
                        "entry {at}, the {} of {}: {finding}; {RESTORE}",
                        entry.kind, entry.run
                    ));
                }
                let leaf = leaf_of(&entry.kind, &entry.run, &entry.digest).unwrap_or_default();
                stored.compare(&tree.push(record_hash(&leaf)))?;
            }
            Err(error) => {
                checked.find(format!("entry {at} cannot be read: {error}; {RESTORE}"));
                stored.compare(&tree.push(record_hash(&[])))?;
            }
        }
        tree.compare(&mut due, checked);
    }
    if stored.damaged || stored.rows.next()?.is_some() {
        checked.find("the stored hashes of the tree are not those of the entries; run ops ledger rebuild");
    }
    for size in due.into_keys() {
        checked.find(format!(
            "a checkpoint states {size} entries and the log has {}: its end was cut off; {RESTORE}",
            tree.size
        ));
    }
    checked.root = Some(Digest::from(tree.root().0));
    seen.compare(connection, checked)
}

/// The checkpoints that the log must agree with, by their sizes.
fn checkpoints(
    connection: &Connection,
    against: &Against<'_>,
    checked: &mut Checked,
) -> Result<BTreeMap<u64, Vec<Digest>>, LedgerError> {
    let mut due: BTreeMap<u64, Vec<Digest>> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT size, root, note FROM checkpoints ORDER BY size")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (size, root, note): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        checked.checkpoints += 1;
        let Some(verifier) = against.log else {
            checked.find(format!(
                "the checkpoint of {size} entries cannot be checked without log.key; put the key back from a backup"
            ));
            continue;
        };
        match Checkpoint::open(note.as_bytes(), verifier) {
            Ok(signed) if signed.size == sequence(size) && signed.root.to_string() == root => {
                due.entry(signed.size).or_default().push(signed.root);
            }
            Ok(_) => checked
                .find(format!("the checkpoint of {size} entries states another size or root; {RESTORE}")),
            Err(error) => checked.find(format!("the checkpoint of {size} entries: {error}; {RESTORE}")),
        }
    }
    if let Some(since) = against.since {
        checked.checkpoints += 1;
        let roots = due.entry(since.size).or_default();
        // Each checkpoint is committed before it is handed out.
        if !roots.contains(&since.root) {
            checked.find(format!(
                "the ledger does not remember the checkpoint of {} entries that was kept: its newest writes were lost, \
                 or it was replaced; {RESTORE}",
                since.size
            ));
        }
        roots.push(since.root);
    }
    Ok(due)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let number: i64 = row.get(0)?;
    let (kind, run, at, digest): (String, String, String, String) =
        (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
    let seal: Vec<u8> = row.get(6)?;
    let sealed = seal == entry_seal(number, &kind, &run, &at, &digest);
    Ok(Entry { sequence: sequence(number), kind, run, digest, envelope: row.get(5)?, sealed })
}

fn check_entry(
    connection: &Connection,
    ledger: &str,
    host: &PublicKey,
    at: u64,
    entry: &Entry,
    seen: &mut tables::Seen,
) -> Result<(), String> {
    if entry.sequence != at {
        return Err(format!("it has the number {}", entry.sequence));
    }
    if !entry.sealed {
        return Err("its columns are not as they were written".into());
    }
    if Digest::of(&entry.envelope).to_string() != entry.digest {
        return Err("its bundle was changed".into());
    }
    let kind = Kind::from_word(&entry.kind).ok_or("it is of no known kind")?;
    let stated = stated(&entry.envelope, host, kind)?;
    let (its_ledger, its_run) = match &stated {
        Stated::Receipt(receipt) => {
            let receipt = &receipt.predicate;
            if receipt.ledger.sequence != at {
                return Err(format!("it says of itself that it is entry {}", receipt.ledger.sequence));
            }
            if kind != Kind::Recovery && (kind == Kind::Denial) != (receipt.run.status == Status::Denied) {
                return Err("its status and its kind do not go together".into());
            }
            (&receipt.ledger.id, Some(&receipt.run.id))
        }
        Stated::Intent(intent) => (&intent.predicate.ledger, Some(&intent.predicate.run)),
        Stated::Approval(approval) => (&approval.predicate.ledger, None),
    };
    if its_ledger != ledger {
        return Err("it is of another ledger".into());
    }
    if its_run.is_some_and(|run| *run != entry.run) {
        return Err("it is of another run".into());
    }
    tables::check_entry(connection, at, &entry.run, &stated, seen)
}

/// The Statement in a bundle, if the host signed it and it is of the kind that the entry says.
fn stated(envelope: &[u8], host: &PublicKey, kind: Kind) -> Result<Stated, String> {
    let bundle = Bundle::parse(envelope).map_err(|error| error.to_string())?;
    let payload = bundle.dsse_envelope.verify(host).map_err(|error| error.to_string())?;
    match kind {
        Kind::Intent => parse(&payload, kind).map(|statement| Stated::Intent(Box::new(statement))),
        Kind::Approval => parse(&payload, kind).map(|statement| Stated::Approval(Box::new(statement))),
        Kind::Receipt | Kind::Denial | Kind::Recovery => {
            parse(&payload, kind).map(|statement| Stated::Receipt(Box::new(statement)))
        }
    }
}

fn parse<P: DeserializeOwned>(payload: &[u8], kind: Kind) -> Result<Statement<P>, String> {
    let statement: Statement<P> = serde_json::from_slice(payload)
        .map_err(|error| format!("its statement does not follow its schema: {error}"))?;
    if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != kind.predicate_type() {
        return Err("its statement is of another type".into());
    }
    Ok(statement)
}

/// The tree so far: its complete subtrees, the largest first, each with its height.
#[derive(Default)]
struct Tree {
    size: u64,
    subtrees: Vec<(u32, Hash)>,
}

impl Tree {
    /// Adds a leaf, and returns the hashes that are stored for it.
    fn push(&mut self, leaf: Hash) -> Vec<Hash> {
        let (mut height, mut hash) = (0, leaf);
        let mut stored = vec![hash];
        while let Some((_, left)) = self.subtrees.pop_if(|(left, _)| *left == height) {
            hash = node_hash(left, hash);
            height += 1;
            stored.push(hash);
        }
        self.subtrees.push((height, hash));
        self.size += 1;
        stored
    }

    fn root(&self) -> Hash {
        let hashes = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        hashes.reduce(|right, left| node_hash(left, right)).unwrap_or(EMPTY_HASH)
    }

    /// Compares the root with the checkpoints of this size.
    fn compare(&self, due: &mut BTreeMap<u64, Vec<Digest>>, checked: &mut Checked) {
        let root = Digest::from(self.root().0);
        for stated in due.remove(&self.size).unwrap_or_default() {
            if stated != root {
                checked.find(format!(
                    "the first {} entries are not those that a checkpoint was signed over: history was rewritten; \
                     {RESTORE}",
                    self.size
                ));
            }
        }
    }
}

/// The hashes in the ledger's file, read along with the entries.
struct StoredHashes<'a> {
    rows: Rows<'a>,
    next: i64,
    damaged: bool,
}

impl StoredHashes<'_> {
    fn compare(&mut self, expected: &[Hash]) -> Result<(), LedgerError> {
        for hash in expected {
            let found = match self.rows.next()? {
                Some(row) => row.get(0).ok().zip(row.get::<_, [u8; 32]>(1).ok()),
                None => None,
            };
            self.damaged |= found != Some((self.next, hash.0));
            self.next += 1;
        }
        Ok(())
    }
}
