//! The form of single values in the contracts.
//!
//! What stands in a contract becomes part of requests, in which commas, equal signs, slashes and line breaks have a
//! meaning of their own. So each text is held to the characters that its kind of thing can have, where it is read.

use std::collections::BTreeSet;

use ops_guest::Failure;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The most entries of a list that a person is to take in at a glance.
const FEW: usize = 20;

/// The version of a contract's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The first one.
    #[serde(rename = "1.0")]
    One,
}

/// A word of the workspace: small letters, digits and hyphens, at most 64.
pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_word, "a word of small letters, digits and hyphens")
}

/// Words, as [`word`]: at least one, at most 20, none twice.
pub(crate) fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    few(texts(from, is_word, "a word of small letters, digits and hyphens")?)
}

/// A capability's name, for example `infra.core.smoke`.
pub(crate) fn capability<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_capability, "a capability's name, such as `infra.core.smoke`")
}

/// Names of capabilities, as [`capability`]: at least one, at most 20, none twice.
pub(crate) fn capabilities<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    few(texts(from, is_capability, "a capability's name, such as `infra.core.smoke`")?)
}

/// Ids of gates, for example `D320`: at least one, at most 20, none twice.
pub(crate) fn gates<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    few(texts(from, is_gate, "a gate's id, such as `D320`")?)
}

/// A file of the repository, from its top folder.
pub(crate) fn document<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_document, "a Markdown file, from the top folder of the repository")
}

/// A host name without a domain (RFC 1123): at most 63 small letters, digits and hyphens.
pub(crate) fn hostname<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_label, "a host name without a domain")
}

/// Host names, as [`hostname`].
pub(crate) fn hostnames<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    texts(from, is_label, "a host name without a domain")
}

/// A domain name, at most 253 characters.
pub(crate) fn domain<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, |text| text.len() <= 253 && text.split('.').all(is_label), "a domain name")
}

/// A name of Proxmox VE (a node, a bridge, a storage): letters, digits, hyphens, dots and underscores.
pub(crate) fn pve_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, is_pve_name, "a name that Proxmox VE takes")
}

/// A user's name on Linux, at most 32 characters.
pub(crate) fn user<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_user = |text: &str| {
        text.len() <= 32
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    text(from, is_user, "a user name")
}

/// Names of Debian packages (Debian Policy, section 5.6.7).
pub(crate) fn packages<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let is_package = |text: &str| {
        (2..=100).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte))
    };
    texts(from, is_package, "the name of a Debian package")
}

/// Names of systemd services, without `.service`.
pub(crate) fn services<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    texts(from, is_pve_name, "the name of a systemd service, without `.service`")
}

/// Public keys in OpenSSH's form, one line each: type, base64, and a comment where there is one.
pub(crate) fn public_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let is_key = |text: &str| {
        let mut parts = text.split(' ');
        let kind = parts.next().unwrap_or_default();
        let key = parts.next().unwrap_or_default();
        text.len() <= 1000
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
            && ["ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "ssh-rsa"].contains(&kind)
            && key.len() >= 40
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    texts(from, is_key, "a public key in the form of OpenSSH, on one line")
}

/// When a job of cron runs: five fields.
pub(crate) fn schedule<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_field = |field: &str| {
        !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*/,-".contains(&byte))
    };
    let is_schedule =
        |text: &str| text.len() <= 100 && text.split(' ').count() == 5 && text.split(' ').all(is_field);
    text(from, is_schedule, "a schedule of cron: five fields with one blank between them")
}

/// A command line for cron. A percent sign would end it there.
pub(crate) fn command<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_command = |text: &str| {
        (1..=500).contains(&text.len())
            && text.starts_with('/')
            && text.bytes().all(|byte| byte != b'%' && (byte == b' ' || byte.is_ascii_graphic()))
    };
    text(from, is_command, "a command with its whole path, in ASCII and without `%`")
}

/// Fails where a list names something twice.
pub(crate) fn no_twins<'a>(
    contract: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(twin) => Err(Failure::failed(format!("{contract}: {what} {twin} stands there twice; keep one"))),
    }
}

/// Fails where a list is longer than a report of it could be read.
pub(crate) fn at_most(contract: &str, what: &str, count: usize, most: usize) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    Err(Failure::failed(format!("{contract}: it lists {count} {what}, and may list {most}")))
}

fn text<'de, D: Deserializer<'de>>(
    from: D,
    is_good: impl Fn(&str) -> bool,
    what: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if is_good(&text) { Ok(text) } else { Err(D::Error::custom(format!("{text:?} is not {what}"))) }
}

