//! A plan: the ordered list of changes that a run would make, with everything that its hash covers.
//!
//! People approve the hash, so whatever is shown to them, and whatever a later run depends on, is a field of this
//! one document. The hash is SHA-256 over its canonical JSON (RFC 8785); nothing is left out of it. The id of the
//! ledger is in it, so that an approval is good on one host only; a nonce is in it, so that no two plans are equal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{RuleEffect, Safety};
use crate::message::{Call, Effect, Input, Invoked, Request, Undo};

/// The format's version, in every plan.
pub const VERSION: u32 = 1;

/// The longest plan document that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The namespace of approval signatures (`ssh-keygen -Y sign -n`).
pub const NAMESPACE: &str = "ops-plan";

/// In what standing somebody asks for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskedAs {
    /// A person at the program `ops`.
    Person,
    /// An agent that this user has started.
    LocalAgent,
    /// An agent that proved a name.
    NamedAgent,
}

impl AskedAs {
    /// What a name of somebody in this standing is a name of, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Person => "a person",
            Self::LocalAgent => "an agent that this user has started",
            Self::NamedAgent => "an agent of that name",
        }
    }
}

/// What a run would change, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The plan's name, `P` and ten of `a-z0-9`.
    pub id: String,
    /// The id of the ledger that holds it.
    pub ledger: String,
    /// The key of the run that made it.
    pub run: String,
    /// Who asked for it.
    pub requester: String,
    /// In what standing. Three who have one name are three.
    pub asked_as: AskedAs,
    /// The capability.
    pub capability: String,
    /// The binding's safety class.
    pub safety: Safety,
    /// `ops.lock`, whole.
    pub lock: Digest,
    /// The component's bytes.
    pub component: Digest,
    /// The binding's bytes.
    pub binding: Digest,
    /// The manifest in the lock.
    pub manifest: Digest,
    /// Host and engine, with versions.
    pub host: String,
    /// What the guest is given.
    pub input: Input,
    /// The frozen wall clock.
    pub clock: Clock,
    /// SHA-256 of the seed from which the guest's random bytes come. The seed is a secret.
    pub seed: Digest,
    /// 128 random bits in hex.
    pub nonce: String,
    /// When it was made, RFC 3339 in UTC.
    pub created: String,
    /// When it stops being good, RFC 3339 in UTC.
    pub expires: String,
    /// How many approvals it needs; 0 where the binding says `auto`.
    pub approvals: u32,
    /// Whether it comes from a dry run and can never be approved.
    pub dry_run: bool,
    /// The key of the run whose effects this plan takes back; no guest runs for it.
    pub undoes: Option<String>,
    /// Why the plan cannot go on past its last effect, where it cannot.
    pub incomplete: Option<String>,
    /// The changes at services, in order.
    pub effects: Vec<PlannedEffect>,
    /// The changes of files, sorted by directory and path.
    pub files: Vec<PlannedFile>,
    /// What was read from services before the first effect and after, in order.
    pub reads: Vec<PlannedRead>,
    /// What other capabilities answered, in order. Where the plan is carried out they are not asked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invoked: Vec<PlannedCalls>,
    /// The content of each granted directory, by its name.
    pub directories: BTreeMap<String, Digest>,
    /// The content of each granted contract, by its name.
    pub contracts: BTreeMap<String, Digest>,
}

/// A point in time, as the guest's wall clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whole seconds since the Unix epoch.
    pub seconds: u64,
    /// Nanoseconds of the second.
    pub nanoseconds: u32,
}

/// One change at a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEffect {
    /// One line for people, by the capability.
    pub summary: String,
    /// The origin behind the service's name. None where nothing is bound.
    pub origin: Option<String>,
    /// The rule that lets it through. None where nothing is bound.
    pub rule: Option<String>,
    /// What the rule says such a request does.
    pub class: RuleEffect,
    /// What the guest asked to send.
    pub request: Request,
    /// How it can be taken back.
    pub undo: Undo,
    /// Whether no binding was there to check it against; such a plan cannot be approved.
    pub unchecked: bool,
}

/// What happens to a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A new file.
    Create,
    /// A file with other content.
    Replace,
    /// A file that goes.
    Delete,
    /// A new folder.
    CreateDirectory,
    /// A folder that goes.
    DeleteDirectory,
}

impl Change {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::CreateDirectory => "create folder",
            Self::DeleteDirectory => "delete folder",
        }
    }
}

/// One change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// The name of the granted directory.
    pub directory: String,
    /// The path in it.
    pub path: String,
    /// What happens.
    pub change: Change,
    /// The content before, where there is one.
    pub before: Option<Digest>,
    /// The content after, where there is one.
    pub after: Option<Digest>,
    /// The size after, in bytes.
    pub size: u64,
    /// The text before, where it is text and short enough to show.
    pub before_text: Option<String>,
    /// The text after, where it is text and short enough to show.
    pub after_text: Option<String>,
}

/// One answer that the plan rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRead {
    /// What was asked, for people: service, method and path without the query.
    pub summary: String,
    /// The whole request.
    pub request: Digest,
    /// Status and body of the answer, or the error.
    pub answer: Digest,
    /// How many effects had been captured before it.
    pub after_effects: u32,
}

/// Calls of other capabilities that were made at once, and what came of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCalls {
    /// What was called.
    pub calls: Vec<Call>,
    /// The answers, in the order of the calls.
    pub answers: Vec<Invoked>,
}

