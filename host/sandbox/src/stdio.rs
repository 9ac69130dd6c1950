//! What a guest prints: counted to the last byte, kept up to a cap, never refused.
//!
//! A full pipe would make a guest's `println!` panic, so that how much somebody prints would decide how a run ends.
//! Standard input is empty and closed, and nothing is ever a terminal.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::job::Printed;

/// How much of each stream is kept, in bytes.
pub(crate) const KEPT_BYTES: usize = 64 << 10;

/// How much a guest may hand over at a time, in bytes.
const PERMIT: usize = 64 << 10;

/// A stream that takes everything. Clones are the same stream.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Printed>>);

impl Sink {
    /// What was printed so far.
    pub(crate) fn printed(&self) -> Printed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, bytes: &[u8]) {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        printed.total = printed.total.saturating_add(bytes.len() as u64);
        let room = KEPT_BYTES.saturating_sub(printed.kept.len());
        printed.kept.extend(bytes.iter().take(room));
    }
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_the_beginning_kept() {
        let sink = Sink::default();
        let mut stream = sink.p2_stream();
        stream.write(Bytes::from_static(b"first")).unwrap();
        for _ in 0..1_000 {
            assert!(stream.check_write().unwrap() > 0);
            stream.write(vec![b'x'; 4096].into()).unwrap();
        }
        let printed = sink.printed();
        assert_eq!(printed.total, 5 + 4_096_000);
        assert_eq!(printed.kept.len(), KEPT_BYTES);
        assert!(printed.kept.starts_with(b"firstx"));
        assert!(!sink.is_terminal());
    }
}
