//! Small bodies of evidence that lie in the ledger's own file, and the one place to read a body from.
//!
//! A read-only run writes nothing but its ledger transaction, so what it keeps goes with it, packed into the run's row of
//! `kept`. The bodies of other runs, and long ones, are files of the content store ([`crate::content`]). A pack is read by
//! counting: for each body the length of its name (one byte), its own length (four bytes, the highest first), the name,
//! and the bytes. The row's seal covers it, and the receipt has the salted digest of each body.

use rusqlite::OptionalExtension;

use super::{Ledger, LedgerError};
use crate::content;
use crate::private::{self, FileError};

/// How many bytes of bodies a run may have in the ledger's file. More of them are files.
pub const MOST_SMALL: usize = 64 << 10;

/// The small bodies of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    pack: Vec<u8>,
    bytes: u64,
}

impl Bodies {
    /// Adds a body.
    ///
    /// # Errors
    ///
    /// A name that is not plain, or more than [`MOST_SMALL`] bytes in all.
    pub fn add(&mut self, name: &str, body: &[u8]) -> Result<(), FileError> {
        private::check_name(name)?;
        let too_large = || FileError::TooLarge { path: name.into(), limit: MOST_SMALL as u64 };
        let bytes = self.bytes + body.len() as u64;
        if bytes > MOST_SMALL as u64 {
            return Err(too_large());
        }
        self.pack.reserve(5 + name.len() + body.len());
        self.pack.push(u8::try_from(name.len()).map_err(|_| too_large())?);
        self.pack.extend(u32::try_from(body.len()).map_err(|_| too_large())?.to_be_bytes());
        self.pack.extend(name.as_bytes());
        self.pack.extend(body);
        self.bytes = bytes;
        Ok(())
    }

    /// The bytes of all bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn pack(&self) -> &[u8] {
        &self.pack
    }
}

/// The body of a name in a pack; the inner none where it has no such body, the outer one where it is no pack.
fn unpack<'a>(mut pack: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    while let Some((name_length, rest)) = pack.split_first() {
        let (length, rest) = rest.split_first_chunk()?;
        let (its_name, rest) = rest.split_at_checked(usize::from(*name_length))?;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if its_name == name.as_bytes() {
            return Some(Some(body));
        }
        pack = rest;
    }
    Some(None)
}

impl Ledger {
    /// A body of a run, and none where it was never kept or has been erased.
    ///
    /// # Errors
    ///
    /// A name or run key that is not plain, a file that is not ours, not 0600 or too large, or a ledger that cannot be
    /// read.
    pub fn body(&self, run: &str, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        private::check_name(name)?;
        let pack: Option<Option<Vec<u8>>> = self.read(|connection| {
            let query = "SELECT bodies FROM kept WHERE receipt = (SELECT receipt FROM runs WHERE key = ?1)";
            Ok(connection.prepare_cached(query)?.query_row([run], |row| row.get(0)).optional()?)
        })?;
        let Some(Some(pack)) = pack else { return Ok(content::get(&self.state, run, name)?) };
        match unpack(&pack, name) {
            Some(Some(body)) => Ok(Some(body.to_vec())),
            Some(None) => Ok(content::get(&self.state, run, name)?),
            None => {
                Err(LedgerError::RunState { run: run.into(), what: "has evidence that was damaged on disk" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies_come_back_by_their_names() {
        let mut bodies = Bodies::default();
        for (name, body) in [("a", b"1".as_slice()), ("b", b""), ("long-name.json", &[7; 5000])] {
            bodies.add(name, body).unwrap();
        }
        assert_eq!(bodies.bytes(), 5001);
        let get = |name| unpack(bodies.pack(), name).unwrap();
        assert_eq!((get("a"), get("b"), get("c")), (Some(b"1".as_slice()), Some(b"".as_slice()), None));
        assert_eq!(get("long-name.json").unwrap(), [7; 5000]);
    }

    #[test]
    fn there_is_no_room_for_more_and_none_for_names_that_lead_away() {
        let mut bodies = Bodies::default();
        bodies.add("a", &[0; MOST_SMALL - 1]).unwrap();
        let before = bodies.clone();
        assert!(bodies.add("b", b"12").is_err());
        assert!(bodies.add("../b", b"").is_err());
        assert_eq!(bodies, before);
        bodies.add("b", b"1").unwrap();
    }

    proptest! {
        #[test]
        fn what_is_no_pack_is_not_read_beyond_its_end(pack: Vec<u8>, name in "[a-z]{0,3}") {
            if let Some(Some(body)) = unpack(&pack, &name) {
                prop_assert!(body.len() + name.len() + 5 <= pack.len());
            }
        }
    }
}
