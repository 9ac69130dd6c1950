//! Conditions on a JSON body: an allow list on the values that a pointer finds.
//!
//! `"/methodCalls/*/0": [Email/get]` reads: take `methodCalls`, go through every element of that list, and take
//! element 0 of each. Every value found must be one of the allowed ones, equal in type and value; it must be a
//! boolean, an integer or a text; and there must be one, on every branch: an element in which the rest of the
//! pointer finds nothing fails the condition, or `{}` would satisfy it.
//!
//! The body must be plain: one `content-type: application/json`, no content encoding, and a value that
//! reads in one way only: no twin keys, no fractions, bounded depth. What is sent is written anew from that value.
//!
//! Where a secret belongs into a body, the body holds [`PLACEHOLDER`] at that place; [`fill`] puts the value there.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::json::Json;
use crate::message::Header;
use crate::scalar::Scalar;

/// The longest pointer, in bytes.
const POINTER_BYTES: usize = 512;

/// What a body holds where a secret will be.
pub const PLACEHOLDER: &str = "[secret]";

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    pointer: Pointer,
    allowed: Vec<Scalar>,
}

/// Why a condition cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PredicateError {
    /// The pointer is too long.
    #[error("the pointer is longer than 512 bytes")]
    TooLong,
    /// The pointer does not begin with a slash.
    #[error("a pointer begins with `/`, such as /methodCalls/*/0")]
    Pointer,
    /// A tilde that escapes nothing.
    #[error("in a pointer `~` is written `~0`, and `/` in a key `~1`")]
    Escape,
    /// Nothing is allowed.
    #[error("the list of allowed values is empty")]
    Empty,
}

/// Why a body does not meet a rule's conditions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// There is no body.
    #[error("the rule says what the body holds, and there is none")]
    Missing,
    /// Not JSON by its header.
    #[error("the body needs one header `content-type: application/json`")]
    ContentType,
    /// Compressed or otherwise encoded.
    #[error("the body has a content encoding")]
    Encoding,
    /// Not JSON, or JSON with two readings.
    #[error("the body is not plain JSON: {0}")]
    Json(String),
    /// A pointer finds no value, or on one branch none.
    #[error("`{0}` finds no value, or not one in every element")]
    Nothing(String),
    /// A value that is no boolean, integer or text.
    #[error("`{0}` finds a value that is no boolean, integer or text")]
    Kind(String),
    /// A value that is not allowed.
    #[error("`{pointer}` finds {found}, which the rule does not allow")]
    Value {
        /// The condition's pointer.
        pointer: String,
        /// The value, as JSON, shortened.
        found: String,
    },
    /// A place for a secret that does not hold the placeholder.
    #[error("the body does not hold \"{PLACEHOLDER}\" at `{0}`")]
    Placeholder(String),
}

/// A JSON pointer, in which `*` stands for every element of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Each,
    Key(String),
}

impl Pointer {
    pub(crate) fn parse(text: &str) -> Result<Self, PredicateError> {
        if text.len() > POINTER_BYTES {
            return Err(PredicateError::TooLong);
        }
        let steps = text.strip_prefix('/').ok_or(PredicateError::Pointer)?;
        let steps = steps.split('/').map(step).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), steps })
    }

    /// Whether it can lead to one place only.
    pub(crate) fn is_single(&self) -> bool {
        !self.steps.contains(&Step::Each)
    }
}

impl Predicate {
    /// Makes a condition of a JSON pointer, in which `*` stands for every element of a list, and allowed values.
    ///
    /// # Errors
    ///
    /// A text that is not a pointer, and an empty list.
    pub fn new(pointer: &str, allowed: Vec<Scalar>) -> Result<Self, PredicateError> {
        let pointer = Pointer::parse(pointer)?;
        if allowed.is_empty() {
            return Err(PredicateError::Empty);
        }
        Ok(Self { pointer, allowed })
    }

    /// The pointer as it was written.
    pub fn pointer(&self) -> &str {
        &self.pointer.text
    }

    /// The values that are allowed.
    pub fn allowed(&self) -> &[Scalar] {
        &self.allowed
    }

