//! The transport of bytes.

use xen_ring::Corrupt;

/// A byte stream to xenstored and one back. No method blocks.
pub trait Transport {
    /// Sends as much of `bytes` as fits. Returns the number of bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer corrupted the ring.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt>;

    /// Receives available bytes. Returns their number.
    ///
    /// # Errors
    /// [`Corrupt`] if the peer corrupted the ring.
    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt>;

    /// Notifies the peer that bytes were sent or received.
    fn notify(&mut self);
}
