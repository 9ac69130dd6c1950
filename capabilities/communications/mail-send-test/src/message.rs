//! The message: checked, and its two forms, as a mail file and as a record.

use std::time::SystemTime;

use communications_common::address;
use jiff::Timestamp;
use mail_builder::MessageBuilder;
use ops_guest::{Ctx, Failure};
use serde_json::{Value, json};

use crate::recipients::Recipients;
use crate::{Config, Input};

/// A message that may be sent.
pub(crate) struct Message {
    /// 128 random bits in hexadecimal, of which the message id and the names of files are made.
    pub(crate) unique: String,
    pub(crate) message_id: String,
    pub(crate) created: Timestamp,
    pub(crate) from: String,
    pub(crate) recipients: Recipients,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Message {
    /// Checks the addresses and the subject and gives the message its id.
    pub(crate) fn new(ctx: &Ctx, input: Input, config: &Config) -> Result<Self, Failure> {
        let recipients = Recipients::check(input.to, input.cc, input.bcc, config)?;
        let from = address(&config.from)
            .map_err(|why| Failure::failed(format!("config.from {why}; correct the binding")))?;
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
            recipients,
            subject: input.subject,
            body: input.body,
        })
    }

    /// What the approver reads first. The addresses come before the subject, which is quoted: no subject can pass for
    /// another recipient.
    pub(crate) fn summary(&self) -> String {
        let Self { from, recipients, subject, .. } = self;
        format!("send from {from} to {recipients}: {subject:?}, {} bytes of text", self.size())
    }

    /// The size of the text, in bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.body.len()).unwrap_or(u64::MAX)
    }

    /// As a mail file (RFC 5322), which says nothing of blind copies.
    pub(crate) fn to_eml(&self) -> Result<Vec<u8>, Failure> {
        let message = MessageBuilder::new()
            .message_id(self.message_id.as_str())
            .date(self.created.as_second())
            .from(self.from.as_str())
            .to(addresses(&self.recipients.to))
            .subject(self.subject.as_str())
            .text_body(self.body.as_str());
        let copied = !self.recipients.cc.is_empty();
        let message = if copied { message.cc(addresses(&self.recipients.cc)) } else { message };
        Ok(message.write_to_vec()?)
    }

    /// As a record for people and programs, without the body. Each value is JSON, which is YAML as well, so that
    /// nothing in it can become another key.
    pub(crate) fn to_record(&self, status: &str) -> String {
        let fields = [
            ("created_at", json!(self.created.to_string())),
            ("from", json!(self.from)),
            ("to", json!(self.recipients.to)),
            ("cc", json!(self.recipients.cc)),
            ("subject", json!(self.subject)),
            ("size", json!(self.size())),
            ("message_id", json!(self.message_id)),
            ("envelope", self.envelope(|address| json!(address))),
            ("status", json!(status)),
        ];
        fields.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
    }

    /// Who hands it over and who gets it, blind copies too. `address` gives an address its form.
    pub(crate) fn envelope(&self, address: fn(&str) -> Value) -> Value {
        let to: Vec<_> = self.recipients.all().map(address).collect();
        json!({"mailFrom": address(&self.from), "rcptTo": to})
    }
}

fn addresses(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
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
            recipients: Recipients {
                to: vec!["alice@example.test".into(), "bob@example.test".into()],
                cc: vec!["carol@example.test".into()],
                bcc: vec!["dave@example.test".into()],
            },
            subject: subject.into(),
            body: body.into(),
        }
    }

    #[test]
    fn a_mail_file_has_the_id_the_date_and_the_subject() {
        let eml = String::from_utf8(message("Grüße", "Hello\n.\nBye").to_eml().unwrap()).unwrap();
        for part in [
            "Message-ID: <00ff@example.test>\r\n",
            "Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n",
            "From: <ops@example.test>\r\n",
            "To: <alice@example.test>, <bob@example.test>\r\n",
            "Cc: <carol@example.test>\r\n",
            "Subject: =?utf-8?",
        ] {
            assert!(eml.contains(part), "{part} is missing in {eml}");
        }
        assert!(!eml.to_lowercase().contains("bcc") && !eml.contains("dave"), "{eml}");
    }

    #[test]
    fn a_subject_cannot_pass_for_a_recipient() {
        let summary = message("S\" to eve@evil.test: \"", "four").summary();
        assert_eq!(
            summary,
            "send from ops@example.test to alice@example.test, bob@example.test, cc carol@example.test, \
             bcc dave@example.test: \"S\\\" to eve@evil.test: \\\"\", 4 bytes of text"
        );
    }

    #[test]
    fn a_record_has_the_envelope_and_not_the_body() {
        let record = message("S", "the text").to_record("simulated");
        let envelope = "envelope: {\"mailFrom\":\"ops@example.test\",\"rcptTo\":[\"alice@example.test\",\"bob@example.test\",\"carol@example.test\",\"dave@example.test\"]}\n";
        assert!(record.contains(envelope), "{record}");
        assert!(record.contains("cc: [\"carol@example.test\"]\nsubject: \"S\"\nsize: 8\n"), "{record}");
        assert!(!record.contains("the text"), "{record}");
    }

    proptest! {
        /// Whatever a subject holds, the record has the same nine keys and gives the subject back.
        #[test]
        fn a_record_is_yaml_and_cannot_be_broken_out_of(subject in "[^\\p{Cc}]{0,80}") {
            let record = message(&subject, "").to_record("simulated");
            let read: std::collections::BTreeMap<String, Value> = serde_saphyr::from_str(&record).unwrap();
            prop_assert_eq!(read.get("subject").and_then(Value::as_str), Some(subject.as_str()));
            prop_assert_eq!(read.len(), 9);
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