fn texts<'de, D: Deserializer<'de>>(
    from: D,
    is_good: impl Fn(&str) -> bool,
    what: &str,
) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    match texts.iter().find(|text| !is_good(text)) {
        None => Ok(texts),
        Some(bad) => Err(D::Error::custom(format!("{bad:?} is not {what}"))),
    }
}

/// A list that must say something, and that a person can still take in.
fn few<E: Error>(texts: Vec<String>) -> Result<Vec<String>, E> {
    let mut seen = BTreeSet::new();
    if let Some(twin) = texts.iter().find(|text| !seen.insert(text.as_str())) {
        return Err(E::custom(format!("{twin:?} stands there twice; keep one")));
    }
    match texts.len() {
        1..=FEW => Ok(texts),
        count => Err(E::custom(format!("the list has {count} entries, and may have 1 to {FEW}"))),
    }
}

/// Whether this is a gate's id.
pub fn is_gate(text: &str) -> bool {
    text.strip_prefix('D').is_some_and(|digits| {
        (1..=4).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_capability(text: &str) -> bool {
    text.len() <= 100 && (2..=6).contains(&text.split('.').count()) && text.split('.').all(is_word)
}

fn is_document(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    text.len() <= 200 && text.ends_with(".md") && text.split('/').all(is_part)
}

fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_pve_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, SeqDeserializer, StrDeserializer};

    use super::*;

    type Reader = fn(StrDeserializer<'static, Error>) -> Result<String, Error>;
    type ListReader =
        fn(SeqDeserializer<std::array::IntoIter<String, 1>, Error>) -> Result<Vec<String>, Error>;

    fn reads(read: ListReader, text: &str) -> bool {
        read(SeqDeserializer::new([text.to_owned()].into_iter())).is_ok()
    }

    #[test]
    fn texts_that_would_mean_more_are_refused() {
        let cases: &[(Reader, &[&str], &[&str])] = &[
            (word, &["spine-ready-v1", "a"], &["", "A", "1a", "a b", "a,b", "a_b"]),
            (
                capability,
                &["infra.core.smoke", "a.b"],
                &["", "infra", "infra..smoke", "Infra.core", "infra.core/x", "a.b.c.d.e.f.g", ".a"],
            ),
            (
                document,
                &["docs/runbooks/infra-core.md", "README.md"],
                &["", ".md", "/docs/a.md", "docs/../a.md", "docs//a.md", "docs/a.txt", "docs/a b.md"],
            ),
            (hostname, &["communications-stack", "2a"], &["", "-a", "a-", "a.b", "A", "a/b"]),
            (domain, &["example.test", "lab"], &["", ".", "a..b", "a b", "a,b", "a.-b"]),
            (
                pve_name,
                &["local-lvm", "pve1", "vmbr0", "Big_1.2"],
                &["", "-a", "a,b", "a=b", "a/b", "..", "a b"],
            ),
            (user, &["ubuntu", "_ops", "a-1"], &["", "Root", "a b", "a,b", "1a"]),
            (
                schedule,
                &["17 3 * * *", "*/5 0-6 1,15 jan mon"],
                &["", "* * * *", "* * * * * *", "@daily", "* * * * *\n"],
            ),
            (
                command,
                &["/usr/bin/true --a=b"],
                &["", "true", "/bin/date +%s", "/bin/a\n* * * * * root /b", "/ä"],
            ),
        ];
        for (number, (read, good, bad)) in cases.iter().enumerate() {
            for text in *good {
                assert!(read((*text).into_deserializer()).is_ok(), "{number}: {text:?}");
            }
            for text in *bad {
                assert!(read((*text).into_deserializer()).is_err(), "{number}: {text:?}");
            }
        }
    }

    #[test]
    fn each_of_a_list_is_read() {
        let key = format!("ssh-ed25519 {} ops@example.test", "A".repeat(68));
        assert!(
            reads(public_keys, &key) && reads(packages, "libstdc++6") && reads(services, "qemu-guest-agent")
        );
        for bad in ["", "-y", "a", "a b", "docker-ce=1.0", "docker-ce/bookworm"] {
            assert!(!reads(packages, bad), "{bad:?}");
        }
        for bad in ["", "--now", "a b", "../a", "a\n"] {
            assert!(!reads(services, bad), "{bad:?}");
        }
        assert!(reads(gates, "D320") && reads(words, "token") && reads(capabilities, "infra.core.smoke"));
        for bad in ["", "320", "D", "D0", "D12345", "d320", "D32a"] {
            assert!(!reads(gates, bad), "{bad:?}");
        }
        for bad in [
            key.replace("ssh-", "pgp-"),
            format!("{key}\nssh-rsa"),
            "ssh-ed25519".into(),
            format!("restrict {key}"),
        ] {
            assert!(!reads(public_keys, &bad), "{bad:?}");
        }
    }
}
