//! Secrets: where they come from, and how they stay out of everything else.
//!
//! A secret is read at the moment of need from the place that `ops.yaml` names: a variable, a file, a credential of
//! the service manager (here), or Infisical ([`crate::infisical`]). Wherever it came from, the value is checked in
//! this order: not empty, not too long, UTF-8, one line without control characters, long enough to be found again in
//! a text.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

mod file;
mod source;

pub(crate) use source::is_plain;
pub use source::{SecretSource, SourceError};

/// The longest secret, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;

/// The shortest secret, in bytes. A shorter one would be "found" all over harmless text and shred it.
pub const FEWEST_BYTES: usize = 6;

/// A secret's value. It is wiped when dropped and shows its name only.
#[derive(Clone)]
pub struct Secret {
    name: String,
    value: Zeroizing<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[secret {}]", self.name)
    }
}

/// Why a secret cannot be used. It never holds any part of the value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` ({from}): {why}")]
pub struct SecretError {
    name: String,
    from: String,
    why: String,
}

impl SecretError {
    pub(crate) fn new(name: &str, from: &dyn fmt::Display, why: String) -> Self {
        Self { name: name.to_owned(), from: from.to_string(), why }
    }
}

impl Secret {
    /// A secret from a value that was read; the error says what is wrong with it.
    pub(crate) fn checked(name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Self, String> {
        checked(bytes).map(|value| Self { name: name.to_owned(), value })
    }

    /// The name under which `ops.yaml` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether two secrets have the same value, whatever their names: one that was read again may have changed.
    pub fn same_value(&self, other: &Self) -> bool {
        self.value == other.value
    }

    /// The value. Hand it to the wire and to nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.value
    }

    #[cfg(test)]
    pub(crate) fn for_test(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: Zeroizing::new(value.to_owned()) }
    }
}

/// Reads a secret that is kept on this machine. `base` is the folder of `ops.yaml`.
///
/// # Errors
///
/// The variable is not set; the file is not a regular one, belongs to somebody else, is open to others or cannot be
/// read; the service manager gave us no such credential; the value is empty, too short, too long, not one line of
/// UTF-8, or holds control characters; or the secret is kept in Infisical, which [`crate::infisical::read`] asks.
pub fn read(name: &str, source: &SecretSource, base: &Path) -> Result<Secret, SecretError> {
    let value = match source {
        SecretSource::Env(variable) => from_environment(variable),
        SecretSource::File(path) => file::read(&base.join(path), file::Keeper::Operator),
        SecretSource::Systemd(credential) => {
            file::credential(std::env::var_os("CREDENTIALS_DIRECTORY").as_deref(), credential)
        }
        SecretSource::Infisical(_) => Err("is not kept on this machine".to_owned()),
    };
    value.and_then(|bytes| Secret::checked(name, bytes)).map_err(|why| SecretError::new(name, source, why))
}

fn from_environment(variable: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let value = std::env::var_os(variable).ok_or("the variable is not set")?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, String> {
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    if bytes.len() > MOST_BYTES {
        return Err(format!("is longer than {MOST_BYTES} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if bytes.len() < FEWEST_BYTES {
        return Err(format!(
            "is shorter than {FEWEST_BYTES} bytes, too short to be told from other text when answers are scrubbed; \
             use a longer secret"
        ));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(bytes: &[u8]) -> Result<Secret, String> {
        Secret::checked("mail", Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_and_not_shown() {
        let too_long = vec![b'x'; MOST_BYTES + 1];
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"hunt2", "too short"),
            (b"hunter2\n", "control character"),
            (b"hunter2\r", "control character"),
            (b"hunter2\r\nX-Evil: 1", "control character"),
            (b"hunter2\0", "control character"),
            ("hunter2\u{85}".as_bytes(), "control character"),
            (b"hunter2\xff", "not UTF-8"),
            (&too_long, "longer than 65536"),
        ] {
            let error = judged(bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("hunt"), "{error}");
        }
        assert!(judged(&vec![b'x'; MOST_BYTES]).is_ok());
        assert_eq!(judged("\u{fc}ber-p\u{e4}ss \\\"%+/<>&".as_bytes()).unwrap().name(), "mail");
    }

    #[test]
    fn a_variable_is_read_from_the_host() {
        // Cargo sets this one; setting one of our own would race with other tests.
        let secret = read("mail", &SecretSource::Env("CARGO_PKG_NAME".to_owned()), Path::new("/")).unwrap();
        assert_eq!(secret.expose(), "ops-egress");
        let unset = SecretSource::Env("OPS_EGRESS_TEST_UNSET".to_owned());
        assert!(read("mail", &unset, Path::new("/")).unwrap_err().to_string().contains("is not set"));
    }

    #[test]
    fn infisical_is_not_asked_here() {
        let source = SecretSource::parse("infisical:demo/prod/TOKEN").unwrap();
        let error = read("mail", &source, Path::new("/")).unwrap_err().to_string();
        assert_eq!(error, "secret `mail` (infisical:demo/prod/TOKEN): is not kept on this machine");
    }

    #[test]
    fn a_value_that_changed_is_told_from_one_that_did_not() {
        let of = |name, value| Secret::for_test(name, value);
        assert!(of("a", "hunter2!").same_value(&of("b", "hunter2!")));
        assert!(!of("a", "hunter2!").same_value(&of("a", "hunter3!")));
    }

    #[test]
    fn debug_shows_the_name_only() {
        let secret = Secret::for_test("mail", "hunter2!");
        assert_eq!(format!("{secret:?}"), "[secret mail]");
    }
}
