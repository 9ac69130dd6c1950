//! Counts what crosses a connection, and ends it where too much comes in.
//!
//! It sits between HTTP and TLS, so it counts HTTP's own bytes. Whether a request may have reached the server is told
//! from the first *attempt* to write: TLS may hold bytes back or have sent them when a write fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one connection carried.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    attempted: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    flooded: AtomicBool,
}

impl Counts {
    /// Whether a byte of the request may have left.
    pub(crate) fn attempted(&self) -> bool {
        self.attempted.load(Relaxed)
    }

    /// Bytes that the connection took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Bytes that came in.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Whether the connection was ended because too much came in.
    pub(crate) fn flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }
}

/// A connection that counts, and that fails once more than `most` bytes came in.
pub(crate) struct Metered<S> {
    stream: S,
    counts: Arc<Counts>,
    most: u64,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, counts: Arc<Counts>, most: u64) -> Self {
        Self { stream, counts, most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().len().saturating_sub(before) as u64;
        let total = self.counts.received.fetch_add(came, Relaxed).saturating_add(came);
        if total > self.most {
            self.counts.flooded.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::other("too much came in")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !bytes.is_empty() {
            self.counts.attempted.store(true, Relaxed);
        }
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.counts.sent.fetch_add(taken as u64, Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn it_counts_and_stops_a_flood() {
        let (near, mut far) = tokio::io::duplex(64);
        let counts = Arc::new(Counts::default());
        let mut metered = Metered::new(near, Arc::clone(&counts), 8);
        assert!(!counts.attempted());
        metered.write_all(b"hello").await.unwrap();
        assert!(counts.attempted());
        assert_eq!(counts.sent(), 5);

        far.write_all(b"12345678").await.unwrap();
        metered.read_exact(&mut [0; 8]).await.unwrap();
        assert!(!counts.flooded());
        far.write_all(b"9").await.unwrap();
        assert!(metered.read(&mut [0; 8]).await.is_err());
        assert!(counts.flooded());
        assert_eq!(counts.received(), 9);
    }

    #[tokio::test]
    async fn a_write_that_fails_counts_as_an_attempt() {
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let counts = Arc::new(Counts::default());
        let mut metered = Metered::new(near, Arc::clone(&counts), 8);
        assert!(metered.write_all(b"hello").await.is_err());
        assert!(counts.attempted());
        assert_eq!(counts.sent(), 0);
    }
}
