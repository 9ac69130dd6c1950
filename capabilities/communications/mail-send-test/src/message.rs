//! The message: its addresses, checked, and its two forms, as a mail file and as a record.

use std::time::SystemTime;

use addr_spec::AddrSpec;
use jiff::Timestamp;
use mail_builder::MessageBuilder;
use ops_guest::{Ctx, Failure};
use serde_json::Value;

use crate::{Config, Input};

/// A message that may be sent.
pub(crate) struct Message {
    /// 128 random bits in hexadecimal, of which the message id and the names of files are made.
    pub(crate) unique: String,
    pub(crate) message_id: String,
    pub(crate) created: Timestamp,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Message {
    /// Checks the recipient and the subject and gives the message its id.
    pub(crate) fn new(ctx: &Ctx, input: Input, config: &Config) -> Result<Self, Failure> {
        let to = address(&input.to).map_err(|why| Failure::invalid(format!("`to` {why}")))?;
        let from = address(&config.from)
            .map_err(|why| Failure::failed(format!("config.from {why}; correct the binding")))?;
        if !config.allowed_recipient_domains.iter().any(|domain| domain.eq_ignore_ascii_case(to.domain())) {
            return Err(Failure::failed(format!(
                "no test mail goes to {}: the binding's allowed_recipient_domains are {}",
                to.domain(),
                config.allowed_recipient_domains.join(", ")
            )));
        }
        // A line break would let the subject write header fields of its own.
        if input.subject.chars().any(char::is_control) {
            return Err(Failure::invalid("`subject` holds a line break or another control character"));
        }
        let unique = ctx.unique_id()?;
        Ok(Self {
            message_id: format!("{unique}@{}", config.domain.as_deref().unwrap_or(from.domain())),
            unique,
            created: whole_seconds(ctx.now())?,
            from: from.to_string(),
            to: to.to_string(),
            subject: input.subject,
            body: input.body,
        })
    }

    /// As a mail file (RFC 5322).
    pub(crate) fn to_eml(&self) -> Result<Vec<u8>, Failure> {
        let message = MessageBuilder::new()
            .message_id(self.message_id.as_str())
            .date(self.created.as_second())
            .from(self.from.as_str())
            .to(self.to.as_str())
            .subject(self.subject.as_str())
            .text_body(self.body.as_str());
        Ok(message.write_to_vec()?)
    }

    /// As a record for people and programs, without the body. Each value is a JSON text, which is YAML as well, so
    /// that nothing in it can become another key.
    pub(crate) fn to_record(&self, status: &str) -> String {
        let created = self.created.to_string();
        let fields = [
            ("created_at", &created),
            ("from", &self.from),
            ("to", &self.to),
            ("subject", &self.subject),
            ("message_id", &self.message_id),
        ];
        let lines = fields.iter().map(|(key, value)| format!("{key}: {}\n", Value::from(value.as_str())));
        lines.chain([format!("status: {status}\n")]).collect()
    }
}

/// An address that every mail server takes: no display name, no quotes, no comments, no address literal, ASCII.
fn address(text: &str) -> Result<AddrSpec, String> {
    let address: AddrSpec = text.parse().map_err(|error| format!("is not a mail address: {error}"))?;
    if !text.is_ascii() || address.is_quoted() || text.len() > 254 {
        return Err("is not a plain mail address of at most 254 ASCII characters".to_owned());
    }
    Ok(address)
}

/// Mail knows no fractions of a second.
fn whole_seconds(time: SystemTime) -> Result<Timestamp, Failure> {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    let stamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    stamp.ok_or_else(|| Failure::failed("the clock shows no time that a message can carry"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(subject: &str, body: &str) -> Message {
        Message {
            unique: "00ff".into(),
            message_id: "00ff@example.test".into(),
            created: Timestamp::from_second(1_795_338_000).unwrap(),
            from: "ops@example.test".into(),
            to: "alice@example.test".into(),
            subject: subject.into(),
            body: body.into(),
        }
    }

    #[test]
    fn addresses() {
        for good in ["alice@example.test", "a.b+c@EXAMPLE.test", "o'brien@example.test"] {
            assert_eq!(address(good).unwrap().to_string(), good);
        }
        let long = format!("{}@example.test", "a".repeat(250));
        for bad in [
            "",
            "alice",
            "@example.test",
            "alice@",
            "a@b@c",
            "Alice <alice@example.test>",
            "a b@example.test",
            "\"a b\"@example.test",
            "alice@example.test\r\nBcc: x@y.z",
            "alice@example.test ",
            "alice@[127.0.0.1]",
            "älice@example.test",
            "alice@exämple.test",
            "a..b@example.test",
            "a@example..test",
            &long,
        ] {
            assert!(address(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn a_mail_file_has_the_id_the_date_and_the_subject() {
        let eml = String::from_utf8(message("Grüße", "Hello\n.\nBye").to_eml().unwrap()).unwrap();
        for part in [
            "Message-ID: <00ff@example.test>\r\n",
            "Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n",
            "From: <ops@example.test>\r\n",
            "To: <alice@example.test>\r\n",
            "Subject: =?utf-8?",
        ] {
            assert!(eml.contains(part), "{part} is missing in {eml}");
        }
    }

    proptest! {
        /// Whatever a subject holds, the record has the same six keys and gives the subject back.
        #[test]
        fn a_record_is_yaml_and_cannot_be_broken_out_of(subject in "[^\\p{Cc}]{0,80}") {
            let record = message(&subject, "").to_record("simulated");
            let read: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(&record).unwrap();
            prop_assert_eq!(read.get("subject"), Some(&subject));
            prop_assert_eq!(read.len(), 6);
        }

        /// A body may hold anything and never becomes a header field.
        #[test]
        fn a_body_stays_a_body(body in any::<String>()) {
            let eml = message("S", &body).to_eml().unwrap();
            let head = eml.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let plain = message("S", "").to_eml().unwrap();
            let names = |eml: &[u8]| String::from_utf8_lossy(eml).lines().filter(|line| line.contains(": ")).count();
            let plain_head = plain.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            prop_assert_eq!(names(&eml[..head]), names(&plain[..plain_head]));
        }
    }
}
