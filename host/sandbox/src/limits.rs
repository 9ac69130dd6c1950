//! What a guest may hold at most: memory and tables together, and the number of things that cost the host.
//!
//! A refusal is an answer that a guest can live with (`memory.grow` gives -1). Most do not, so it is remembered, and
//! a trap that follows is told as what it is.

use wasmtime::ResourceLimiter;

/// What an element of a table is counted as, in bytes: at least what the engine keeps for it.
const ELEMENT_BYTES: usize = 16;

/// The limits of one store, and what was used of them.
#[derive(Debug)]
pub(crate) struct Limiter {
    bytes: usize,
    used: usize,
    memory: usize,
    peak: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            used: 0,
            memory: 0,
            peak: 0,
            refused: false,
        }
    }

    /// The most linear memory at any time, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak as u64
    }

    /// Whether a request for more was ever refused.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, by: usize) -> bool {
        let Some(used) = self.used.checked_add(by).filter(|used| *used <= self.bytes) else {
            self.refused = true;
            return false;
        };
        self.used = used;
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let by = desired.saturating_sub(current);
        let granted = self.grow(by);
        if granted {
            self.memory += by;
            self.peak = self.peak.max(self.memory);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES)))
    }

    fn instances(&self) -> usize {
        256
    }

    fn tables(&self) -> usize {
        256
    }

    fn memories(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = Limiter::new(100 * ELEMENT_BYTES as u64);
        assert!(limiter.memory_growing(0, 50 * ELEMENT_BYTES, None).unwrap());
        assert!(limiter.table_growing(0, 50, None).unwrap());
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(50 * ELEMENT_BYTES, 50 * ELEMENT_BYTES + 1, None).unwrap());
        assert!(limiter.refused());
        assert!(limiter.memory_growing(0, 0, None).unwrap(), "a refusal is not for ever");
        assert_eq!(limiter.peak_memory(), 50 * ELEMENT_BYTES as u64);
    }

    #[test]
    fn no_request_wraps_around() {
        let mut limiter = Limiter::new(u64::MAX);
        assert!(limiter.memory_growing(0, 1, None).unwrap());
        assert!(!limiter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(!limiter.table_growing(0, usize::MAX, None).unwrap());
    }
}