    /// Whether every body that meets this condition meets `other`. Where it is not certain, the answer is no.
    ///
    /// A condition on every element of a list says that there is one, so it holds for the first.
    pub fn implies(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.pointer.steps, &other.pointer.steps);
        let covers = |(ours, theirs): (&Step, &Step)| {
            ours == theirs || matches!((ours, theirs), (Step::Each, Step::Key(key)) if key == "0")
        };
        ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(covers)
            && self.allowed.iter().all(|value| other.allowed.contains(value))
    }

    /// The two conditions as one, where they are on the same place; `Some(None)` where no value could meet both.
    pub(crate) fn meet(&self, other: &Self) -> Option<Option<Self>> {
        if self.pointer.steps != other.pointer.steps {
            return None;
        }
        let both: Vec<Scalar> =
            self.allowed.iter().filter(|value| other.allowed.contains(value)).cloned().collect();
        Some((!both.is_empty()).then(|| Self { pointer: self.pointer.clone(), allowed: both }))
    }

    /// The condition with its values sorted, each once.
    pub(crate) fn canonical(&self) -> Self {
        let allowed: std::collections::BTreeSet<Scalar> = self.allowed.iter().cloned().collect();
        Self { pointer: self.pointer.clone(), allowed: allowed.into_iter().collect() }
    }

    /// One condition for each value, where only one value of a body is meant: together they allow what this allows.
    pub(crate) fn single(&self) -> Option<Vec<Self>> {
        let one = |value: &Scalar| Self { pointer: self.pointer.clone(), allowed: vec![value.clone()] };
        (self.pointer.is_single() && self.allowed.len() > 1).then(|| self.allowed.iter().map(one).collect())
    }

    fn check(&self, body: &Json) -> Result<(), BodyError> {
        let pointer = || self.pointer.text.clone();
        let mut found = Vec::new();
        if !select(body, &self.pointer.steps, &mut found) {
            return Err(BodyError::Nothing(pointer()));
        }
        for value in found {
            let scalar = match value {
                Json::Bool(value) => Scalar::Bool(*value),
                Json::Int(value) => Scalar::Int(*value),
                Json::Text(value) => Scalar::Text(value.clone()),
                Json::Null | Json::Large(_) | Json::List(_) | Json::Map(_) => {
                    return Err(BodyError::Kind(pointer()));
                }
            };
            if !self.allowed.contains(&scalar) {
                let found = scalar.to_string().chars().take(80).collect();
                return Err(BodyError::Value { pointer: pointer(), found });
            }
        }
        Ok(())
    }
}

/// Checks a body against every condition of a rule and writes it anew. `headers` are the request's, names in lower
/// case; `places` are pointers without `*`, and the body must hold the placeholder at each of them.
///
/// # Errors
///
/// The first thing that is wrong: headers, then JSON, then the conditions in order, then the places in order.
pub fn check(
    predicates: &[Predicate],
    places: &[&str],
    headers: &[Header],
    body: Option<&[u8]>,
) -> Result<Vec<u8>, BodyError> {
    let bytes = body.ok_or(BodyError::Missing)?;
    let values =
        |name| headers.iter().filter(move |header| header.name == name).map(|header| header.value.as_str());
    if values("content-encoding").next().is_some() {
        return Err(BodyError::Encoding);
    }
    let mut types = values("content-type");
    match (types.next(), types.next()) {
        (Some(kind), None) if is_json(kind) => {}
        _ => return Err(BodyError::ContentType),
    }
    let mut value = Json::parse(bytes).map_err(not_json)?;
    for predicate in predicates {
        predicate.check(&value)?;
    }
    for at in places {
        placeholder(&mut value, at)?;
    }
    value.to_bytes().map_err(not_json)
}

/// Writes values into a body, each over the placeholder at its pointer. All of them are found before one is written.
///
/// # Errors
///
/// A body that is not plain JSON, and a pointer at which it does not hold the placeholder.
pub fn fill(body: &[u8], values: &[(&str, &str)]) -> Result<Zeroizing<Vec<u8>>, BodyError> {
    let mut json = Json::parse(body).map_err(not_json)?;
    for (at, _) in values {
        placeholder(&mut json, at)?;
    }
    // A text's longest form is an escape of six bytes for each of its own. Room for all of it at once: a buffer that
    // grows would leave copies of the secret in freed memory.
    let room = values.iter().map(|(_, value)| value.len().saturating_mul(6));
    let mut filled = Zeroizing::new(Vec::with_capacity(room.fold(body.len(), usize::saturating_add)));
    let placed = values.iter().try_for_each(|(at, value)| {
        *placeholder(&mut json, at)? = (*value).to_owned();
        Ok(())
    });
    let written = placed.and_then(|()| json.write(&mut filled).map_err(not_json));
    for (at, _) in values {
        if let Some(Json::Text(text)) = find(&mut json, at) {
            text.zeroize();
        }
    }
    written?;
    Ok(filled)
}

