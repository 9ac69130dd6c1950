//! Who gets the message: every address is checked, and none is named twice.

use std::collections::BTreeSet;
use std::fmt;

use communications_common::address;
use ops_guest::Failure;

use crate::Config;

/// The most recipients of one test message, blind copies included.
const MOST: usize = 20;

/// Who gets the message.
pub(crate) struct Recipients {
    pub(crate) to: Vec<String>,
    pub(crate) cc: Vec<String>,
    /// In the envelope only.
    pub(crate) bcc: Vec<String>,
}

impl Recipients {
    /// Checks each address, that its domain is allowed, and how many there are. Without any `to`, the message goes to
    /// the binding's `default_recipient`, which is checked like the others.
    pub(crate) fn check(
        mut to: Vec<String>,
        cc: Vec<String>,
        bcc: Vec<String>,
        config: &Config,
    ) -> Result<Self, Failure> {
        if to.is_empty() {
            let default = config.default_recipient.clone();
            to.push(default.ok_or_else(|| {
                Failure::invalid(
                    "`to` names nobody, and the binding's config has no default_recipient; name a recipient",
                )
            })?);
        }
        let recipients = Self { to, cc, bcc };
        if recipients.all().count() > MOST {
            return Err(Failure::invalid(format!("a test message has at most {MOST} recipients")));
        }
        let mut seen = BTreeSet::new();
        for (field, text) in recipients.named() {
            let address =
                address(text).map_err(|why| Failure::invalid(format!("`{field}` {why}: {text:?}")))?;
            if !seen.insert(text.to_ascii_lowercase()) {
                return Err(Failure::invalid(format!(
                    "`{field}` names {text}, who gets the message already"
                )));
            }
            let domain = address.domain();
            if !config.allowed_recipient_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
                return Err(Failure::failed(format!(
                    "no test mail goes to {domain}; the binding's allowed_recipient_domains: {}",
                    config.allowed_recipient_domains.join(", ")
                )));
            }
        }
        Ok(recipients)
    }

    /// Every address, blind copies last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.named().map(|(_, address)| address)
    }

    /// Every address with its field.
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc)]
            .into_iter()
            .flat_map(|(field, list)| list.iter().map(move |address| (field, address.as_str())))
    }
}

/// `a@x.test, b@x.test, cc c@x.test, bcc d@x.test`: nobody is left out.
impl fmt::Display for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (field, address)) in self.named().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            match field {
                "to" => write!(f, "{comma}{address}")?,
                field => write!(f, "{comma}{field} {address}")?,
            }
        }
        Ok(())
    }
}
