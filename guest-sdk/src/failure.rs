//! Why a run has no output, and how other errors become such a reason.

use crate::{Failure, NetError, RateLimit, Request, Response, Upstream};

/// How much of a service's error text is passed on, in characters.
const EXCERPT: usize = 200;
/// The longest wait that is passed on, in seconds: a week. No service means more, and a number that nobody can place
/// helps nobody.
const LONGEST_WAIT: u64 = 7 * 24 * 60 * 60;

impl Failure {
    /// The arguments fit the schema but not the capability's own rules.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidInput(message.into())
    }

    /// Something that the binding does not grant was needed after all.
    pub fn not_granted(message: impl Into<String>) -> Self {
        Self::NotGranted(message.into())
    }

    /// The world is not as the arguments suppose, for example an id is taken.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }

    /// The plan cannot go on without the answer of an effect that has not happened.
    pub fn incomplete(message: impl Into<String>) -> Self {
        Self::Incomplete(message.into())
    }

    /// Anything else.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// What happened, in the words in which the host shows it when it ends the run. For a capability that reports a
    /// failure as one finding among others.
    pub fn why(&self) -> String {
        match self {
            Self::InvalidInput(why)
            | Self::NotGranted(why)
            | Self::Conflict(why)
            | Self::Incomplete(why)
            | Self::Failed(why) => why.clone(),
            Self::Upstream(Upstream { service, status, message }) => {
                format!("service `{service}` answered {status}: {message}")
            }
            Self::RateLimited(RateLimit { service, seconds: Some(seconds) }) => {
                format!("service `{service}` asks to be left alone for {seconds} seconds")
            }
            Self::RateLimited(RateLimit { service, seconds: None }) => {
                format!("service `{service}` asks to be left alone for a while")
            }
        }
    }

    /// The service answered, but not with a status that the capability can use. The message follows the name of the
    /// service and the status, which the host puts before it.
    pub(crate) fn of_status(request: &Request, response: &Response) -> Self {
        let (service, asked) = (request.service().to_owned(), request.line());
        let message = match response.status {
            429 => {
                return Self::RateLimited(RateLimit { service, seconds: wait(response) });
            }
            401 => format!(
                "{asked}: the credential of the binding is missing or wrong; check its secret, and `as:`"
            ),
            403 => format!(
                "{asked}: the credential of the binding may not do this; allow it at the service, or bind another"
            ),
            _ => match excerpt(&response.body) {
                Some(text) => format!("{asked}: {text}"),
                None => asked,
            },
        };
        Self::Upstream(Upstream { service, status: response.status, message })
    }

    /// There was no answer. The host's reason names the service, and says what went wrong in a whole sentence.
    pub(crate) fn of_net(request: &Request, error: NetError) -> Self {
        match error {
            NetError::NotGranted(why) => Self::NotGranted(why),
            NetError::InvalidRequest(why)
            | NetError::Unreachable(why)
            | NetError::Tls(why)
            | NetError::Timeout(why)
            | NetError::Connection(why)
            | NetError::TooLarge(why)
            | NetError::Limit(why) => Self::Failed(format!("{}: {why}", request.line())),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(format!("JSON does not fit: {error}"))
    }
}

/// How long the service wants to be left alone, where it says so in seconds. A date is not translated: the clock of a
/// run stands still.
fn wait(response: &Response) -> Option<u64> {
    let text = response.header("retry-after")?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that are no number are more than any number.
    digits.then(|| text.parse().map_or(LONGEST_WAIT, |seconds: u64| seconds.min(LONGEST_WAIT)))
}

/// The beginning of an answer, where it is text.
fn excerpt(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let mut short: String = text.chars().take(EXCERPT).collect();
    if text.chars().nth(EXCERPT).is_some() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let header =
            |(name, value): &(&str, &str)| crate::Header { name: (*name).into(), value: (*value).into() };
        Response { status, headers: headers.iter().map(header).collect(), body: body.into() }
    }

    #[test]
    fn rate_limits_carry_seconds_where_they_are_given() {
        let request = Request::get("web", "/");
        for (value, seconds) in [
            ("30", Some(30)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("86400", Some(86_400)),
            ("99999999999", Some(LONGEST_WAIT)),
            ("99999999999999999999999999", Some(LONGEST_WAIT)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
            ("-1", None),
            ("+5", None),
            ("", None),
        ] {
            let failure = Failure::of_status(&request, &response(429, &[("retry-after", value)], ""));
            assert_eq!(
                failure,
                Failure::RateLimited(RateLimit { service: "web".into(), seconds }),
                "{value}"
            );
        }
    }

    #[test]
    fn other_statuses_say_what_was_asked_and_answered() {
        let request = Request::get("web", "/a?b=1");
        let long = "é".repeat(500);
        let short = format!("GET /a?b=1: {}…", "é".repeat(EXCERPT));
        for (status, body, told) in [
            (500, "boom", "GET /a?b=1: boom"),
            (404, "", "GET /a?b=1"),
            (
                401,
                "secret details",
                "GET /a?b=1: the credential of the binding is missing or wrong; check its secret, and `as:`",
            ),
            (
                403,
                "secret details",
                "GET /a?b=1: the credential of the binding may not do this; allow it at the service, or bind another",
            ),
            (500, long.as_str(), short.as_str()),
        ] {
            let Failure::Upstream(upstream) = Failure::of_status(&request, &response(status, &[], body))
            else {
                panic!("{status} is an upstream failure");
            };
            assert_eq!((upstream.service.as_str(), upstream.status), ("web", status));
            assert_eq!(upstream.message, told);
            // In the host's words, in which the service and the status stand once.
            assert_eq!(Failure::Upstream(upstream).why(), format!("service `web` answered {status}: {told}"));
        }
    }

    #[test]
    fn a_refusal_stays_a_refusal() {
        let failure = Failure::of_net(&Request::get("web", "/"), NetError::NotGranted("no rule".into()));
        assert_eq!(failure, Failure::NotGranted("no rule".into()));
    }

    #[test]
    fn a_missing_answer_is_told_in_the_hosts_words() {
        let request = Request::get("web", "/a?b=1");
        for error in [
            NetError::InvalidRequest,
            NetError::Unreachable,
            NetError::Tls,
            NetError::Timeout,
            NetError::Connection,
            NetError::TooLarge,
            NetError::Limit,
        ] {
            let failure = Failure::of_net(&request, error("service `web`: this went wrong".into()));
            assert_eq!(failure, Failure::Failed("GET /a?b=1: service `web`: this went wrong".into()));
        }
    }

    #[test]
    fn a_rate_limit_is_told_in_words() {
        let limited = |seconds| Failure::RateLimited(RateLimit { service: "web".into(), seconds });
        assert_eq!(limited(Some(30)).why(), "service `web` asks to be left alone for 30 seconds");
        assert_eq!(limited(None).why(), "service `web` asks to be left alone for a while");
    }
}
