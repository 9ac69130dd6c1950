//! `audit:` of `ops.yaml`: findings that somebody has looked at and says are as they should be. The lock covers them, so
//! each is signed by an approver; each says why, and until when.
//!
//! Checked here, in order: how many there are; the kind of finding, by the table of [`crate::finding`]; the capability;
//! the subject; the reason; the date. That a kind of which each is about one place needs its subject is asked where
//! findings are at hand ([`Suppression::hides`]): a suppression without one hides none of them.

use jiff::civil::Date;
use serde::Deserialize;

use crate::finding::{self, KINDS};
use crate::name;
use crate::yaml::{self, At, Wrong};

/// The most suppressions.
const MOST: usize = 500;
/// The longest reason, in bytes.
const REASON: usize = 500;
/// The longest subject, in bytes.
const SUBJECT: usize = 4096;

/// What stands under `capability:` for findings that are about no single one.
pub const WORKSPACE: &str = "workspace";

/// What holds for audits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What is suppressed, in the order of the file.
    pub suppress: Vec<Suppression>,
}

/// A kind of finding about one capability that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The finding's id.
    pub finding: &'static str,
    /// The capability; none for findings about the workspace.
    pub capability: Option<String>,
    /// What the finding is about, as the audit names it.
    pub subject: Option<String>,
    /// Why it is as it should be.
    pub reason: String,
    /// The last day, UTC, on which this counts.
    pub expires: Date,
}

#[derive(Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map, such as {suppress: [{finding: …, capability: …, reason: …, expires: …}]}"
)]
pub(super) struct Written {
    #[serde(default)]
    suppress: Vec<WrittenSuppression>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a suppression, such as {finding: private-range, capability: a.b, reason: \"…\", expires: 2027-05-01}"
)]
struct WrittenSuppression {
    finding: At<String>,
    capability: At<String>,
    #[serde(default, deserialize_with = "yaml::present")]
    subject: Option<At<String>>,
    reason: At<String>,
    expires: At<String>,
}

impl Suppression {
    /// Whether it names no subject though each finding of its kind is about one place of many, so that it hides none.
    pub fn lacks_subject(&self) -> bool {
        self.subject.is_none() && finding::kind(self.finding).is_none_or(|kind| kind.placed)
    }

    /// Whether it is about a finding with this id, capability and subject, whatever the day.
    pub fn hides(&self, id: &str, capability: Option<&str>, subject: &str) -> bool {
        self.finding == id
            && self.capability.as_deref() == capability
            && !self.lacks_subject()
            && self.subject.as_deref().is_none_or(|named| named == subject)
    }
}

impl Written {
    pub(super) fn check(self) -> Result<Audit, Wrong> {
        let mut suppress: Vec<Suppression> = Vec::new();
        for written in self.suppress {
            if suppress.len() == MOST {
                return Err(Wrong::at(&written.finding, format!("there are more than {MOST} suppressions")));
            }
            let (place, checked) = (written.finding.clone(), written.check()?);
            let same = |earlier: &Suppression| {
                earlier.finding == checked.finding
                    && earlier.capability == checked.capability
                    && earlier.subject == checked.subject
            };
            if suppress.iter().any(same) {
                return Err(Wrong::at(
                    &place,
                    format!("`{}` is suppressed twice for the same", checked.finding),
                ));
            }
            suppress.push(checked);
        }
        Ok(Audit { suppress })
    }
}