/// How an effect that is asked for compares with the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// It is the next one.
    Same(&'a PlannedEffect),
    /// The next one is another.
    Different(&'a PlannedEffect),
    /// The list is used up.
    PastEnd,
}

impl Plan {
    /// Reads a plan document.
    ///
    /// # Errors
    ///
    /// A text that is too long, is no plan, or has a version that this program does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("a plan has at most {MAX_BYTES} bytes"));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| format!("not a plan: {error}"))?;
        if plan.version != VERSION {
            return Err(format!("plan version {} is not known here", plan.version));
        }
        Ok(plan)
    }

    /// The hash that is approved.
    #[expect(clippy::expect_used, reason = "strings, integers, lists and maps by string always serialise")]
    pub fn hash(&self) -> Digest {
        Digest::of_json(self).expect("a plan is JSON")
    }

    /// What an approver signs: a yes to this plan that is good until a moment, RFC 3339. With the moment in it, a
    /// signature that lies around somewhere is of no use to anybody after that.
    pub fn text_to_sign(&self, until: &str) -> String {
        format!("ops-plan v2\ncapability {}\nplan {}\napproved until {until}\n", self.capability, self.hash())
    }

    /// Until when a text says yes to this plan; `None` where it says something else.
    pub fn approved_until<'a>(&self, text: &'a str) -> Option<&'a str> {
        let until = text.lines().last()?.strip_prefix("approved until ")?;
        (text == self.text_to_sign(until)).then_some(until)
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.files.is_empty()
    }

    /// Why it can never be approved, where it cannot.
    pub fn unapprovable(&self) -> Option<&'static str> {
        if self.dry_run {
            Some("it comes from a dry run")
        } else if self.effects.iter().any(|effect| effect.unchecked) {
            Some("some of its effects go to a service that is not bound, so nothing has checked them")
        } else {
            None
        }
    }

    /// Compares an effect that is asked for after `performed` others with the one that was approved.
    pub fn next(&self, performed: usize, asked: &Effect) -> Next<'_> {
        match self.effects.get(performed) {
            None => Next::PastEnd,
            Some(planned)
                if planned.summary == asked.summary
                    && planned.request == asked.request
                    && planned.undo == asked.undo =>
            {
                Next::Same(planned)
            }
            Some(planned) => Next::Different(planned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Header;

    fn plan() -> Plan {
        let digest = Digest::of(b"x");
        Plan {
            version: VERSION,
            id: "Pabcdefghij".into(),
            ledger: "l".into(),
            run: "CAP-20260101-000000__a.b__Rabcdefghij".into(),
            requester: "op".into(),
            asked_as: AskedAs::Person,
            capability: "a.b".into(),
            safety: Safety::Mutating,
            lock: digest,
            component: digest,
            binding: digest,
            manifest: digest,
            host: "ops".into(),
            input: Input { arguments: "{}".into(), config: "{}".into(), services: vec![] },
            clock: Clock { seconds: 1, nanoseconds: 2 },
            seed: digest,
            nonce: "n".into(),
            created: "2026-01-01T00:00:00Z".into(),
            expires: "2026-01-02T00:00:00Z".into(),
            approvals: 1,
            dry_run: false,
            undoes: None,
            incomplete: None,
            effects: vec![PlannedEffect {
                summary: "send".into(),
                origin: Some("https://mail.example:443".into()),
                rule: Some("send".into()),
                class: RuleEffect::Mutate,
                request: request("/a"),
                undo: Undo::Impossible("sent".into()),
                unchecked: false,
            }],
            files: vec![],
            reads: vec![],
            invoked: vec![],
            directories: BTreeMap::new(),
            contracts: BTreeMap::new(),
        }
    }

    fn request(path: &str) -> Request {
        Request {
            service: "mail".into(),
            method: "POST".into(),
            path: path.into(),
            headers: vec![Header { name: "accept".into(), value: "*/*".into() }],
            body: Some(vec![0, 255]),
        }
    }

    #[test]
    fn survives_its_document_with_the_same_hash() {
        let plan = plan();
        let text = serde_json::to_vec_pretty(&plan).unwrap();
        let again = Plan::parse(&text).unwrap();
        assert_eq!(again, plan);
        assert_eq!(again.hash(), plan.hash());
    }

    #[test]
    fn every_field_is_covered_by_the_hash() {
        let value = serde_json::to_value(plan()).unwrap();
        let original = Digest::of_json(&value).unwrap();
        for key in value.as_object().unwrap().keys() {
            let mut changed = value.clone();
            changed[key] = serde_json::json!("other");
            assert_ne!(Digest::of_json(&changed).unwrap(), original, "{key}");
        }
    }

    #[test]
    fn another_byte_is_another_effect() {
        let plan = plan();
        let same =
            Effect { summary: "send".into(), request: request("/a"), undo: Undo::Impossible("sent".into()) };
        assert!(matches!(plan.next(0, &same), Next::Same(_)));
        assert_eq!(plan.next(1, &same), Next::PastEnd);
        let mut other = same.clone();
        other.request.body = Some(vec![0, 254]);
        assert!(matches!(plan.next(0, &other), Next::Different(_)));
        let mut other = same;
        other.undo = Undo::ByHand("call".into());
        assert!(matches!(plan.next(0, &other), Next::Different(_)));
    }

    #[test]
    fn refuses_what_is_no_plan() {
        for text in ["", "{}", "[]", "{\"version\":2}"] {
            assert!(Plan::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
