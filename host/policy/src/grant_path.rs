//! Which folders a directory grant may open.
//!
//! A capability that can write the files that grant rights can grant itself any. So no grant may be such a file
//! or folder, lie in one, or contain one; and none may touch a `.git`, whose hooks run as whoever uses it. The
//! check is made twice: on the text when the binding is read, and on the real paths, links resolved, before a run.

use std::path::{Component, Path, PathBuf};

/// What a workspace protects, by the first part of a relative path.
const TRUSTED: [&str; 7] = ["ops.yaml", "ops.lock", "approvers", "bindings", "components", "tls", "receipts"];
/// The longest relative path, in bytes.
const PATH_BYTES: usize = 512;

/// A path that no grant may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The absolute path, links resolved.
    pub path: PathBuf,
    /// What it is, for people, such as `the state folder`.
    pub what: String,
}

/// Why a path cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantPathError {
    /// Not a relative path in its plain spelling.
    #[error("`{path}` is not a path inside the workspace: {why}")]
    Shape {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file or folder that grants rights or holds secrets.
    #[error("`{path}` cannot be granted: it {relation} {what}")]
    Trusted {
        /// The path.
        path: String,
        /// `is`, `lies in` or `contains`.
        relation: &'static str,
        /// What is protected.
        what: String,
    },
}

/// Checks the spelling of a path in a binding: relative, `/` between parts, no part empty, `.` or `..`.
///
/// # Errors
///
/// Every other text.
pub fn relative(path: &str) -> Result<(), GrantPathError> {
    let refuse = |why| GrantPathError::Shape { path: path.chars().take(128).collect(), why };
    if path.is_empty() || path.len() > PATH_BYTES {
        return Err(refuse("it is empty or longer than 512 bytes"));
    }
    if path.starts_with('/') {
        return Err(refuse("it is absolute"));
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return Err(refuse("it holds a backslash or a control character"));
    }
    match path.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        Some("..") => Err(refuse("it holds `..`")),
        Some(_) => Err(refuse("it holds an empty part or `.`")),
        None => Ok(()),
    }
}

/// Checks the path of a directory grant by its text: relative, and not one of the workspace's own files.
///
/// # Errors
///
/// What [`relative`] refuses, and whatever touches a trusted file or a `.git`. Case is ignored, for file systems
/// that ignore it.
pub fn directory(path: &str) -> Result<(), GrantPathError> {
    relative(path)?;
    let refuse = |relation, what| GrantPathError::Trusted { path: path.to_owned(), relation, what };
    let (first, deeper) = path.split_once('/').map_or((path, false), |(first, _)| (first, true));
    if let Some(trusted) = TRUSTED.iter().find(|trusted| trusted.eq_ignore_ascii_case(first)) {
        return Err(refuse(if deeper { "lies in" } else { "is" }, format!("the workspace's `{trusted}`")));
    }
    if path.split('/').any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err(refuse("lies in", "a .git folder".to_owned()));
    }
    Ok(())
}

/// Checks the real path of a grant, absolute and with links resolved, against what is protected.
///
/// # Errors
///
/// A path that is not absolute or has a `..`, and one that is, lies in or contains a protected path or a `.git`.
pub fn check(path: &Path, protected: &[Protected]) -> Result<(), GrantPathError> {
    let shown = path.display().to_string();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(GrantPathError::Shape { path: shown, why: "it is not absolute, or holds `..`" });
    }
    let refuse = |relation, what: &str| GrantPathError::Trusted {
        path: shown.clone(),
        relation,
        what: what.to_owned(),
    };
    for Protected { path: trusted, what } in protected {
        if path == trusted {
            return Err(refuse("is", what));
        }
        if path.starts_with(trusted) {
            return Err(refuse("lies in", what));
        }
        if trusted.starts_with(path) {
            return Err(refuse("contains", what));
        }
    }
    if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
        return Err(refuse("lies in", "a .git folder"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling() {
        for good in ["state", "state/outbox", "components/x.wasm", "a b/ü", "..a"] {
            assert_eq!(relative(good), Ok(()), "{good}");
        }
        for bad in ["", "/etc", "..", "a/../b", "./a", "a//b", "a/", "a\\b", "a\nb", &"a/".repeat(300)] {
            assert!(relative(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn trusted_by_text() {
        for good in ["state/outbox", "gaps", "my-bindings", "state/bindings", "state/.github"] {
            assert_eq!(directory(good), Ok(()), "{good}");
        }
        for (bad, relation) in [
            ("ops.yaml", "is"),
            ("ops.lock", "is"),
            ("approvers", "is"),
            ("bindings", "is"),
            ("Bindings", "is"),
            ("bindings/x", "lies in"),
            ("components/x", "lies in"),
            ("tls", "is"),
            ("receipts/sessions", "lies in"),
            ("state/.git", "lies in"),
            (".GIT/hooks", "lies in"),
        ] {
            let error = directory(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("it {relation} ")), "{bad}: {error}");
        }
    }

    #[test]
    fn trusted_by_real_path() {
        let protected = [
            Protected { path: "/w/ops/bindings".into(), what: "the bindings".to_owned() },
            Protected { path: "/home/o/.local/state/ops".into(), what: "the state folder".to_owned() },
        ];
        for good in ["/w/ops/state", "/w/ops/bindings-2", "/home/o/.local/state/other"] {
            assert_eq!(check(Path::new(good), &protected), Ok(()), "{good}");
        }
        for (bad, words) in [
            ("/w/ops/bindings", "is the bindings"),
            ("/w/ops/bindings/", "is the bindings"),
            ("/w/ops/bindings/x", "lies in the bindings"),
            ("/w/ops", "contains the bindings"),
            ("/", "contains the bindings"),
            ("/home/o/.local/state/ops/ledger", "lies in the state folder"),
            ("/w/.git/x", "lies in a .git folder"),
            ("state", "not absolute"),
            ("/w/ops/state/../bindings", "holds `..`"),
        ] {
            let error = check(Path::new(bad), &protected).unwrap_err().to_string();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
