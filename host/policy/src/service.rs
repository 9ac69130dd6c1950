//! A service as a binding grants it: one origin, who may be dialled, what is added, which requests pass.
//!
//! Checked here, in order: origin, addresses, plain HTTP only to loopback, TLS, credential, then each rule.

use ipnet::IpNet;
use serde::Deserialize;

use crate::address;
use crate::grant_path;
use crate::header;
use crate::manifest::Safety;
use crate::name;
use crate::origin::{Origin, Scheme};
use crate::rule::{self, Rule};
use crate::yaml::{At, Wrong};

/// The most rules of one service.
const RULES: usize = 200;
/// The most ranges of one service.
const ADDRESSES: usize = 50;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where it lives.
    pub origin: Origin,
    /// How its certificate is checked, where not by the system's roots.
    pub tls: Option<Tls>,
    /// Ranges, not globally routable, in which it may be dialled.
    pub addresses: Vec<IpNet>,
    /// What the host adds to each request.
    pub credential: Option<Credential>,
    /// The requests that pass, in the order of the file.
    pub rules: Vec<Rule>,
}

/// A certificate authority of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file, relative to the workspace; its certificates are the only roots.
    pub ca: String,
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
    origin: At<String>,
    tls: Option<WrittenTls>,
    #[serde(default)]
    addresses: Vec<At<String>>,
    credential: Option<WrittenCredential>,
    rules: At<Vec<rule::Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {ca: tls/internal-ca.pem}")]
struct WrittenTls {
    ca: At<String>,
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
    pub(crate) fn check(self, safety: Safety) -> Result<Service, Wrong> {
        let origin = Origin::parse(&self.origin.value).map_err(|why| Wrong::at(&self.origin, why))?;
        let addresses = addresses(&self.addresses)?;
        if origin.scheme() == Scheme::Http
            && (addresses.is_empty() || !addresses.iter().all(address::is_loopback))
        {
            return Err(Wrong::at(&self.origin, "plain http: is for loopback only")
                .hint("use https:, or list nothing but loopback: `addresses: [127.0.0.1]`"));
        }
        let tls = self.tls.map(|tls| tls.check(&origin)).transpose()?;
        let credential = self.credential.map(WrittenCredential::check).transpose()?;
        let rules =
            rules(self.rules, safety, credential.as_ref().map(|credential| credential.header.as_str()))?;
        Ok(Service { origin, tls, addresses, credential, rules })
    }
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

impl WrittenTls {
    fn check(self, origin: &Origin) -> Result<Tls, Wrong> {
        if origin.scheme() == Scheme::Http {
            return Err(Wrong::at(&self.ca, "there is no TLS with an http: origin; remove `tls`"));
        }
        grant_path::relative(&self.ca.value).map_err(|why| Wrong::at(&self.ca, why))?;
        Ok(Tls { ca: self.ca.value })
    }
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

impl Credential {
    /// The header's value with a secret in it.
    pub fn value(&self, secret: &str) -> String {
        format!("{}{secret}{}", self.before, self.after)
    }
}
