//! Receive-side scaling (RSS): requests over the control ring that the backend puts the packets of
//! a flow on one queue.

use netif::ControlInfo;
use netif::toeplitz::KEY;
use xen_hal::{Access, DomId, Granted, Hal, HalError, SharedPage};

use crate::control::ControlRing;
use crate::error::PeerFault;
use crate::rss_setup::{RssOutcome, RssSetup, hash_mapping};
use crate::shared::share;

/// Gets a backend with [`Features::CTRL_RING`](netif::Features::CTRL_RING) to choose queues by
/// flow.
///
/// It is created together with the queues and published with them
/// ([`connection_keys`](netif::connection_keys)), advanced once the backend is
/// `XenbusStateConnected` and after each of its events, and closed with the queues.
///
/// This has a cost with Linux's netback: each packet for which it has a hash comes with an extra
/// info that contains it, so it takes a second slot of the receive ring.
#[derive(Debug)]
pub struct RssSession<H: Hal> {
    hal: H,
    ring: ControlRing<H>,
    setup: RssSetup,
    /// The pages with key and hash mapping, until the end of the setup.
    pages: Option<[(SharedPage, Granted); 2]>,
    /// The number of pages that the backend still maps.
    lost: usize,
}

impl<H: Hal> RssSession<H> {
    /// Creates a session for a vif with this many queues, whose backend is in domain `backend`.
    ///
    /// # Errors
    /// [`HalError`]; nothing is left behind.
    pub fn new(hal: H, backend: DomId, queues: usize) -> Result<Self, HalError> {
        let ring = ControlRing::new(hal, backend)?;
        let pages = match share_pages(hal, backend) {
            Ok(pages) => pages,
            Err(error) => {
                ring.close();
                return Err(error);
            }
        };
        let [(key, key_grant), (mapping, mapping_grant)] = &pages;
        key.write(0, &KEY);
        for (at, queue) in (0..).step_by(4).zip(hash_mapping(queues)) {
            mapping.write(at, &queue.to_le_bytes());
        }
        let setup = RssSetup::new(queues, key_grant.reference(), mapping_grant.reference());
        Ok(Self {
            hal,
            ring,
            setup,
            pages: Some(pages),
            lost: 0,
        })
    }

    /// Returns what has to be published to the backend before the frontend is connected.
    #[must_use]
    pub fn info(&self) -> ControlInfo {
        self.ring.info()
    }

    /// Continues as far as the backend has answered. Returns the outcome, once there is one.
    ///
    /// A backend that never answers keeps choosing queues on its own.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    pub fn advance(&mut self) -> Result<Option<RssOutcome>, PeerFault> {
        // Each turn is a step of the setup, of which there are few.
        loop {
            if let Some(response) = self.ring.take_response()? {
                self.setup.on_response(response);
            }
            let Some(request) = self.setup.next_request() else {
                break;
            };
            if !self.ring.request(request) {
                // It is free, unless the backend broke the protocol.
                return self.ring.take_response().map(|_| None);
            }
        }
        let outcome = self.setup.outcome();
        if outcome.is_some() {
            self.end_pages();
        }
        Ok(outcome)
    }

    /// Takes the pending state of the event channel. Returns `true` if there may be something to
    /// [`RssSession::advance`] for.
    pub fn take_pending(&self) -> bool {
        self.ring.take_pending()
    }

    /// Closes the ring. Returns the number of pages that the backend still maps; they are never
    /// used again.
    ///
    /// To be called when the backend is done (`XenbusStateClosed`) or gone.
    pub fn close(mut self) -> usize {
        self.end_pages();
        self.lost + self.ring.close()
    }

    fn end_pages(&mut self) {
        for (page, granted) in self.pages.take().into_iter().flatten() {
            self.lost += usize::from(self.hal.retire(granted, page).is_err());
        }
    }
}

