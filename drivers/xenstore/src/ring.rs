//! The shared page that leads to xenstored (`struct xenstore_domain_interface`).

use xen_hal::{Hal, Port, SharedPage};
use xen_ring::{ByteConsumer, ByteProducer, Corrupt, STORE_REQ, STORE_RSP};

use crate::transport::Transport;

/// The domain's end of the page and event channel that it was started with.
#[derive(Debug)]
pub struct RingTransport<H> {
    hal: H,
    page: SharedPage,
    port: Port,
    requests: ByteProducer,
    replies: ByteConsumer,
}

impl<H: Hal> RingTransport<H> {
    /// Takes charge of the page. Whoever used it before must have left no message half sent
    /// or half read.
    #[must_use]
    pub fn new(hal: H, page: SharedPage, port: Port) -> Self {
        Self {
            hal,
            requests: ByteProducer::attach(STORE_REQ, &page),
            replies: ByteConsumer::attach(STORE_RSP, &page),
            page,
            port,
        }
    }
}

impl<H: Hal> Transport for RingTransport<H> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.requests.write(&self.page, bytes)
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, Corrupt> {
        self.replies.read(&self.page, into)
    }

    fn notify(&mut self) {
        self.hal.notify(self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeStore;
    use crate::{Store, StoreError, turn};
    use alloc::rc::Rc;
    use alloc::string::String;
    use alloc::vec;
    use core::cell::RefCell;
    use executor::fake::FakeClock;
    use executor::{Tasks, Timers};
    use xen_hal::fake::FakeHal;
    use xen_hal::{Access, DomId};

    #[test]
    fn a_conversation_longer_than_the_ring_passes_through_the_page() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let granted = hal.grant(DomId(0), &page, Access::ReadWrite).unwrap();
        let port = hal.alloc_port(DomId(0)).unwrap();
        let peer = hal.peer_page(DomId(0), granted.reference()).unwrap();
        let store = Store::new(RingTransport::new(hal, page, port));
        let (tasks, timers) = (Tasks::new(), Timers::new(FakeClock::default()));

        let value = "x".repeat(3000);
        let got: Rc<RefCell<Option<Result<String, StoreError>>>> = Rc::default();
        let (client, sent, into) = (store.clone(), value.clone(), Rc::clone(&got));
        tasks.spawn(async move {
            client.write("data", &sent).await.unwrap();
            *into.borrow_mut() = Some(client.read_string("data").await);
        });

        // xenstored, which takes and gives what the rings hold.
        let server = FakeStore::new(1);
        let mut socket = server.transport();
        let mut requests = ByteConsumer::attach(STORE_REQ, peer.get());
        let mut replies = ByteProducer::attach(STORE_RSP, peer.get());
        for _ in 0..20 {
            while turn(&store, &timers, &tasks) {}
            let mut buffer = vec![0; 1024];
            let came = requests.read(peer.get_mut(), &mut buffer).unwrap();
            socket.send(&buffer[..came]).unwrap();
            let room = replies.free(peer.get()).unwrap();
            let going = socket.receive(&mut buffer[..room]).unwrap();
            replies.write(peer.get_mut(), &buffer[..going]).unwrap();
        }
        assert_eq!(got.take(), Some(Ok(value)));
        assert!(hal.sent(port) >= 6);
        assert_eq!(store.in_flight(), 0);

        peer.get_mut().words32()[2060 / 4]
            .store(0x8000_0000, core::sync::atomic::Ordering::Relaxed);
        assert!(store.pump());
        assert!(matches!(store.failure(), Some(StoreError::Corrupt(_))));
    }
}
