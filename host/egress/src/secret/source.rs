//! The places where a secret is kept, as `ops.yaml` writes them.
//!
//! The same texts are checked when `ops.yaml` is read, with better errors; a test holds the two together.

use std::fmt;
use std::path::PathBuf;

use ops_policy::grant_path;

use crate::infisical::Place;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `env:NAME`: a variable in the host's own environment.
    Env(String),
    /// `file:PATH`: a file; a relative path starts at the folder of `ops.yaml`.
    File(PathBuf),
    /// `systemd:NAME`: a credential that the service manager gave to this service.
    Systemd(String),
    /// `infisical:PROJECT/ENVIRONMENT/NAME`, with folders before the name where there are some.
    Infisical(Place),
}

/// A text that names no place for a secret. It does not repeat the text, which may be a secret that was pasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret comes from `env:NAME`, `file:PATH`, `systemd:NAME` or `infisical:PROJECT/ENVIRONMENT/NAME` (with folders \
     before the name)"
)]
pub struct SourceError;

impl SecretSource {
    /// Parses a place.
    ///
    /// # Errors
    ///
    /// Everything that names none. A variable is letters, digits and underscores; a path has no empty part, `.` or
    /// `..`; a credential and each part of a place in Infisical are letters, digits, `-`, `_` and `.`.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let source = match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Self::Env(name.to_owned()),
            Some(("file", path)) if is_path(path) => Self::File(path.into()),
            Some(("systemd", name)) if is_credential(name) => Self::Systemd(name.to_owned()),
            Some(("infisical", place)) => Self::Infisical(Place::parse(place).ok_or(SourceError)?),
            _ => return Err(SourceError),
        };
        Ok(source)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_path(path: &str) -> bool {
    let inside = path.strip_prefix('/').unwrap_or(path);
    grant_path::relative(inside).is_ok()
}

/// Letters, digits, `-`, `_` and `.`: what needs no escaping anywhere.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_credential(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.starts_with('.') && is_plain(name)
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Infisical(place) => write!(f, "infisical:{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_policy::settings::Settings;
    use proptest::prelude::*;

    const PLACES: [&str; 10] = [
        "env:MAIL_TOKEN",
        "env:_a1",
        "file:/run/x:y",
        "file:secrets/mail token",
        "systemd:mail-token",
        "systemd:mail.token_2",
        "infisical:demo/prod/MAIL_TOKEN",
        "infisical:3c90c3cc-0d44-4b50-8888-8dd25736052a/dev/mail/smtp/PASSWORD",
        "infisical:a.b/c_d/...",
        "file:a/...",
    ];

    /// Whether `ops.yaml` may say so.
    fn in_settings(text: &str) -> bool {
        let quoted = serde_json::to_string(text).unwrap();
        let yaml = format!(
            "workspace: demo\nsecrets:\n  other: {{from: env:OTHER, origins: [\"https://a.example\"]}}\n  \
             mine: {{from: {quoted}, origins: [\"https://a.example\"]}}\n\
             infisical: {{origin: \"https://a.example\", client_id: id, client_secret: other}}\n"
        );
        Settings::parse("ops.yaml", yaml.as_bytes()).is_ok()
    }

    #[test]
    fn places_are_parsed_and_written_alike() {
        for text in PLACES {
            assert_eq!(SecretSource::parse(text).unwrap().to_string(), text);
            assert!(in_settings(text), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_here_and_in_settings() {
        let long = format!("systemd:{}", "x".repeat(256));
        let far = format!("infisical:a/b/{}c", "d/".repeat(20));
        for text in [
            "",
            "env:",
            "file:",
            "systemd:",
            "infisical:",
            "env:1A",
            "env:A=B",
            "env:A B",
            "env:\u{c4}",
            "vault:x",
            "MAIL_TOKEN",
            "file:a\0b",
            "file:../a",
            "file:a//b",
            "file:/",
            "file:a/./b",
            "systemd:a/b",
            "systemd:.a",
            "systemd:..",
            "systemd:a b",
            "infisical:a",
            "infisical:a/b",
            "infisical:a/b/",
            "infisical:/b/c",
            "infisical:a//c",
            "infisical:a/../c",
            "infisical:a/b/c d",
            "infisical:a/b/c?d",
            "infisical:a/b/c%2Fd",
            "Env:A",
            " env:A",
            &long,
            &far,
        ] {
            assert_eq!(SecretSource::parse(text), Err(SourceError), "{text}");
            assert!(!in_settings(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_settings(text in "(env|file|systemd|infisical):[A-Za-z0-9_./ -]{0,12}") {
            prop_assert_eq!(SecretSource::parse(&text).is_ok(), in_settings(&text));
        }
    }
}
