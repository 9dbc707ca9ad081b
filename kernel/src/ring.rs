//! The ring to xenstored (xs_wire.h), as a stream of bytes in each direction.

use xen_boot::BootInfo;
use xen_hal::{Port, SharedPage};
use xen_ring::{ByteConsumer, ByteProducer, Corrupt, STORE_REQ, STORE_RSP};

use crate::{event, paging};

/// The guest's end of the ring.
#[derive(Debug)]
pub struct StoreRing {
    page: SharedPage,
    port: Port,
    requests: ByteProducer,
    replies: ByteConsumer,
}

impl StoreRing {
    /// Takes the ring that the toolstack made; call it once.
    #[must_use]
    pub fn take(boot: &BootInfo) -> Option<Self> {
        let page = paging::own_page(boot.store.mfn)?;
        Some(Self {
            requests: ByteProducer::attach(STORE_REQ, &page),
            replies: ByteConsumer::attach(STORE_RSP, &page),
            page,
            port: Port(boot.store.port),
        })
    }

    /// The event channel to xenstored.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Sends what there is room for. Returns how many bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if xenstored's index is impossible.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.requests.write(&self.page, bytes)
    }

    /// Receives what there is. Returns how many bytes.
    ///
    /// # Errors
    /// [`Corrupt`] if xenstored's index is impossible.
    pub fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.replies.read(&self.page, into)
    }

    /// Tells xenstored that bytes were sent or room was made.
    pub fn notify(&self) {
        event::notify(self.port);
    }
}
