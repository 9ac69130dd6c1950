//! The armoured SSH signature: what `ssh-keygen -Y sign` writes, read strictly.
//!
//! The `ssh-key` crate has a reader of its own, but that one ignores wrong lengths of nested fields, says of a
//! certificate that its characters are wrong, and takes any algorithm's name for a hardware signature. So the frame
//! is read here, and each field must be exactly as long as it says; keys and the inner signature are the crate's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ssh_key::{HashAlg, PublicKey, Signature, SshSig};

use super::{KeyKind, MAX_SIGNATURE, SIGNATURE_BEGIN, SIGNATURE_END, SignatureError};
use crate::visible::{clip, visible};

/// The preamble, and version 1.
const PREAMBLE: &[u8] = b"SSHSIG\0\0\0\x01";

/// A signature whose form is right and whose key is of an accepted kind. Nothing is verified.
pub(super) fn read(pem: &str) -> Result<(KeyKind, SshSig), SignatureError> {
    if pem.len() > MAX_SIGNATURE {
        return Err(refuse("the text is too long"));
    }
    let base64 = pem
        .trim_ascii()
        .strip_prefix(SIGNATURE_BEGIN)
        .and_then(|rest| rest.strip_suffix(SIGNATURE_END))
        .ok_or_else(|| refuse("the lines BEGIN and END SSH SIGNATURE are missing"))?;
    let base64: String = base64.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(base64).map_err(|_| damaged())?;
    let mut rest = bytes.strip_prefix(PREAMBLE).ok_or_else(|| refuse("it is of another kind or version"))?;
    let key = field(&mut rest)?;
    let namespace = text(field(&mut rest)?)?;
    let reserved = field(&mut rest)?;
    let hash = HashAlg::new(text(field(&mut rest)?)?)
        .map_err(|_| refuse("its hash is neither sha256 nor sha512"))?;
    let inner = field(&mut rest)?;
    if !rest.is_empty() || !reserved.is_empty() {
        return Err(damaged());
    }
    let (kind, key) = read_key(key)?;
    let signature = SshSig::new(key.into(), namespace, hash, read_inner(kind, inner)?);
    Ok((kind, signature.map_err(|_| damaged())?))
}

fn read_key(bytes: &[u8]) -> Result<(KeyKind, PublicKey), SignatureError> {
    let name = text(field(&mut { bytes })?)?;
    let Some(kind) = KeyKind::from_name(name) else {
        return Err(if name.ends_with("-cert-v01@openssh.com") {
            SignatureError::Certificate
        } else {
            SignatureError::KindNotAccepted { kind: clip(&visible(name), 80) }
        });
    };
    let key = PublicKey::from_bytes(bytes).map_err(|_| damaged())?;
    // Written again, so that a field with a wrong length is noticed here too.
    if key.to_bytes().map_err(|_| damaged())? != bytes {
        return Err(damaged());
    }
    Ok((kind, key))
}

/// The signature itself. Each algorithm reads the bytes in its own way, so it must be that of the key: a hardware
/// signature under another name verifies all the same, and whoever went by the name would miss its flags.
fn read_inner(kind: KeyKind, bytes: &[u8]) -> Result<Signature, SignatureError> {
    let mut rest = bytes;
    let name = text(field(&mut rest)?)?;
    let _signature = field(&mut rest)?;
    let trailer = if kind.is_hardware() { FLAGS_AND_COUNTER } else { 0 };
    if name != kind.name() || rest.len() != trailer {
        return Err(damaged());
    }
    Signature::try_from(bytes).map_err(|_| damaged())
}

/// What follows a hardware signature: a byte of flags and a 32-bit counter.
const FLAGS_AND_COUNTER: usize = 5;

/// Touch and verification, which a hardware key states in the flags.
pub(super) fn hardware_flags(kind: KeyKind, signature: &SshSig) -> (bool, bool) {
    match signature.signature_bytes() {
        [.., flags, _, _, _, _] if kind.is_hardware() => (flags & 0x01 != 0, flags & 0x04 != 0),
        _ => (false, false),
    }
}

/// Takes a field with its 32-bit length from the front.
fn field<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SignatureError> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
    let (field, after) = after.split_at_checked(length).ok_or_else(damaged)?;
    *rest = after;
    Ok(field)
}

fn text(bytes: &[u8]) -> Result<&str, SignatureError> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}

fn damaged() -> SignatureError {
    refuse("its content is damaged")
}

fn refuse(why: &'static str) -> SignatureError {
    SignatureError::NotASignature { why }
}
