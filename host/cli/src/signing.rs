//! Signing with a key that a person already has.
//!
//! A key file is read here, with its passphrase where it has one. Keys in an agent, on a FIDO2 token or in a form that
//! is not known here are left to `ssh-keygen -Y sign`, which people trust with them already.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ops_policy::sign::{self, KeyError};

use crate::terminal;

/// The longest key file that is read, in bytes.
const MAX_KEY: u64 = 64 * 1024;

/// An armoured SSH signature over `message`.
///
/// # Errors
///
/// For people: the key cannot be read, lets others read it, or does not sign.
pub(crate) fn sign_with(key: &Path, namespace: &str, message: &[u8]) -> Result<String, String> {
    let shown = key.display();
    let about = fs::metadata(key).map_err(|error| format!("key {shown}: {error}"))?;
    if !about.is_file() || about.len() > MAX_KEY {
        return Err(format!("key {shown}: is no key file"));
    }
    if key.extension().is_some_and(|extension| extension == "pub") {
        return with_ssh_keygen(key, namespace, message);
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err(format!("key {shown}: others can read it; `chmod 600 {shown}`"));
    }
    let pem = fs::read_to_string(key).map_err(|error| format!("key {shown}: {error}"))?;
    let loaded = match sign::load(&pem, None) {
        Err(KeyError::PassphraseNeeded) => {
            let phrase = terminal::passphrase(&format!("Passphrase of {shown}: ")).ok_or_else(|| {
                format!("key {shown}: it needs a passphrase, and there is no terminal to ask at")
            })?;
            sign::load(&pem, Some(&phrase))
        }
        other => other,
    };
    match loaded {
        Ok(key) => sign::sign(&key, namespace, message).map_err(|error| format!("key {shown}: {error}")),
        Err(KeyError::Hardware) => with_ssh_keygen(key, namespace, message),
        Err(error) => Err(format!("key {shown}: {error}")),
    }
}

fn with_ssh_keygen(key: &Path, namespace: &str, message: &[u8]) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("ssh-keygen, which this kind of key needs: {error}");
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-q", "-n", namespace, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(message).map_err(fail)?;
    }
    let output = child.wait_with_output().map_err(fail)?;
    if !output.status.success() {
        return Err(format!("ssh-keygen did not sign with {}", key.display()));
    }
    String::from_utf8(output.stdout).map_err(|_| "ssh-keygen printed no signature".to_owned())
}
