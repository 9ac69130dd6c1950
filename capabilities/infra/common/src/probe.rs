//! What a probe of one system reports: a row for each check, and what they come to.
//!
//! The words keep apart what the old scripts threw together: a check that failed, one that was not made because another
//! failed before it, and a system that is not bound here. Only if every check was made and went well is the result `ok`.
//! A credential that is refused and a limit on requests are different causes, because different people mend them.

use std::time::Duration;

use ops_guest::{Ctx, Failure, Request, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::system::System;

/// What a probe reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The system that was asked.
    pub system: System,
    /// The checks, in their order.
    pub checks: Vec<Row>,
    /// How long the answers took together, in milliseconds, where it was asked.
    pub latency_ms: Option<u64>,
    /// `ok` if every check was made and went well.
    #[schemars(extend("x-ops-fails-on" = ["failed"]))]
    pub result: Verdict,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Its name, as the baseline contract has it.
    pub check: String,
    /// What came of it.
    pub result: Outcome,
    /// Of one that failed: the kind of failure.
    pub cause: Option<Cause>,
    /// What was seen, what is wrong, or why it was not made.
    pub why: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was made, and all is well.
    Ok,
    /// It was made, and something is wrong.
    Failed,
    /// It was not made, because another one failed before it.
    Skipped,
    /// It was not made, because the system is not bound in this workspace.
    NotBound,
}

impl Outcome {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::NotBound => "not-bound",
        }
    }
}

/// What the checks of a system come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check was made and went well.
    Ok,
    /// At least one did not.
    Failed,
    /// The system is not bound in this workspace, so nobody can tell. That is not `ok`.
    NotBound,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The credential is wrong, expired, or may not do this (401, 403).
    TokenInvalid,
    /// The service asks to be left alone (429), and went on asking when the host tried again.
    RateLimited,
    /// There was no answer.
    NetworkError,
    /// It answered with another status, or said itself that something is wrong.
    ApiError,
    /// It answered something that this system does not answer.
    UnexpectedAnswer,
    /// The binding has no rule for the request.
    NotGranted,
}

/// A check that did not go well: the kind of failure, and why.
pub type Failed = (Cause, String);

/// A check: its name, and how it is made. What it returns is what was seen.
pub type Check = (&'static str, fn(&Ctx) -> Result<String, Failed>);

impl Report {
    /// Makes the checks of a system, each in its turn. After one that failed the others are skipped: their answers would
    /// be the same, or would be asked of somebody who wants to be left alone. Where the system's service is not bound,
    /// none is made.
    pub fn of(ctx: &Ctx, system: System, checks: &[Check]) -> Self {
        if !ctx.is_bound(system.as_str()) {
            let why = format!("no service `{system}` is bound in this workspace");
            let rows = checks.iter().map(|(check, _)| row(check, Outcome::NotBound, None, why.clone()));
            return Self { system, checks: rows.collect(), latency_ms: None, result: Verdict::NotBound };
        }
        let start = ctx.elapsed();
        let mut rows: Vec<Row> = Vec::with_capacity(checks.len());
        let mut broken: Option<&str> = None;
        for (check, make) in checks {
            rows.push(match broken {
                Some(first) => row(check, Outcome::Skipped, None, format!("`{first}` failed before it")),
                None => match make(ctx) {
                    Ok(why) => row(check, Outcome::Ok, None, why),
                    Err((cause, why)) => {
                        broken = Some(check);
                        row(check, Outcome::Failed, Some(cause), why)
                    }
                },
            });
        }
        Self {
            system,
            checks: rows,
            latency_ms: Some(milliseconds(ctx.elapsed().saturating_sub(start))),
            result: if broken.is_none() { Verdict::Ok } else { Verdict::Failed },
        }
    }
}

fn row(check: &str, result: Outcome, cause: Option<Cause>, why: String) -> Row {
    Row { check: check.to_owned(), result, cause, why }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Reads from a service for a check.
///
/// # Errors
/// The kind of failure, and why, where there is no answer or one with a status of 400 and above.
pub fn ask(ctx: &Ctx, request: Request) -> Result<Response, Failed> {
    ctx.fetch(request).map_err(|failure| (cause(&failure), failure.why()))
}

/// The kind of a failure.
fn cause(failure: &Failure) -> Cause {
    match failure {
        Failure::Upstream(upstream) if matches!(upstream.status, 401 | 403) => Cause::TokenInvalid,
        Failure::Upstream(_) => Cause::ApiError,
        Failure::RateLimited(_) => Cause::RateLimited,
        Failure::NotGranted(_) => Cause::NotGranted,
        _ => Cause::NetworkError,
    }
}

/// An answer that this system does not give.
pub fn unexpected(what: impl Into<String>) -> Failed {
    (Cause::UnexpectedAnswer, what.into())
}

/// Whether a text begins with a date and a time of day, as RFC 3339 writes them.
pub fn is_date_time(text: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd";
    text.len() <= 40
        && text.len() >= form.len()
        && text.bytes().zip(form).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            form => byte == *form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, good) in [
            ("2026-03-02T02:22:49.123456Z", true),
            ("2026-03-02T02:22:49+00:00", true),
            ("2026-03-02 02:22:49", false),
            ("2026-03-02", false),
            ("", false),
            ("<!doctype html><html lang=en>", false),
            ("2026-03-02T02:22:49aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(is_date_time(text), good, "{text}");
        }
    }

    #[test]
    fn causes() {
        use ops_guest::{RateLimit, Upstream};
        let upstream =
            |status| Failure::Upstream(Upstream { service: "x".into(), status, message: "m".into() });
        for (failure, expected) in [
            (upstream(401), Cause::TokenInvalid),
            (upstream(403), Cause::TokenInvalid),
            (upstream(404), Cause::ApiError),
            (upstream(503), Cause::ApiError),
            (Failure::RateLimited(RateLimit { service: "x".into(), seconds: None }), Cause::RateLimited),
            (Failure::not_granted("no rule"), Cause::NotGranted),
            (Failure::failed("GET /: refused"), Cause::NetworkError),
        ] {
            assert_eq!(cause(&failure), expected, "{failure:?}");
        }
    }
}