/// The text at a pointer, which must be the placeholder.
fn placeholder<'a>(json: &'a mut Json, at: &str) -> Result<&'a mut String, BodyError> {
    match find(json, at) {
        Some(Json::Text(text)) if text == PLACEHOLDER => Ok(text),
        _ => Err(BodyError::Placeholder(at.to_owned())),
    }
}

/// What a pointer without `*` leads to.
fn find<'a>(json: &'a mut Json, at: &str) -> Option<&'a mut Json> {
    let pointer = Pointer::parse(at).ok()?;
    pointer.steps.iter().try_fold(json, |json, step| match (step, json) {
        (Step::Key(key), Json::Map(entries)) => {
            entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        (Step::Key(key), Json::List(values)) => index(key).and_then(|index| values.get_mut(index)),
        _ => None,
    })
}

/// The booleans, integers and texts that a condition with this pointer would look at in a body. None where the body is not
/// plain JSON, or the pointer finds no value, not one on every branch, or one of another kind.
pub(crate) fn values(pointer: &str, body: &[u8]) -> Option<Vec<Scalar>> {
    let pointer = Pointer::parse(pointer).ok()?;
    let json = Json::parse(body).ok()?;
    let mut found = Vec::new();
    if !select(&json, &pointer.steps, &mut found) {
        return None;
    }
    let scalar = |value: &Json| match value {
        Json::Bool(value) => Some(Scalar::Bool(*value)),
        Json::Int(value) => Some(Scalar::Int(*value)),
        Json::Text(value) => Some(Scalar::Text(value.clone())),
        Json::Null | Json::Large(_) | Json::List(_) | Json::Map(_) => None,
    };
    found.into_iter().map(scalar).collect()
}

fn not_json(error: serde_json::Error) -> BodyError {
    BodyError::Json(error.to_string())
}

/// `application/json`, with no parameter but UTF-8: another character set would be another reading.
fn is_json(kind: &str) -> bool {
    let (kind, parameter) = kind.split_once(';').unwrap_or((kind, ""));
    let parameter = parameter.trim().to_ascii_lowercase();
    kind.trim().eq_ignore_ascii_case("application/json")
        && matches!(parameter.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

fn step(token: &str) -> Result<Step, PredicateError> {
    if token == "*" {
        return Ok(Step::Each);
    }
    let mut key = String::new();
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        key.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PredicateError::Escape),
            },
            c => c,
        });
    }
    Ok(Step::Key(key))
}

/// Collects what the steps find. `false` where a branch ends before a value. The steps are few: no deep recursion.
fn select<'a>(value: &'a Json, steps: &[Step], found: &mut Vec<&'a Json>) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return true;
    };
    match (step, value) {
        (Step::Each, Json::List(values)) => {
            !values.is_empty() && values.iter().all(|value| select(value, rest, found))
        }
        (Step::Key(key), Json::Map(entries)) => {
            entries.iter().find(|(name, _)| name == key).is_some_and(|(_, value)| select(value, rest, found))
        }
        (Step::Key(key), Json::List(values)) => {
            index(key).and_then(|index| values.get(index)).is_some_and(|value| select(value, rest, found))
        }
        _ => false,
    }
}

/// A list index as RFC 6901 writes it: no sign and no leading zero.
fn index(key: &str) -> Option<usize> {
    let plain = key.bytes().all(|byte| byte.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    if plain { key.parse().ok() } else { None }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed: Vec<String> = self.allowed.iter().map(Scalar::to_string).collect();
        write!(f, "{}: [{}]", self.pointer.text, allowed.join(", "))
    }
}

#[cfg(test)]
mod tests;
