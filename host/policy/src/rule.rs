//! One rule of a service: which requests it covers, and what they do there.
//!
//! Checked here, in order: id, method, path, effect against the safety class, query keys, header names, body
//! conditions. A rule that could never match, or that grants what nobody may have, is an error of the file.

use std::fmt;

use serde::Deserialize;

use crate::body::Predicate;
use crate::header;
use crate::manifest::{RuleEffect, Safety};
pub use crate::pattern::{PathPattern, PatternError};
use crate::scalar::Scalar;
use crate::yaml::{At, Entries, Wrong};

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
}

/// The most severe effect that a safety class allows.
pub(crate) fn ceiling(safety: Safety) -> RuleEffect {
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
        if self.effect.value > ceiling(safety) {
            return Err(Wrong::at(&self.effect, "the rule's effect is above the binding's safety class")
                .hint("read-only allows read; mutating allows read and mutate; destructive allows all"));
        }
        Ok(Rule {
            query: query(&self.query)?,
            headers: headers(&self.headers, credential)?,
            body: body(self.body, self.method, &self.id)?,
            id: self.id.value,
            method: self.method,
            path,
            effect: self.effect.value,
        })
    }
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
    let mut names = Vec::new();
    for written in written {
        bounded(&names, written)?;
        let name = written.value.to_ascii_lowercase();
        if !header::is_token(&name) {
            return Err(Wrong::at(written, format!("`{name}` is not a header name")));
        }
        if header::is_forbidden(&name) {
            return Err(Wrong::at(written, format!("`{name}` can never be set by a capability")));
        }
        if credential == Some(name.as_str()) {
            return Err(Wrong::at(
                written,
                format!("`{name}` carries the credential; only the host sets it"),
            ));
        }
        if names.contains(&name) {
            return Err(Wrong::at(written, format!("the header `{name}` is listed twice")));
        }
        names.push(name);
    }
    Ok(names)
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
