//! What carries the bytes.

use xen_ring::Corrupt;

/// Two byte streams to xenstored and back. Neither call waits.
pub trait Transport {
    /// Sends what fits of `bytes`; returns the number of bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer broke the ring.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt>;

    /// Takes what came; returns the number of bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer broke the ring.
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt>;

    /// Notifies the peer that bytes were sent or taken.
    fn notify(&mut self);
}
