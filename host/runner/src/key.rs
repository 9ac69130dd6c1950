//! Names that the host makes up: run keys and plan ids.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The letters that are drawn from: 36, so ten of them hold 51 bits.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// `CAP-YYYYMMDD-HHMMSS__<capability>__R<10 of a-z0-9>`, in UTC.
///
/// # Errors
///
/// The machine's random source fails.
pub fn run_key(capability: &str, at: Timestamp) -> Result<String, getrandom::Error> {
    let time = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    Ok(format!("CAP-{time}__{capability}__R{}", letters()?))
}

/// `P` and ten letters.
///
/// # Errors
///
/// The machine's random source fails.
pub fn plan_id() -> Result<String, getrandom::Error> {
    Ok(format!("P{}", letters()?))
}

/// Random bytes.
///
/// # Errors
///
/// The machine's random source fails.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Ten letters, each equally likely: bytes past the last whole multiple of 36 are drawn again.
fn letters() -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(10);
    while text.len() < 10 {
        for byte in random::<16>()? {
            if byte < 252 && text.len() < 10 {
                text.push(char::from(*ALPHABET.get(usize::from(byte % 36)).unwrap_or(&b'a')));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_that_its_users_know() {
        let key = run_key("communications.mail.send.test", "2026-02-18T01:02:03Z".parse().unwrap()).unwrap();
        let (head, tail) = key.rsplit_once("__R").unwrap();
        assert_eq!(head, "CAP-20260218-010203__communications.mail.send.test");
        assert_eq!(tail.len(), 10);
        assert!(tail.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(plan_id().unwrap(), plan_id().unwrap());
    }
}
