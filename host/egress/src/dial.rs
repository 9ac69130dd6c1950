//! Connecting to addresses that were checked, and to nothing else.
//!
//! This is the only place in `ops` that opens a connection. It takes socket addresses, so there is nothing left to
//! resolve, and it knows of no proxy.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why there is no connection. Nothing was sent to anybody.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct DialError {
    /// The address that was tried last; `None` where there was none to try.
    pub address: Option<SocketAddr>,
    /// What happened there.
    pub why: Why,
}

/// What happened at an address.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It refused.
    #[error("the connection was refused; is it running, and at that port?")]
    Refused,
    /// There is no way to it.
    #[error("there is no way to its address: {0}")]
    Failed(io::ErrorKind),
    /// It did not answer in time.
    #[error("connecting took too long")]
    Timeout,
}

/// Connects to the first of the addresses that answers, trying them in order.
///
/// The time until the deadline is shared out evenly among those that are left, so that one that swallows packets
/// does not cost the others their turn.
///
/// # Errors
///
/// None of them answers: what happened at the last one.
pub async fn connect(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut last = DialError { address: None, why: Why::Failed(io::ErrorKind::AddrNotAvailable) };
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for &address in addresses {
        let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
        left = left.saturating_sub(1);
        if share.is_zero() {
            return Err(DialError { address: last.address, why: Why::Timeout });
        }
        let why = match timeout(share, open(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Why::Refused,
            Ok(Err(error)) => Why::Failed(error.kind()),
            Err(_) => Why::Timeout,
        };
        tracing::debug!(%address, %why, "not connected");
        last = DialError { address: Some(address), why };
    }
    Err(last)
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // One request is one write; waiting to fill a packet only delays it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// An address where nobody listens.
    async fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_first_that_answers_is_used() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = server.local_addr().unwrap();
        let (stream, address) = connect(&[closed().await, open], soon()).await.unwrap();
        assert_eq!(address, open);
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert!(stream.nodelay().unwrap());
    }

    /// An address that swallows packets: a listener whose queue is full.
    async fn full() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 16, "the queue does not fill");
        }
        (address, waiting, listener)
    }

    #[tokio::test]
    async fn one_that_swallows_packets_leaves_time_for_the_next() {
        let (full, _waiting, _listener) = full().await;
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = server.local_addr().unwrap();
        let (_, address) = connect(&[full, open], Instant::now() + Duration::from_millis(600)).await.unwrap();
        assert_eq!(address, open);
        let error = connect(&[full], Instant::now() + Duration::from_millis(100)).await.unwrap_err();
        assert!(matches!(error.why, Why::Timeout), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_names_the_address_that_was_tried_last() {
        let closed = closed().await;
        let error = connect(&[closed], soon()).await.unwrap_err();
        assert_eq!(error.address, Some(closed));
        assert!(matches!(error.why, Why::Refused), "{error}");
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_connects_to_nothing() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = connect(&[server.local_addr().unwrap()], Instant::now()).await.unwrap_err();
        assert!(matches!(error.why, Why::Timeout), "{error}");
        assert_eq!(error.address, None);
    }

    #[tokio::test]
    async fn nothing_to_dial_is_an_error() {
        assert_eq!(connect(&[], soon()).await.unwrap_err().address, None);
    }
}
