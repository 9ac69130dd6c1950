//! Looking a name up, once.
//!
//! What comes out of here is checked and then dialled as an address; the name is never handed on, so a second answer
//! for it has nowhere to arrive. An origin that is an address is not looked up at all.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use ops_policy::origin::Origin;
use tokio::time::timeout_at;

pub(crate) mod hickory;

pub use hickory::Hickory;

/// How many addresses of a name are looked at; the rest is ignored.
pub const MOST_ADDRESSES: usize = 16;

/// How long a look-up may take, within the request's own deadline.
pub const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// What a resolver will answer.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Who looks names up. It exists so that tests can script a resolver that changes its mind.
pub trait Resolve: Send + Sync {
    /// The addresses of a host name, in the order in which they should be tried. `until` is when nobody waits for the
    /// answer any longer; dropping the look-up ends it at once.
    fn resolve<'a>(&'a self, host: &'a str, until: Instant) -> Lookup<'a>;
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver says so.
    #[error("the name does not resolve: {0}")]
    Failed(io::Error),
    /// The resolver answered with an empty list.
    #[error("the name has no address")]
    Empty,
    /// The resolver did not answer in time.
    #[error("looking the name up took too long")]
    Timeout,
}

/// The addresses of an origin: at least one, at most [`MOST_ADDRESSES`], none twice, not yet checked.
///
/// # Errors
///
/// The name does not resolve, or not before the deadline or within [`LOOKUP_TIME`].
pub async fn addresses(
    resolver: &dyn Resolve,
    origin: &Origin,
    deadline: Instant,
) -> Result<Vec<IpAddr>, ResolveError> {
    if let Some(address) = origin.address() {
        return Ok(vec![address]);
    }
    let until = deadline.min(Instant::now() + LOOKUP_TIME);
    let found = timeout_at(until.into(), resolver.resolve(origin.host(), until))
        .await
        .map_err(|_| ResolveError::Timeout)?
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ResolveError::Timeout,
            _ => ResolveError::Failed(error),
        })?;
    let mut addresses = Vec::new();
    for address in found {
        if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ResolveError::Empty) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve<'a>(&'a self, _host: &'a str, _until: Instant) -> Lookup<'a> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    struct Silent;

    impl Resolve for Silent {
        fn resolve<'a>(&'a self, _host: &'a str, _until: Instant) -> Lookup<'a> {
            Box::pin(std::future::pending())
        }
    }

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        for (text, address) in
            [("https://10.1.2.3", "10.1.2.3"), ("https://[2001:db8::1]:8443", "2001:db8::1")]
        {
            let found = addresses(&Silent, &origin(text), soon()).await.unwrap();
            assert_eq!(found, [address.parse::<IpAddr>().unwrap()]);
        }
    }

    #[tokio::test]
    async fn answers_are_bounded_and_distinct() {
        let many = (0..200).map(|n| IpAddr::V4(Ipv4Addr::from_bits(n / 2))).collect();
        let found = addresses(&Fixed(many), &origin("https://mail.example"), soon()).await.unwrap();
        assert_eq!(found.len(), MOST_ADDRESSES);
        assert_eq!(found.last(), Some(&IpAddr::V4(Ipv4Addr::from_bits(15))));
    }

    #[tokio::test]
    async fn no_answer_is_an_error() {
        let empty = addresses(&Fixed(vec![]), &origin("https://mail.example"), soon()).await;
        assert!(matches!(empty, Err(ResolveError::Empty)));
        let silent = addresses(&Silent, &origin("https://mail.example"), soon()).await;
        assert!(matches!(silent, Err(ResolveError::Timeout)));
    }
}
