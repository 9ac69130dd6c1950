//! The file of tokens: whose bearer token is whose, and which capabilities it is for. A token's role is not in it:
//! that is in `ops.yaml`, where the lock covers it.
//!
//! The file holds SHA-256 hashes alone. It is read whole at the start, in this order: who owns it and who else may read
//! it, its length, its form. A token is 32 random bytes, so its hash needs no salt.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ops_policy::digest::Digest;
use ops_policy::{name, visible, yaml};
use ops_runner::run::Standing;
use serde::Deserialize;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::caller::Caller;
use crate::only::Only;

/// The most tokens of one file.
const MOST: usize = 1000;
/// What a token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "ops_";

/// Whose token is whose.
#[derive(Debug)]
pub struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    sha256: [u8; 32],
    caller: Caller,
}

/// Why there are no tokens to be had, for people. It never holds a token.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct TokensError {
    file: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tokens: Vec<WrittenToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenToken {
    name: String,
    sha256: String,
    #[serde(default)]
    only: Vec<String>,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It cannot be read, belongs to somebody else, lets others read it, or is not what such a file is.
    pub fn load(file: &Path) -> Result<Self, TokensError> {
        let fail = |why: String| TokensError { file: file.display().to_string(), why };
        let opened = File::open(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => fail(format!(
                "there is no such file; `ops mcp token NAME --tokens {}` makes it",
                file.display()
            )),
            _ => fail(error.to_string()),
        })?;
        let text = read(&opened).map_err(fail)?;
        Self::parse(text.as_bytes()).map_err(fail)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // A file without any, as one that was just made.
        if bytes.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let written: Written = yaml::parse("tokens", bytes).map_err(|error| {
            // Not its text: somebody may have written a token there.
            format!("line {}, column {}: it is not what `ops mcp token` writes: {{tokens: [{{name, sha256, only}}]}}", error.line, error.column)
        })?;
        if written.tokens.len() > MOST {
            return Err(format!("it has {} tokens; at most {MOST} are taken", written.tokens.len()));
        }
        let mut tokens: Vec<Token> = Vec::new();
        for (WrittenToken { name, sha256, only }, number) in written.tokens.into_iter().zip(1..) {
            let fail = |why: String| format!("token {number}: {why}");
            name::check_word(&name).map_err(|error| fail(error.to_string()))?;
            let mut hash = [0; 32];
            hex::decode_to_slice(&sha256, &mut hash)
                .map_err(|_| fail("its sha256 is not 64 hexadecimal digits".to_owned()))?;
            if tokens.iter().any(|other| other.sha256 == hash) {
                return Err(fail("an earlier one has the same sha256".to_owned()));
            }
            let only = Only::new(only).map_err(fail)?;
            tokens.push(Token { sha256: hash, caller: Caller { name, standing: Standing::Named, only } });
        }
        Ok(Self(tokens))
    }

    /// The names that have a token.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|token| token.caller.name.as_str()).collect()
    }

    /// Whose token it is. How long that takes says nothing about the tokens.
    pub fn caller(&self, token: &str) -> Option<Caller> {
        let hash = *Digest::of(token.as_bytes()).bytes();
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (token, number) in self.0.iter().zip(0_u64..) {
            let same = token.sha256.ct_eq(&hash);
            place.conditional_assign(&number, same);
            found |= same;
        }
        let place = usize::try_from(place).ok().filter(|_| found.into())?;
        self.0.get(place).map(|token| token.caller.clone())
    }

    /// Makes a token, puts its hash into the file, which is made where it is missing, and returns the token. It is
    /// kept nowhere.
    ///
    /// # Errors
    ///
    /// The name or a glob is none; the file cannot be used, or written.
    pub fn add(file: &Path, name: &str, only: &Only) -> Result<String, TokensError> {
        let fail = |why: String| TokensError { file: file.display().to_string(), why };
        name::check_word(name).map_err(|error| fail(error.to_string()))?;
        let mut opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(file)
            .map_err(|error| fail(error.to_string()))?;
        let before = read(&opened).map_err(fail)?;
        let known = Self::parse(before.as_bytes()).map_err(fail)?;
        if known.0.len() >= MOST {
            return Err(fail(format!("it has {MOST} tokens already")));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| fail(format!("no random bytes: {error}")))?;
        let token = format!("{PREFIX}{}", hex::encode(random));
        let entry = serde_json::json!({
            "name": name, "sha256": hex::encode(Digest::of(token.as_bytes()).bytes()), "only": only.globs(),
        });
        let head = if before.is_empty() {
            "tokens:\n"
        } else if before.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let entry = format!("{head}  - {entry}\n");
        // What cannot be read again must not be written.
        Self::parse(format!("{before}{entry}").as_bytes()).map_err(fail)?;
        opened
            .write_all(entry.as_bytes())
            .and_then(|()| opened.sync_all())
            .map_err(|error| fail(error.to_string()))?;
        Ok(token)
    }
}

/// The text of a file that is this user's and nobody else's to read.
fn read(file: &File) -> Result<String, String> {
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("is no regular file".to_owned());
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    if about.mode() & 0o077 != 0 {
        return Err(format!("lets others in (mode {:o}): chmod 600", about.mode() & 0o777));
    }
    let mut text = String::new();
    // One more than the reader of such files takes.
    file.take(256 * 1024 + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "is not UTF-8".to_owned(),
        _ => visible::visible(&error.to_string()),
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests;
