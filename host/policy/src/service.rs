//! A service as a binding grants it: one origin, who may be dialled, what is added, which requests pass.
//!
//! The service `ops` is the host itself: it is never dialled, so it has no origin and nothing that goes with one, and it
//! can be read only.
//!
//! Checked here, in order: origin, addresses, plain HTTP only to loopback, TLS, credential, then each rule, and last
//! the secrets that go into bodies, which name rules.

mod secret;
pub(crate) mod tls;

use ipnet::IpNet;
use serde::Deserialize;

use crate::address;
use crate::header;
use crate::manifest::{RuleEffect, Safety};
use crate::name;
use crate::origin::{Origin, Scheme};
use crate::rule::{self, Method, Rule};
pub use crate::service::secret::BodySecret;
pub use crate::service::tls::{Fingerprint, FingerprintError, Tls};
use crate::yaml::{self, At, Wrong};

/// The most rules of one service.
const RULES: usize = 200;
/// The most ranges of one service.
const ADDRESSES: usize = 50;

/// The name of the service that the host answers itself.
pub const OWN: &str = "ops";

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where it lives; none for the host itself.
    pub origin: Option<Origin>,
    /// How its certificate is checked, where not by the system's roots.
    pub tls: Option<Tls>,
    /// Ranges, not globally routable, in which it may be dialled.
    pub addresses: Vec<IpNet>,
    /// What the host adds to each request.
    pub credential: Option<Credential>,
    /// The requests that pass, in the order of the file.
    pub rules: Vec<Rule>,
    /// What the host writes into the bodies of some of them.
    pub secrets: Vec<BodySecret>,
}

/// A header field with a secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret's name in `ops.yaml`.
    pub secret: String,
    /// The header's name, in lower case.
    pub header: String,
    /// The text before the secret in the header's value.
    pub before: String,
    /// The text after it.
    pub after: String,
}

/// A service as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a service, a map with `origin` and `rules`")]
pub(crate) struct Written {
    #[serde(default, deserialize_with = "yaml::present")]
    origin: Option<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    tls: Option<At<tls::Written>>,
    #[serde(default)]
    addresses: Vec<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    credential: Option<WrittenCredential>,
    rules: At<Vec<rule::Written>>,
    #[serde(default)]
    secrets: Vec<secret::Written>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map, such as {secret: mail-token, header: Authorization, as: \"Bearer {}\"}"
)]
struct WrittenCredential {
    secret: At<String>,
    header: At<String>,
    #[serde(rename = "as")]
    form: At<String>,
}

impl Written {
    pub(crate) fn check(self, name: &str, safety: Safety) -> Result<Service, Wrong> {
        if name == OWN {
            return self.own(safety);
        }
        let Some(origin) = &self.origin else {
            return Err(Wrong::at(&self.rules, format!("the service `{name}` has no `origin`"))
                .hint("write where it lives, such as origin: https://mail.example.internal:443"));
        };
        let (origin, addresses) = reach(origin, &self.addresses)?;
        let tls = self.tls.map(|tls| tls::check(tls, &origin)).transpose()?;
        let credential = self.credential.map(WrittenCredential::check).transpose()?;
        let rules =
            rules(self.rules, safety, credential.as_ref().map(|credential| credential.header.as_str()))?;
        let secrets = secret::check(self.secrets, &rules)?;
        Ok(Service { origin: Some(origin), tls, addresses, credential, rules, secrets })
    }

    /// The host itself.
    fn own(self, safety: Safety) -> Result<Service, Wrong> {
        let hint = "the host answers for it, and nothing is dialled: give it `rules` alone";
        let extra = |what: &str| format!("the service `{OWN}` is the host itself and has no `{what}`");
        if let Some(origin) = &self.origin {
            return Err(Wrong::at(origin, extra("origin")).hint(hint));
        }
        let more = [
            ("tls", self.tls.is_some()),
            ("addresses", !self.addresses.is_empty()),
            ("credential", self.credential.is_some()),
            ("secrets", !self.secrets.is_empty()),
        ];
        if let Some((what, _)) = more.into_iter().find(|(_, is_there)| *is_there) {
            return Err(Wrong::at(&self.rules, extra(what)).hint(hint));
        }
        let places: Vec<_> = self.rules.value.iter().map(|rule| rule.id.clone()).collect();
        let rules = rules(self.rules, safety, None)?;
        let wrong = |rule: &&Rule| rule.method != Method::Get || rule.effect != RuleEffect::Read;
        if let Some((_, place)) = rules.iter().zip(&places).find(|(rule, _)| wrong(rule)) {
            let text = format!("of the service `{OWN}` a rule reads: `method: GET` and `effect: read`");
            return Err(Wrong::at(place, text));
        }
        Ok(Service {
            origin: None,
            tls: None,
            addresses: Vec::new(),
            credential: None,
            rules,
            secrets: Vec::new(),
        })
    }
}

