//! Secrets: where they come from, and how they stay out of everything else.
//!
//! A secret is read at the moment of need from the place that `ops.yaml` names. A file is opened first and judged by
//! its descriptor, in this order: regular, owned by us or root, readable by its owner only, not too long. Then the
//! value itself: UTF-8, one line, no control characters, long enough to be found again in a text.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

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

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `env:NAME`: a variable in the host's own environment.
    Env(String),
    /// `file:PATH`: a file; a relative path starts at the folder of `ops.yaml`.
    File(PathBuf),
}

/// Why a secret cannot be used. It never holds any part of the value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` ({from}): {why}")]
pub struct SecretError {
    name: String,
    from: String,
    why: String,
}

/// A text that names no place for a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret comes from `env:NAME` or `file:PATH`")]
pub struct SourceError;

impl SecretSource {
    /// Parses `env:NAME` or `file:PATH`.
    ///
    /// # Errors
    ///
    /// Everything else; a name is letters, digits and underscores, and a path is not empty.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let is_variable = |name: &str| {
            !name.starts_with(|first: char| first.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(Self::File(path.into())),
            _ => Err(SourceError),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Secret {
    /// The name under which `ops.yaml` knows it.
    pub fn name(&self) -> &str {
        &self.name
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

/// Reads a secret. `base` is the folder of `ops.yaml`.
///
/// # Errors
///
/// The variable is not set; the file is not a regular one, belongs to somebody else, is open to others or cannot be
/// read; the value is empty, too short, too long, not one line of UTF-8, or holds control characters.
pub fn read(name: &str, source: &SecretSource, base: &Path) -> Result<Secret, SecretError> {
    let value = match source {
        SecretSource::Env(variable) => from_environment(variable),
        SecretSource::File(path) => from_file(&base.join(path)),
    };
    value.and_then(checked).map(|value| Secret { name: name.to_owned(), value }).map_err(|why| SecretError {
        name: name.to_owned(),
        from: source.to_string(),
        why,
    })
}

fn from_environment(variable: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let value = std::env::var_os(variable).ok_or("the variable is not set")?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    // NONBLOCK: opening a FIFO would park the thread. Symlinks are refused: they may belong to somebody else.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) => return Err("is a symlink; name the file itself".to_owned()),
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    is_private(&file)?;
    // One allocation, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 3));
    let mut limited = file.take(MOST_BYTES as u64 + 2);
    limited.read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {}", error.kind()))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

fn is_private(file: &File) -> Result<(), String> {
    let facts = file.metadata().map_err(|error| format!("cannot be examined: {}", error.kind()))?;
    let kind = facts.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a FIFO"
        } else {
            "a special file"
        };
        return Err(format!("is {what}; a secret is read from a regular file"));
    }
    if facts.uid() != 0 && facts.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    let mode = facts.mode() & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        return Err(format!("has mode {mode:04o}; make it 0600 (chmod 600)"));
    }
    Ok(())
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
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn file(dir: &TempDir, bytes: &[u8], mode: u32) -> SecretSource {
        let path = dir.path().join("secret");
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        SecretSource::File("secret".into())
    }

    #[test]
    fn sources() {
        assert_eq!(SecretSource::parse("env:MAIL_TOKEN"), Ok(SecretSource::Env("MAIL_TOKEN".to_owned())));
        assert_eq!(SecretSource::parse("file:/run/x:y"), Ok(SecretSource::File("/run/x:y".into())));
        for text in
            ["", "env:", "file:", "env:1A", "env:A=B", "env:A B", "vault:x", "MAIL_TOKEN", "file:a\0b"]
        {
            assert_eq!(SecretSource::parse(text), Err(SourceError), "{text}");
        }
    }

    #[test]
    fn a_private_file_is_read_without_its_last_newline() {
        let dir = TempDir::new().unwrap();
        for (bytes, mode, value) in [
            (&b"hunter2!"[..], 0o600, "hunter2!"),
            (b"hunter2!\n", 0o400, "hunter2!"),
            ("gr\u{fc}n-gr\u{fc}n".as_bytes(), 0o600, "gr\u{fc}n-gr\u{fc}n"),
        ] {
            let secret = read("mail", &file(&dir, bytes, mode), dir.path()).unwrap();
            assert_eq!(secret.expose(), value);
        }
        let longest = vec![b'x'; MOST_BYTES];
        assert!(read("mail", &file(&dir, &longest, 0o600), dir.path()).is_ok());
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_and_not_shown() {
        let dir = TempDir::new().unwrap();
        let too_long = vec![b'x'; MOST_BYTES + 1];
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunt2", "too short"),
            (b"hunter2\n\n", "control character"),
            (b"hunter2\r\n", "control character"),
            (b"hunter2\r\nX-Evil: 1", "control character"),
            (b"hunter2\0", "control character"),
            (b"hunter2\xff", "not UTF-8"),
            (&too_long, "longer than 65536"),
        ] {
            let error = read("mail", &file(&dir, bytes, 0o600), dir.path()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(error.starts_with("secret `mail` (file:secret): "), "{error}");
            assert!(!error.contains("hunt"), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_can_reach_is_refused() {
        let dir = TempDir::new().unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o700, 0o4600] {
            let error = read("mail", &file(&dir, b"hunter2!", mode), dir.path()).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{mode:o}: {error}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let dir = TempDir::new().unwrap();
        let source = file(&dir, b"hunter2!", 0o600);
        // Only root can give a file away; for others, root's own files are the nearest thing, and those are allowed.
        if std::os::unix::fs::chown(dir.path().join("secret"), Some(12345), None).is_ok() {
            let error = read("mail", &source, dir.path()).unwrap_err().to_string();
            assert!(error.contains("belongs to another user"), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = TempDir::new().unwrap();
        file(&dir, b"hunter2!", 0o600);
        symlink(dir.path().join("secret"), dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for (path, why) in [
            ("link", "is a symlink"),
            ("folder", "is a directory"),
            ("fifo", "is a FIFO"),
            ("missing", "cannot be opened"),
            ("/dev/null", "is a special file"),
        ] {
            let error = read("mail", &SecretSource::File(path.into()), dir.path()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
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
    fn debug_shows_the_name_only() {
        let secret = Secret::for_test("mail", "hunter2!");
        assert_eq!(format!("{secret:?}"), "[secret mail]");
    }
}
