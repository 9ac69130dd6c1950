//! One request and its answer on one connection, within limits.
//!
//! The answer is hostile until proven small, in this order: all bytes that come in (interim answers and chunk framing
//! included), then the head, then the announced length of the body, then the body as it arrives. Trailers are ignored
//! and nothing is decompressed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ops_policy::message::{Header, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;

use crate::meter::{Counts, Metered};

/// The most header fields that an answer has.
pub(crate) const MOST_HEADERS: usize = 100;

/// The longest head of an answer, in bytes.
pub(crate) const MOST_HEAD_BYTES: usize = 64 * 1024;

/// Why there is no answer. The request may have reached the server unless the counts say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("there was no answer in time")]
    Silent,
    #[error("the answer was not complete in time")]
    Slow,
    #[error("the connection was lost before an answer")]
    LostBefore,
    #[error("the connection was lost in the middle of the answer")]
    LostWithin,
    #[error("the answer is not HTTP/1.1")]
    Malformed,
    #[error("the answer's head has more than {MOST_HEADERS} fields or {MOST_HEAD_BYTES} bytes")]
    Head,
    #[error("the answer is larger than the {0} bytes that the binding's `response` limit allows")]
    Body(u64),
}

/// Sends a request and reads the whole answer, its body at most `most` bytes.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    counts: &Arc<Counts>,
    request: Request<Full<Bytes>>,
    deadline: Instant,
    most: u64,
) -> Result<Response, ExchangeError> {
    // A timer polls before it looks at the clock, so a deadline that has passed could still send something.
    if Instant::now() >= deadline {
        return Err(ExchangeError::Silent);
    }
    let metered = Metered::new(stream, Arc::clone(counts), most_bytes(most));
    let whole = timeout_at(deadline.into(), converse(TokioIo::new(metered), request, most)).await;
    let begun = counts.received() > 0;
    match whole.unwrap_or(Err(ExchangeError::Silent)) {
        Err(_) if counts.flooded() => Err(ExchangeError::Body(most)),
        Err(ExchangeError::Silent) if begun => Err(ExchangeError::Slow),
        Err(ExchangeError::LostBefore) if begun => Err(ExchangeError::LostWithin),
        outcome => outcome,
    }
}

/// All that may come in for a body of `most` bytes: a body in chunks of one byte is six times its size, and there is
/// room for a few interim answers.
fn most_bytes(most: u64) -> u64 {
    most.saturating_mul(6).saturating_add(4 * MOST_HEAD_BYTES as u64)
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: TokioIo<Metered<S>>,
    request: Request<Full<Bytes>>,
    most: u64,
) -> Result<Response, ExchangeError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_header_size(MOST_HEAD_BYTES)
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake(stream)
        .await
        .map_err(|error| explain(&error))?;
    // The connection is dropped when it is done, so that a body that waits for it learns of its end.
    let mut connection = pin!(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await.map_err(|error| explain(&error))?;
        read(response, most).await
    });
    tokio::select! {
        biased;
        outcome = &mut answer => return outcome,
        () = &mut connection => {}
    }
    answer.await
}

fn explain(error: &hyper::Error) -> ExchangeError {
    // hyper asks this of servers only (`is_parse_too_large`); for clients its documentation gives the text.
    if error.is_parse() && error.to_string() == "message head is too large" {
        ExchangeError::Head
    } else if error.is_parse() {
        ExchangeError::Malformed
    } else {
        ExchangeError::LostBefore
    }
}

async fn read(response: http::Response<Incoming>, most: u64) -> Result<Response, ExchangeError> {
    let (head, mut incoming) = response.into_parts();
    let status = head.status.as_u16();
    // 101 would end HTTP on this connection, and nobody asked for it; above 599 there is nothing in HTTP.
    if !(200..=599).contains(&status) {
        return Err(ExchangeError::Malformed);
    }
    if incoming.size_hint().lower() > most {
        return Err(ExchangeError::Body(most));
    }
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|error| explain(&error))?.into_data() else { continue };
        if (body.len() as u64).saturating_add(data.len() as u64) > most {
            return Err(ExchangeError::Body(most));
        }
        body.extend_from_slice(&data);
    }
    // A value that is not UTF-8 has no agreed meaning and is left out; control characters never get this far.
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some(Header { name: name.as_str().to_owned(), value: value.to_owned() })
    };
    Ok(Response { status, headers: head.headers.iter().filter_map(text).collect(), body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncWriteExt, ReadBuf};

    /// Takes every request, gives these bytes, and then the connection is reset.
    struct Reset(&'static [u8]);

    impl AsyncRead for Reset {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            to: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            to.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Reset {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn outcome<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<Response, ExchangeError> {
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        exchange(stream, &Arc::default(), Request::new(Full::default()), deadline, 1024).await
    }

    #[tokio::test]
    async fn a_reset_before_the_answer_is_told_from_one_within() {
        for (bytes, error) in [
            (&b""[..], ExchangeError::LostBefore),
            (b"HTTP/1.1 200 OK\r\ncont", ExchangeError::LostWithin),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", ExchangeError::LostWithin),
            (b"HTTP/1.1 200 OK\r\n\r\nwhole or half", ExchangeError::LostWithin),
        ] {
            assert_eq!(outcome(Reset(bytes)).await, Err(error), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_deadline_that_has_passed_writes_nothing() {
        let (near, mut far) = tokio::io::duplex(1024);
        // The answer is there already, so that only the clock can stop it.
        far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        let counts = Arc::new(Counts::default());
        let request = Request::new(Full::default());
        let outcome = exchange(near, &counts, request, Instant::now(), 1024).await;
        assert_eq!(outcome, Err(ExchangeError::Silent));
        assert!(!counts.attempted());
    }
}
