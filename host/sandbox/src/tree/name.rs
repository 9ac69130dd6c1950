//! Which names may stand in a granted folder. They are shown to approvers, so nothing in them may hide or reorder
//! text; and two kinds are kept from guests: git's folder, whose files run programs, and our own leftovers.
//!
//! Order of the checks: length, UTF-8, control and bidirectional characters, git, ours.

use super::Problem;

/// How the files begin that a commit puts beside an original for a moment.
pub(crate) const OURS: &str = ".ops-";

/// The longest name that Linux file systems take, in bytes.
pub(crate) const LONGEST: usize = 255;

/// Accepts one component of a path.
pub(crate) fn check(name: &[u8], longest: usize) -> Result<&str, Problem> {
    if name.len() > longest {
        return Err(Problem::Name("is longer than names may be"));
    }
    let Ok(name) = str::from_utf8(name) else {
        return Err(Problem::Name("is not UTF-8"));
    };
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(Problem::Name("is not the name of a file or folder"));
    }
    if name.chars().any(misleads) {
        return Err(Problem::Name("holds a control, line-break or bidirectional character"));
    }
    if name.eq_ignore_ascii_case(".git") {
        return Err(Problem::Git);
    }
    if name.starts_with(OURS) {
        return Err(Problem::Leftover);
    }
    Ok(name)
}

/// Whether a character can make a shown name read as another one.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The path of an entry of the folder `path`, which is empty for the granted folder itself.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// The folder that holds an entry, empty for the granted folder itself, and the entry's name in it.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_names_pass() {
        for name in
            ["a", "Report 2026.eml", "naïve.txt", "日本", ".hidden", "...", ".gitignore", ".opsy", "-rf"]
        {
            assert_eq!(check(name.as_bytes(), LONGEST).unwrap(), name);
        }
    }

    #[test]
    fn names_that_mislead_or_are_kept_from_guests_are_refused() {
        let long = "x".repeat(256);
        let cases: [(&[u8], &str); 13] = [
            (long.as_bytes(), "longer"),
            (b"caf\xe9", "UTF-8"),
            (b"", "name of"),
            (b".", "name of"),
            (b"..", "name of"),
            (b"a/b", "name of"),
            (b"a\nb", "control"),
            (b"\x1b[2J", "control"),
            ("invoice\u{202e}fdp.exe".as_bytes(), "bidirectional"),
            ("a\u{2066}b".as_bytes(), "bidirectional"),
            ("a\u{2028}b".as_bytes(), "line-break"),
            (b".Git", "git"),
            (b".ops-CAP-1-0", "interrupted commit"),
        ];
        for (name, why) in cases {
            let said = check(name, LONGEST).unwrap_err().to_string();
            assert!(said.contains(why), "{name:?}: {said}");
        }
    }

    #[test]
    fn paths_come_apart_as_they_were_joined() {
        assert_eq!(split(&join("a/b", "c")), ("a/b", "c"));
        assert_eq!(split(&join("", "c")), ("", "c"));
    }
}
