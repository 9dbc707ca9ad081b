//! A ring buffer for console output.

/// A FIFO of up to `N` bytes.
pub(crate) struct Backlog<const N: usize> {
    bytes: [u8; N],
    start: usize,
    len: usize,
}

impl<const N: usize> Backlog<N> {
    /// Creates an empty buffer.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            start: 0,
            len: 0,
        }
    }

    /// Appends all of `text` or, if it doesn't fit, none of it. Returns `true` if it did.
    #[must_use]
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        if text.len() > N - self.len {
            return false;
        }
        for &byte in text {
            self.bytes[(self.start + self.len) % N] = byte;
            self.len += 1;
        }
        true
    }

    /// Returns the oldest bytes that are contiguous; at least one unless it is empty.
    pub(crate) fn oldest(&self) -> &[u8] {
        let end = (self.start + self.len).min(N);
        &self.bytes[self.start..end]
    }

    /// Forgets the oldest `count` bytes.
    pub(crate) fn forget(&mut self, count: usize) {
        let count = count.min(self.len);
        self.start = (self.start + count) % N;
        self.len -= count;
    }

    /// Returns `true` if it is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Backlog;
    use std::vec::Vec;

    #[test]
    fn what_went_in_comes_out_in_order_around_the_end() {
        let mut backlog = Backlog::<8>::new();
        let mut seen = Vec::new();
        for round in 0..10u8 {
            assert!(backlog.push(&[round, round + 100, round + 200]));
            while !backlog.is_empty() {
                let part = backlog.oldest().to_vec();
                assert!(!part.is_empty());
                backlog.forget(part.len());
                seen.extend(part);
            }
        }
        let expected: Vec<u8> = (0..10).flat_map(|n| [n, n + 100, n + 200]).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn text_is_taken_whole_or_not_at_all() {
        let mut backlog = Backlog::<4>::new();
        assert!(backlog.push(b"abc"));
        assert!(!backlog.push(b"de"));
        assert!(backlog.push(b"f"));
        assert!(!backlog.push(b"g"));
        assert!(backlog.push(b""));
        assert_eq!(backlog.oldest(), b"abcf");
        backlog.forget(9);
        assert!(backlog.is_empty());
    }
}