/// Shares the pages for key and hash mapping.
fn share_pages<H: Hal>(hal: H, backend: DomId) -> Result<[(SharedPage, Granted); 2], HalError> {
    let key = share(hal, backend, Access::ReadOnly)?;
    match share(hal, backend, Access::ReadOnly) {
        Ok(mapping) => Ok([key, mapping]),
        Err(error) => {
            let (page, granted) = key;
            // The backend doesn't know of the page, so it isn't mapped.
            let _ = hal.retire(granted, page);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;
    use core::net::Ipv4Addr;

    use netif::fakes::{ControlBackend, Hashing};
    use netif::messages::{CtrlStatus, CtrlType, HashTypes};
    use xen_hal::fake::FakeHal;

    use super::*;

    const DOM0: DomId = DomId(0);

    fn connected(queues: usize) -> (FakeHal, RssSession<FakeHal>, ControlBackend) {
        let hal = FakeHal::new();
        let steering = RssSession::new(hal, DOM0, queues).unwrap();
        let back = ControlBackend::connect(hal, DOM0, steering.info());
        (hal, steering, back)
    }

    /// Lets both go on until neither does.
    fn settle(
        steering: &mut RssSession<FakeHal>,
        back: &mut ControlBackend,
        hashing: &mut Hashing,
    ) -> Result<Option<RssOutcome>, PeerFault> {
        let mut outcome = steering.advance()?;
        while back.serve(hashing) > 0 {
            assert!(steering.take_pending(), "the answer's event");
            outcome = steering.advance()?;
        }
        Ok(outcome)
    }

    #[test]
    fn both_directions_come_on_the_same_queue() {
        for queues in 2..=5 {
            let (hal, mut steering, mut back) = connected(queues);
            assert_eq!((hal.pages(), hal.grants(), hal.ports()), (3, 3, 1));
            let mut hashing = Hashing::new(queues as u32);
            let outcome = settle(&mut steering, &mut back, &mut hashing);
            let entries = 128 - 128 % queues as u32;
            let types = HashTypes::all();
            assert_eq!(outcome, Ok(Some(RssOutcome::Configured { types, entries })));
            assert_eq!(hashing.key, KEY);
            assert_eq!((hal.pages(), hal.grants()), (1, 1), "only the ring is left");

            let mut seen = vec![false; queues];
            for port in 1000..1100_u16 {
                let [client, server] = [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(192, 0, 2, 1)]
                    .map(|address| address.octets());
                let [from, to] = [port, 443].map(u16::to_be_bytes);
                let there = [&client[..], &server, &from, &to].concat();
                let back = [&server[..], &client, &to, &from].concat();
                let queue = hashing.queue_of(&there).expect("it hashes");
                assert_eq!(hashing.queue_of(&back), Some(queue));
                seen[queue as usize] = true;
            }
            assert_eq!(seen, vec![true; queues]);
            assert_eq!(steering.close(), 0);
            assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
        }
    }

    #[test]
    fn a_backend_that_refuses_is_left_to_itself() {
        for step in [
            CtrlType::SetHashAlgorithm,
            CtrlType::SetHashKey,
            CtrlType::SetHashMapping,
        ] {
            let (hal, mut steering, mut back) = connected(2);
            let mut hashing = Hashing::new(2);
            hashing.refuse = Some(step);
            let outcome = settle(&mut steering, &mut back, &mut hashing);
            let status = CtrlStatus::NotSupported;
            assert_eq!(outcome, Ok(Some(RssOutcome::Refused { step, status })));
            assert_eq!(hashing.queue_of(&[0; 8]), None);
            assert_eq!((hal.pages(), hal.grants()), (1, 1));
            assert_eq!(steering.close(), 0);
        }
    }

    #[test]
    fn a_backend_without_a_table_takes_the_remainder() {
        let (_, mut steering, mut back) = connected(3);
        let mut hashing = Hashing::new(3);
        hashing.max_entries = 0;
        let outcome = settle(&mut steering, &mut back, &mut hashing);
        let types = HashTypes::all();
        let expected = RssOutcome::Configured { types, entries: 0 };
        assert_eq!(outcome, Ok(Some(expected)));
        assert!(hashing.queue_of(&[1; 8]).is_some_and(|queue| queue < 3));
    }

    #[test]
    fn silence_and_lies() {
        let (hal, mut steering, mut back) = connected(2);
        assert_eq!(steering.advance(), Ok(None));
        assert_eq!(steering.advance(), Ok(None));
        assert_eq!(hal.sent(steering.info().port), 1);
        back.set_index(9);
        assert!(matches!(steering.advance(), Err(PeerFault::CtrlIndex(_))));
        assert!(matches!(steering.advance(), Err(PeerFault::CtrlIndex(_))));
        assert_eq!(steering.close(), 0);
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
    }

    #[test]
    fn pages_that_are_held_are_counted() {
        let (hal, mut steering, mut back) = connected(2);
        let mut hashing = Hashing::new(2);
        assert_eq!(steering.advance(), Ok(None));
        // Key and table have the next references after that of the ring.
        let ring = steering.info().ring;
        hal.hold(xen_hal::GrantRef(ring.0 + 1));
        hal.hold(ring);
        let outcome = settle(&mut steering, &mut back, &mut hashing);
        assert!(matches!(outcome, Ok(Some(RssOutcome::Configured { .. }))));
        assert_eq!(steering.close(), 2);
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), (2, 2, 0));
    }

    #[test]
    fn a_machine_without_means_leaves_nothing() {
        for n in 0..3 {
            for fail in [FakeHal::fail_page_after, FakeHal::fail_grant_after] {
                let hal = FakeHal::new();
                fail(hal, n);
                assert!(RssSession::new(hal, DOM0, 2).is_err());
                assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
            }
        }
    }
}