impl WrittenSuppression {
    fn check(self) -> Result<Suppression, Wrong> {
        let Some(kind) = finding::kind(&self.finding.value) else {
            let wrong = Wrong::at(&self.finding, format!("there is no finding `{}`", self.finding.value));
            return Err(match name::nearest(&self.finding.value, KINDS.iter().map(|kind| kind.id)) {
                Some(id) => wrong.hint(format!("did you mean `{id}`?")),
                None => wrong.hint("docs/auditing.md lists them"),
            });
        };
        if !kind.suppressible {
            return Err(Wrong::at(
                &self.finding,
                format!("`{}` cannot be suppressed: {}", kind.id, kind.why),
            ));
        }
        let capability = match self.capability.value.as_str() {
            WORKSPACE => None,
            name => {
                name::check(name).map_err(|why| {
                    Wrong::at(&self.capability, why)
                        .hint(format!("or `{WORKSPACE}`, for findings about no single one"))
                })?;
                Some(name.to_owned())
            }
        };
        if let Some(subject) = &self.subject
            && (subject.value.is_empty() || subject.value.len() > SUBJECT)
        {
            return Err(Wrong::at(subject, format!("a subject is 1 to {SUBJECT} bytes of text"))
                .hint("`ops audit CAPABILITY` shows the lines to write"));
        }
        let subject = self.subject.map(|subject| subject.value);
        let reason = self.reason.value.trim();
        if reason.is_empty() || reason.len() > REASON {
            return Err(Wrong::at(&self.reason, format!("a reason is 1 to {REASON} bytes of text")));
        }
        let expires =
            self.expires.value.parse::<Date>().ok().filter(|date| date.to_string() == self.expires.value);
        let Some(expires) = expires else {
            return Err(Wrong::at(&self.expires, "this is not a day").hint("write it as 2027-05-01"));
        };
        Ok(Suppression { finding: kind.id, capability, subject, reason: reason.to_owned(), expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn parse(suppress: &str) -> Result<Audit, String> {
        let text = format!("workspace: demo\naudit:\n  suppress:\n{suppress}");
        Settings::parse("ops.yaml", text.as_bytes())
            .map(|settings| settings.audit)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_suppression_names_finding_capability_reason_and_day() {
        let audit = parse(
            "    - {finding: private-range, capability: a.b, reason: \"the lab\", expires: 2027-05-01}\n    \
             - {finding: development-lock, capability: workspace, reason: r, expires: 2027-05-01}\n",
        )
        .unwrap();
        let [first, second] = audit.suppress.as_slice() else { panic!("{audit:?}") };
        assert_eq!((first.finding, first.capability.as_deref()), ("private-range", Some("a.b")));
        assert_eq!((first.reason.as_str(), first.expires.to_string().as_str()), ("the lab", "2027-05-01"));
        assert_eq!(second.capability, None);
    }

    #[test]
    fn what_is_about_one_place_of_many_is_hidden_by_its_name_alone() {
        let audit = parse(
            "    - {finding: private-range, capability: a.b, subject: services/web/addresses/10.0.0.7/32, reason: r, expires: 2027-05-01}\n    \
             - {finding: private-range, capability: a.b, reason: r, expires: 2027-05-01}\n    \
             - {finding: auto-approval, capability: a.b, reason: r, expires: 2027-05-01}\n    \
             - {finding: limit-missing, capability: a.b, subject: limits, reason: r, expires: 2027-05-01}\n",
        )
        .unwrap();
        let [named, unnamed, whole, limits] = audit.suppress.as_slice() else { panic!("{audit:?}") };
        let one = "services/web/addresses/10.0.0.7/32";
        assert!(named.hides("private-range", Some("a.b"), one) && !named.lacks_subject());
        assert!(!named.hides("private-range", Some("a.b"), "services/web/addresses/10.0.0.0/8"));
        assert!(
            !named.hides("private-range", Some("a.c"), one)
                && !named.hides("auto-approval", Some("a.b"), one)
        );
        assert!(unnamed.lacks_subject() && !unnamed.hides("private-range", Some("a.b"), one));
        assert!(whole.hides("auto-approval", Some("a.b"), "approval"));
        assert!(limits.hides("limit-missing", Some("a.b"), "limits"));
        assert!(!limits.hides("limit-missing", Some("a.b"), "other"));
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = "finding: private-range, capability: a.b, reason: r, expires: 2027-05-01";
        for (from, to, why) in [
            ("private-range", "privat-range", "did you mean `private-range`?"),
            ("private-range", "anything-else-at-all", "docs/auditing.md lists them"),
            ("private-range", "not-in-lock", "cannot be suppressed"),
            ("private-range", "suppression-unused", "cannot be suppressed"),
            ("capability: a.b", "capability: \"*\"", "is not a name"),
            ("capability: a.b, ", "", "capability"),
            ("reason: r", "subject: \"\", reason: r", "a subject is"),
            ("reason: r", "subject: , reason: r", "subject"),
            ("reason: r", "reason: \" \"", "a reason is"),
            ("reason: r, ", "", "reason"),
            ("2027-05-01", "2027-02-30", "not a day"),
            ("2027-05-01", "never", "not a day"),
            ("2027-05-01", "2027-5-1", "not a day"),
            (", expires: 2027-05-01", "", "expires"),
            ("reason: r", "reason: r, more: 1", "more"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            let refused = parse(&format!("    - {{{changed}}}\n")).unwrap_err();
            assert!(refused.contains(why), "{to}: {refused}");
        }
        let twice = format!("    - {{{good}}}\n    - {{{good}}}\n");
        assert!(parse(&twice).unwrap_err().contains("twice"));
    }
}