impl Service {
    /// Where it lives, for people.
    pub fn place(&self) -> String {
        self.origin.as_ref().map_or_else(|| "this host".to_owned(), Origin::to_string)
    }

    /// The rule with that id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// What the host writes into the bodies of that rule's requests.
    pub fn secrets_of(&self, rule: &str) -> impl Iterator<Item = &BodySecret> {
        self.secrets.iter().filter(move |secret| secret.rule == rule)
    }

    /// The names of all secrets that go out with a request under a rule: the credential's and those in the body.
    pub fn secrets_with(&self, rule: &str) -> impl Iterator<Item = &str> {
        let credential = self.credential.iter().map(|credential| credential.secret.as_str());
        credential.chain(self.secrets_of(rule).map(|place| place.name.as_str()))
    }
}

/// An origin and the ranges in which it may be dialled.
pub(crate) fn reach(origin: &At<String>, listed: &[At<String>]) -> Result<(Origin, Vec<IpNet>), Wrong> {
    let parsed = Origin::parse(&origin.value).map_err(|why| Wrong::at(origin, why))?;
    let addresses = addresses(listed)?;
    if parsed.scheme() == Scheme::Http
        && (addresses.is_empty() || !addresses.iter().all(address::is_loopback))
    {
        return Err(Wrong::at(origin, "plain http: is for loopback only")
            .hint("use https:, or list nothing but loopback: `addresses: [127.0.0.1]`"));
    }
    Ok((parsed, addresses))
}

fn addresses(written: &[At<String>]) -> Result<Vec<IpNet>, Wrong> {
    let mut ranges = Vec::new();
    for range in written {
        if ranges.len() == ADDRESSES {
            return Err(Wrong::at(range, format!("at most {ADDRESSES} ranges are listed")));
        }
        ranges.push(address::parse(&range.value).map_err(|why| Wrong::at(range, why))?);
    }
    Ok(ranges)
}

fn rules(
    written: At<Vec<rule::Written>>,
    safety: Safety,
    credential: Option<&str>,
) -> Result<Vec<Rule>, Wrong> {
    if written.value.is_empty() {
        return Err(Wrong::at(
            &written,
            "a service without rules grants nothing; add a rule or remove the service",
        ));
    }
    if written.value.len() > RULES {
        return Err(Wrong::at(&written, format!("a service has at most {RULES} rules")));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for rule in written.value {
        if rules.iter().any(|earlier| earlier.id == rule.id.value) {
            return Err(Wrong::at(
                &rule.id,
                format!("the id `{}` is given to two rules of this service", rule.id.value),
            ));
        }
        rules.push(rule.check(safety, credential)?);
    }
    Ok(rules)
}

impl WrittenCredential {
    fn check(self) -> Result<Credential, Wrong> {
        name::check_word(&self.secret.value).map_err(|why| Wrong::at(&self.secret, why))?;
        let header = self.header.value.to_ascii_lowercase();
        if !header::is_token(&header) {
            return Err(Wrong::at(&self.header, format!("`{header}` is not a header name")));
        }
        if header::is_forbidden(&header) || header::ALWAYS.contains(&header.as_str()) {
            return Err(Wrong::at(&self.header, format!("`{header}` cannot carry a credential")));
        }
        let form = &self.form.value;
        let visible = form.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        match form.split_once("{}") {
            Some((before, after)) if visible && form.len() <= 256 && !after.contains("{}") => {
                Ok(Credential {
                    secret: self.secret.value,
                    header,
                    before: before.to_owned(),
                    after: after.to_owned(),
                })
            }
            _ => Err(Wrong::at(
                &self.form,
                "`as` is visible ASCII with `{}` in it once, where the secret goes",
            )
            .hint("for example as: \"Bearer {}\"")),
        }
    }
}
