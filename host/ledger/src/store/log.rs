//! The log in the ledger's file: entries, the tree's hashes beside them, and the checkpoints that were signed.
//!
//! Hashes are kept by their place in the order of Crosby and Wallach, in which an append only adds (two rows on
//! average) and every proof reads as many rows as the tree is high. They are derived: the check makes them again.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction};
use tlog_tiles::{
    Error as TreeError, Hash, HashReader, prove_record, record_hash, stored_hash_count, stored_hash_index,
    stored_hashes_for_record_hash, tree_hash,
};

use super::seals::Seal;
use super::{Durability, Ledger, LedgerError, now, sequence};
use crate::digest::Digest;
use crate::log::leaf::{Kind, Leaf};
use crate::log::proof::{MEDIA_TYPE, ReceiptProof, TlogProof};
use crate::log::{Checkpoint, LogKey, LogVerifier};

pub(super) const NEXT_SEQUENCE: &str = "SELECT coalesce(max(sequence), 0) + 1 FROM entries";
pub(super) const INSERT_ENTRY: &str = "INSERT INTO entries(sequence, kind, run, at, envelope, digest, seal)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const INSERT_HASH: &str = "INSERT INTO hashes(place, hash) VALUES (?1, ?2)";
pub(super) const READ_HASH: &str = "SELECT hash FROM hashes WHERE place = ?1";

/// The sequence that the next entry will have. It is reserved as long as the transaction lasts.
pub(super) fn next_sequence(transaction: &Transaction<'_>) -> Result<i64, LedgerError> {
    let mut next = transaction.prepare_cached(NEXT_SEQUENCE)?;
    Ok(next.query_row([], |row| row.get(0))?)
}

/// Appends a signed bundle to the log under the next sequence, with its leaf's place in the tree.
pub(super) fn append(
    transaction: &Transaction<'_>,
    kind: Kind,
    run: &str,
    bundle: &[u8],
) -> Result<i64, LedgerError> {
    let sequence = next_sequence(transaction)?;
    append_at(transaction, sequence, kind, run, bundle)?;
    Ok(sequence)
}

/// The same under a sequence that [`next_sequence`] gave in this transaction.
pub(super) fn append_at(
    transaction: &Transaction<'_>,
    sequence: i64,
    kind: Kind,
    run: &str,
    bundle: &[u8],
) -> Result<(), LedgerError> {
    let (at, digest) = (now(), Digest::of(bundle));
    let digest_text = digest.to_string();
    let seal = entry_seal(sequence, kind.word(), run, &at, &digest_text);
    let mut insert = transaction.prepare_cached(INSERT_ENTRY)?;
    insert.execute((sequence, kind.word(), run, at, bundle, digest_text, seal))?;
    let leaf = Leaf::new(kind, run, &digest).to_bytes()?;
    add_hashes(transaction, sequence.unsigned_abs() - 1, record_hash(&leaf))
}

/// The seal of an entry; its envelope is covered by its digest.
pub(super) fn entry_seal(sequence: i64, kind: &str, run: &str, at: &str, digest: &str) -> [u8; 16] {
    let mut seal = Seal::default();
    seal.add("sequence", ValueRef::Integer(sequence));
    for (name, text) in [("kind", kind), ("run", run), ("at", at), ("digest", digest)] {
        seal.add(name, ValueRef::Text(text.as_bytes()));
    }
    seal.end()
}

/// Adds the hash of leaf `index`, and of each subtree that it completes.
fn add_hashes(connection: &Connection, index: u64, leaf: Hash) -> Result<(), LedgerError> {
    let first = stored_hash_index(0, index);
    let hashes = stored_hashes_for_record_hash(index, leaf, &Hashes(connection))?;
    let mut insert = connection.prepare_cached(INSERT_HASH)?;
    for (place, hash) in (first..).zip(hashes) {
        insert.execute((place.cast_signed(), hash.0))?;
    }
    Ok(())
}

/// The tree's hashes, as the proofs read them.
pub(super) struct Hashes<'a>(pub(super) &'a Connection);

impl Hashes<'_> {
    fn read(&self, places: &[u64]) -> rusqlite::Result<Vec<Hash>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = self.0.prepare_cached(READ_HASH)?;
        let hash = |place: &u64| statement.query_row([place.cast_signed()], |row| row.get(0)).map(Hash);
        places.iter().map(hash).collect()
    }
}

impl HashReader for Hashes<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, TreeError> {
        self.read(places).map_err(|error| TreeError::InvalidInput(error.to_string()))
    }
}

/// How many entries there are.
pub(super) fn size(connection: &Connection) -> Result<u64, LedgerError> {
    let query = "SELECT coalesce(max(sequence), 0) FROM entries";
    Ok(sequence(connection.query_row(query, [], |row| row.get(0))?))
}

/// The root of the tree over the first `size` entries.
pub(super) fn root(connection: &Connection, size: u64) -> Result<Digest, LedgerError> {
    Ok(Digest::from(tree_hash(size, &Hashes(connection))?.0))
}

/// The newest checkpoint, and none where none was signed.
fn newest(connection: &Connection, verifier: &LogVerifier) -> Result<Option<Checkpoint>, LedgerError> {
    let query = "SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1";
    let note: Option<String> = connection.query_row(query, [], |row| row.get(0)).optional()?;
    note.map(|note| Checkpoint::open(note.as_bytes(), verifier).map_err(LedgerError::from)).transpose()
}

