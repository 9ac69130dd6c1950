//! One rule of a service: which requests it covers, and what they do there.
//!
//! Checked here, in order: id, method, path, effect against the safety class (or that there is something to undo),
//! query keys, header names, body conditions, the idempotency header. A rule that could never match, or that grants what nobody may have, is an error of the file.

use std::fmt;

use serde::Deserialize;

use crate::body::Predicate;
use crate::header;
use crate::manifest::{RuleEffect, Safety};
pub use crate::pattern::{PathPattern, PatternError};
use crate::scalar::Scalar;
use crate::yaml::{self, At, Entries, Wrong};

/// The most query keys, header names, body conditions or values that one rule lists.
const LISTED: usize = 100;

/// A method that a rule can grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in receipts, unique in its service.
    pub id: String,
    /// The method.
    pub method: Method,
    /// The paths.
    pub path: PathPattern,
    /// What such a request does.
    pub effect: RuleEffect,
    /// The query keys that may be used.
    pub query: Vec<String>,
    /// The header fields that may be set besides those that always may, in lower case.
    pub headers: Vec<String>,
    /// Conditions on the body, all of which must hold; where there is none, any body passes.
    pub body: Vec<Predicate>,
    /// The header field, in lower case, in which the host says which effect this is, so that a server does it once
    /// however often it is sent. The guest cannot set it.
    pub idempotency: Option<String>,
    /// Whether it is for taking back what a run did (`for: undo`), and for nothing else. Such a rule may do more than
    /// the binding's safety class allows, and more than the manifest states as a need.
    pub only_undo: bool,
}

impl Rule {
    /// Whether a request that may have arrived can be sent again: it reads, it is PUT or DELETE, or the server knows
    /// it by its idempotency header.
    pub fn is_repeatable(&self) -> bool {
        self.effect == RuleEffect::Read
            || matches!(self.method, Method::Put | Method::Delete)
            || self.idempotency.is_some()
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method of that name, in upper case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule can be kept for.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Purpose {
    Undo,
}

/// A rule as written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a rule, such as {id: session, method: GET, path: /x, effect: read}"
)]
pub(crate) struct Written {
    pub(crate) id: At<String>,
    method: Method,
    path: At<String>,
    effect: At<RuleEffect>,
    #[serde(default)]
    query: Vec<At<String>>,
    #[serde(default)]
    headers: Vec<At<String>>,
    #[serde(default)]
    body: Entries<At<Vec<Scalar>>>,
    #[serde(default, deserialize_with = "yaml::present")]
    idempotency: Option<At<String>>,
    #[serde(default, rename = "for", deserialize_with = "yaml::present")]
    purpose: Option<At<Purpose>>,
}

/// The most severe effect that a safety class allows.
pub fn ceiling(safety: Safety) -> RuleEffect {
    match safety {
        Safety::ReadOnly => RuleEffect::Read,
        Safety::Mutating => RuleEffect::Mutate,
        Safety::Destructive => RuleEffect::Destroy,
    }
}

impl Written {
    /// `credential` is the header of the service's credential, in lower case.
    pub(crate) fn check(self, safety: Safety, credential: Option<&str>) -> Result<Rule, Wrong> {
        let id_char = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.value.is_empty() || self.id.value.len() > 64 || !self.id.value.bytes().all(id_char) {
            return Err(Wrong::at(&self.id, "an id is 1 to 64 lower-case letters, digits and `-`"));
        }
        let path = PathPattern::parse(&self.path.value).map_err(|why| {
            Wrong::at(&self.path, format!("`{}` is not a path pattern: {why}", self.path.value))
        })?;
        match &self.purpose {
            Some(purpose) => undoing(purpose, &self.effect, safety)?,
            None if self.effect.value > ceiling(safety) => {
                return Err(Wrong::at(&self.effect, "the rule's effect is above the binding's safety class")
                    .hint("read-only allows read; mutating allows read and mutate; destructive allows all"));
            }
            None => {}
        }
        let query = query(&self.query)?;
        let headers = headers(&self.headers, credential)?;
        let body = body(self.body, self.method, &self.id)?;
        let idempotency = match &self.idempotency {
            Some(name) => Some(idempotency(name, self.effect.value, &headers, credential)?),
            None => None,
        };
        let (id, method, effect) = (self.id.value, self.method, self.effect.value);
        let only_undo = self.purpose.is_some();
        Ok(Rule { id, method, path, effect, query, headers, body, idempotency, only_undo })
    }
}

