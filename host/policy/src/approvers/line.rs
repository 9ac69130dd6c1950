//! One line of an approvers file: `principals [options] key-kind key [comment]`.
//!
//! Whatever OpenSSH would read in another way, or would ignore, is an error here: an option without effect is a
//! restriction that somebody believes in.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::KeyKind;
use super::pattern::list_matches;
use crate::visible::{clip, visible};

const BLANK: [char; 2] = [' ', '\t'];

/// A line that names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) principals: String,
    pub(super) key: KeyData,
    pub(super) limits: Limits,
}

/// What the options of a line restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) namespaces: Option<String>,
    pub(super) valid_after: Option<Timestamp>,
    pub(super) valid_before: Option<Timestamp>,
}

impl Limits {
    pub(super) fn allow_namespace(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|list| list_matches(list, namespace))
    }

    /// Both ends are part of the window, in whole seconds, as in OpenSSH.
    pub(super) fn allow_time(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        self.valid_after.is_none_or(|after| now >= after.as_second())
            && self.valid_before.is_none_or(|before| now <= before.as_second())
    }
}

/// Reads one line. Blank lines and comments are `None`; the error is the message alone.
pub(super) fn parse(line: usize, text: &str) -> Result<Option<Entry>, String> {
    if let Some(hidden) = text.chars().find(|character| character.is_control() && *character != '\t') {
        return Err(format!(
            "control character {} (save the file with plain line feeds)",
            hidden.escape_unicode()
        ));
    }
    let text = text.trim_matches(BLANK);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (principals, rest) = field(text);
    check_principals(principals)?;
    let (limits, rest) = if starts_with_key(rest) { (Limits::default(), rest) } else { options(rest)? };
    let key = key(rest)?;
    Ok(Some(Entry { line, principals: principals.to_owned(), key, limits }))
}

/// The text up to the first blank, and what follows the blanks.
fn field(text: &str) -> (&str, &str) {
    text.split_once(BLANK).map_or((text, ""), |(first, rest)| (first, rest.trim_start_matches(BLANK)))
}

fn check_principals(list: &str) -> Result<(), String> {
    if list.contains('"') {
        return Err("principals are written without quotes and spaces, separated by commas".to_owned());
    }
    if visible(list) != list {
        return Err(format!("the principal `{}` has characters that nobody sees", show(list)));
    }
    if list.split(',').any(|name| name.is_empty() || name == "!") {
        return Err(format!("`{}` has an empty principal", show(list)));
    }
    if list.split(',').all(|name| name.starts_with('!')) {
        return Err(format!("`{}` names exceptions only, so it matches nobody", show(list)));
    }
    Ok(())
}

fn starts_with_key(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix))
}

/// Comma-separated options, and what follows them.
fn options(text: &str) -> Result<(Limits, &str), String> {
    let mut limits = Limits::default();
    let mut rest = text;
    loop {
        let end = rest.find(['=', ',', ' ', '\t']).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (value, after) = match after.strip_prefix('=') {
            Some(quoted) => unquote(name, quoted).map(|(value, after)| (Some(value), after))?,
            None => (None, after),
        };
        set(&mut limits, name, value)?;
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() || after.starts_with(BLANK) => {
                check_window(&limits)?;
                return Ok((limits, after.trim_start_matches(BLANK)));
            }
            None => return Err(format!("a comma or a space is missing after option `{}`", show(name))),
        }
    }
}

/// The content of a leading quoted text, and what follows it. `\"` is a quote, as in OpenSSH.
fn unquote<'a>(name: &str, text: &'a str) -> Result<(String, &'a str), String> {
    let unclosed = || format!("the value of option `{}` must be in double quotes", show(name));
    let mut rest = text.strip_prefix('"').ok_or_else(unclosed)?;
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('"').ok_or_else(unclosed)?;
        rest = after;
        match before.strip_suffix('\\') {
            Some(before) => {
                value.push_str(before);
                value.push('"');
            }
            None => {
                value.push_str(before);
                return Ok((value, rest));
            }
        }
    }
}

fn set(limits: &mut Limits, name: &str, value: Option<String>) -> Result<(), String> {
    let value = || value.ok_or_else(|| format!("option `{name}` needs a value: {name}=\"…\""));
    let twice = match name {
        "namespaces" => limits.namespaces.replace(namespaces(value()?)?).is_some(),
        "valid-after" => limits.valid_after.replace(time(name, &value()?)?).is_some(),
        "valid-before" => limits.valid_before.replace(time(name, &value()?)?).is_some(),
        "cert-authority" => {
            return Err("certificates are not accepted here: list each approver's own key".to_owned());
        }
        _ => {
            let name = show(name);
            return Err(format!(
                "unknown option or key kind `{name}`; options are namespaces, valid-after and valid-before"
            ));
        }
    };
    if twice { Err(format!("option `{name}` is given twice")) } else { Ok(()) }
}

fn namespaces(list: String) -> Result<String, String> {
    if list.split(',').any(|name| name.is_empty() || name.contains(BLANK)) {
        return Err("namespaces is a list of names separated by commas, without spaces".to_owned());
    }
    Ok(list)
}

/// `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`. Without the `Z` OpenSSH reads local time, which differs from
/// host to host.
fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{name} is `{}`; write it in UTC as YYYYMMDDZ or YYYYMMDDHHMMSSZ", show(text));
    let digits = text.strip_suffix('Z').ok_or_else(wrong)?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).unwrap_or("0").parse::<i8>().map_err(|_| wrong());
    let year = digits.get(..4).unwrap_or_default().parse::<i16>().map_err(|_| wrong())?;
    let (month, day) = (number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    DateTime::new(year, month, day, hour, minute, second, 0)
        .and_then(|time| Offset::UTC.to_timestamp(time))
        .map_err(|_| wrong())
}

fn check_window(limits: &Limits) -> Result<(), String> {
    match (limits.valid_after, limits.valid_before) {
        (Some(after), Some(before)) if before <= after => {
            Err("valid-before must be later than valid-after".to_owned())
        }
        _ => Ok(()),
    }
}

fn key(text: &str) -> Result<KeyData, String> {
    let (kind, rest) = field(text);
    let (data, _comment) = field(rest);
    if kind.is_empty() {
        return Err("the key is missing".to_owned());
    }
    if KeyKind::from_name(kind).is_none() {
        return Err(format!("keys of kind `{}` are not accepted; use {}", show(kind), KeyKind::ACCEPTED));
    }
    // The kind is checked again inside: it must equal the one in the encoded key.
    let key = PublicKey::from_openssh(&format!("{kind} {data}"))
        .map_err(|_| format!("the {kind} key is damaged; copy the line of the .pub file again"))?;
    Ok(key.key_data().clone())
}

fn show(text: &str) -> String {
    clip(&visible(text), 80)
}