impl Ledger {
    /// How many entries the log has.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn size(&self) -> Result<u64, LedgerError> {
        self.read(size)
    }

    /// The log's key: made when the first command needs it, and never again once it has signed something.
    ///
    /// # Errors
    ///
    /// A file that cannot be used, or one that is gone though there are checkpoints.
    pub fn log_key(&self) -> Result<LogKey, LedgerError> {
        let signed: bool = self.read(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM checkpoints)";
            Ok(connection.query_row(query, [], |row| row.get(0))?)
        })?;
        let load = if signed { LogKey::load } else { LogKey::load_or_create };
        Ok(load(&self.state, &self.id)?)
    }

    /// Signs a checkpoint of the log as it is now; the newest one, where nothing was added since. Durable.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Tree`] where the tree is not the one that the newest checkpoint states.
    pub fn checkpoint(&self, key: &LogKey) -> Result<Checkpoint, LedgerError> {
        self.write(Durability::Durable, |transaction| {
            let size = size(transaction)?;
            if let Some(newest) = newest(transaction, key.verifier())? {
                if newest.size > size || root(transaction, newest.size)? != newest.root {
                    let what = "its newest checkpoint states another history";
                    return Err(LedgerError::Tree { what });
                }
                if newest.size == size {
                    return Ok(newest);
                }
            }
            let signed = Checkpoint::sign(size, &root(transaction, size)?, key)?;
            transaction.execute(
                "INSERT INTO checkpoints(size, root, note, at) VALUES (?1, ?2, ?3, ?4)",
                (size.cast_signed(), signed.root.to_string(), &signed.note, now()),
            )?;
            Ok(signed)
        })
    }

    /// The newest checkpoint, and none where none was signed.
    ///
    /// # Errors
    ///
    /// SQLite's, or a checkpoint that this key did not sign.
    pub fn newest_checkpoint(&self, verifier: &LogVerifier) -> Result<Option<Checkpoint>, LedgerError> {
        self.read(|connection| newest(connection, verifier))
    }

    /// Makes the tree's hashes again from the entries. Durable. Returns how many were not right.
    ///
    /// # Errors
    ///
    /// An entry that is not what it was.
    pub fn rebuild_hashes(&self) -> Result<u64, LedgerError> {
        self.write(Durability::Durable, |transaction| {
            let size = size(transaction)?;
            let surplus = "DELETE FROM hashes WHERE place >= ?1";
            let mut changed = transaction.execute(surplus, [stored_hash_count(size).cast_signed()])?;
            let mut put = transaction.prepare(
                "INSERT INTO hashes(place, hash) VALUES (?1, ?2)
                 ON CONFLICT (place) DO UPDATE SET hash = ?2 WHERE hash IS NOT ?2",
            )?;
            for entry in 1..=size {
                let leaf = record_hash(&leaf(transaction, entry)?);
                let hashes = stored_hashes_for_record_hash(entry - 1, leaf, &Hashes(transaction))?;
                for (place, hash) in (stored_hash_index(0, entry - 1)..).zip(hashes) {
                    changed += put.execute((place.cast_signed(), hash.0))?;
                }
            }
            Ok(u64::try_from(changed).unwrap_or(u64::MAX))
        })
    }

    /// The receipt of a run, its leaf and the proof that it is under a checkpoint, as one file.
    ///
    /// # Errors
    ///
    /// As [`Ledger::receipt`] and [`Ledger::prove`].
    pub fn receipt_proof(&self, run: &str, under: &Checkpoint) -> Result<ReceiptProof, LedgerError> {
        let receipt = self.receipt(run)?;
        let (leaf, proof) = self.prove(receipt.summary.sequence, under)?;
        let damaged = |_| LedgerError::Tree { what: "an entry was damaged on disk" };
        Ok(ReceiptProof {
            media_type: MEDIA_TYPE.into(),
            bundle: String::from_utf8(receipt.bundle).map_err(damaged)?,
            leaf: String::from_utf8(leaf).map_err(damaged)?,
            tlog_proof: proof.to_text(),
        })
    }

    /// The leaf of an entry, and the proof that it is under a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Tree`] for an entry that the checkpoint does not cover, or a tree that is not the
    /// checkpoint's.
    pub fn prove(&self, entry: u64, under: &Checkpoint) -> Result<(Vec<u8>, TlogProof), LedgerError> {
        self.read(|connection| {
            let index = entry.checked_sub(1).filter(|index| *index < under.size);
            let index = index.ok_or(LedgerError::Tree { what: "the checkpoint does not cover the entry" })?;
            let leaf = leaf(connection, entry)?;
            let path = prove_record(under.size, index, &Hashes(connection))?;
            tlog_tiles::check_record(
                &path,
                under.size,
                Hash(*under.root.bytes()),
                index,
                record_hash(&leaf),
            )?;
            let path = path.into_iter().map(|hash| hash.0).collect();
            Ok((leaf, TlogProof { index, path, checkpoint: under.note.clone() }))
        })
    }
}

/// The bytes of an entry's leaf, made again from the entry.
fn leaf(connection: &Connection, entry: u64) -> Result<Vec<u8>, LedgerError> {
    let query = "SELECT kind, run, digest FROM entries WHERE sequence = ?1";
    let (kind, run, digest): (String, String, String) =
        connection
            .query_row(query, [entry.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    leaf_of(&kind, &run, &digest)
}

/// The bytes of the leaf for an entry's columns.
pub(super) fn leaf_of(kind: &str, run: &str, digest: &str) -> Result<Vec<u8>, LedgerError> {
    let damaged = || LedgerError::Tree { what: "an entry was damaged on disk" };
    let kind = Kind::from_word(kind).ok_or_else(damaged)?;
    let digest: Digest = digest.parse().map_err(|_| damaged())?;
    Ok(Leaf::new(kind, run, &digest).to_bytes()?)
}

#[cfg(test)]
mod tests;