/// Checks that a rule `for: undo` has something to undo, and something to do.
fn undoing(purpose: &At<Purpose>, effect: &At<RuleEffect>, safety: Safety) -> Result<(), Wrong> {
    if safety == Safety::ReadOnly {
        return Err(Wrong::at(purpose, "a read-only capability changes nothing that could be undone"));
    }
    if effect.value == RuleEffect::Read {
        return Err(Wrong::at(
            effect,
            "a rule `for: undo` changes something back, so its effect is mutate or destroy",
        ));
    }
    Ok(())
}

fn query(written: &[At<String>]) -> Result<Vec<String>, Wrong> {
    let mut keys = Vec::new();
    for key in written {
        bounded(&keys, key)?;
        if key.value.is_empty() || key.value.len() > 256 || key.value.chars().any(char::is_control) {
            return Err(Wrong::at(key, "a query key is 1 to 256 bytes of plain text"));
        }
        if keys.contains(&key.value) {
            return Err(Wrong::at(key, format!("the query key `{}` is listed twice", key.value)));
        }
        keys.push(key.value.clone());
    }
    Ok(keys)
}

fn headers(written: &[At<String>], credential: Option<&str>) -> Result<Vec<String>, Wrong> {
    let mut names: Vec<String> = Vec::new();
    for written in written {
        bounded(&names, written)?;
        let name = header_name(written, credential)?;
        if header::is_forbidden(&name) {
            return Err(Wrong::at(written, format!("`{name}` can never be set by a capability")));
        }
        if names.iter().any(|earlier| header::is_same(earlier, &name)) {
            return Err(Wrong::at(written, format!("the header `{name}` is listed twice")));
        }
        names.push(name);
    }
    Ok(names)
}

/// A header's name in lower case, if it is one and not the credential's.
fn header_name(written: &At<String>, credential: Option<&str>) -> Result<String, Wrong> {
    let name = written.value.to_ascii_lowercase();
    if !header::is_token(&name) {
        return Err(Wrong::at(written, format!("`{name}` is not a header name")));
    }
    if credential.is_some_and(|credential| header::is_same(credential, &name)) {
        return Err(Wrong::at(written, format!("`{name}` carries the credential; only the host sets it")));
    }
    Ok(name)
}

fn idempotency(
    written: &At<String>,
    effect: RuleEffect,
    headers: &[String],
    credential: Option<&str>,
) -> Result<String, Wrong> {
    if effect == RuleEffect::Read {
        return Err(Wrong::at(written, "a rule with `effect: read` needs no idempotency header; remove it"));
    }
    let name = header_name(written, credential)?;
    if header::is_forbidden(&name) || header::ALWAYS.iter().any(|always| header::is_same(always, &name)) {
        return Err(Wrong::at(written, format!("`{name}` cannot be an idempotency header")));
    }
    if headers.iter().any(|listed| header::is_same(listed, &name)) {
        let text = format!("`{name}` is filled by the host, so a capability cannot set it");
        return Err(Wrong::at(written, text).hint("remove it from `headers`"));
    }
    Ok(name)
}

fn body(written: Entries<At<Vec<Scalar>>>, method: Method, id: &At<String>) -> Result<Vec<Predicate>, Wrong> {
    if !written.0.is_empty() && matches!(method, Method::Get | Method::Head) {
        return Err(Wrong::at(id, format!("{method} requests have no body, so this rule could never match")));
    }
    let mut predicates = Vec::new();
    for (pointer, allowed) in written.0 {
        bounded(&predicates, &pointer)?;
        bounded(&allowed.value, &allowed)?;
        let predicate = Predicate::new(&pointer.value, allowed.value);
        predicates.push(predicate.map_err(|why| Wrong::at(&pointer, why))?);
    }
    Ok(predicates)
}

fn bounded<T, U>(list: &[T], at: &At<U>) -> Result<(), Wrong> {
    if list.len() > LISTED {
        return Err(Wrong::at(at, format!("a rule lists at most {LISTED} things of a kind")));
    }
    Ok(())
}
