//! The control ring of a vif (netif.h, "Control ring"): requests to the backend other than packets.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use netif::ControlInfo;
use netif::messages::{CTRL_WORDS, CtrlRequest, CtrlResponse, CtrlStatus, CtrlType};
use xen_hal::{Access, DomId, Granted, Hal, HalError, Port};
use xen_ring::FrontRing;

use crate::error::PeerFault;
use crate::shared::share;

/// A request to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its type.
    pub kind: CtrlType,
    /// Its arguments, as described by [`CtrlType`]; unused ones are 0.
    pub data: [u32; 3],
}

/// A response to the last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: CtrlStatus,
    /// The result, if the request was successful and has one.
    pub data: u32,
}

/// A control ring, for a backend with [`Features::CTRL_RING`](netif::Features::CTRL_RING). There is
/// one request in flight at a time.
///
/// A control ring that is dropped without [`ControlRing::close`] leaks its page and event channel.
#[derive(Debug)]
pub struct ControlRing<H: Hal> {
    hal: H,
    ring: FrontRing<CTRL_WORDS>,
    granted: Granted,
    port: Port,
    /// The id of the next request.
    next_id: u16,
    /// The id and type of the request in flight.
    asked: Option<(u16, CtrlType)>,
    fault: Option<PeerFault>,
}

impl<H: Hal> ControlRing<H> {
    /// Creates the ring and its event channel, for a backend in domain `backend`.
    ///
    /// # Errors
    /// [`HalError`]; nothing is left behind.
    pub fn new(hal: H, backend: DomId) -> Result<Self, HalError> {
        Self::starting_at(hal, backend, 0)
    }

    /// As [`ControlRing::new`], with ring indices and ids that start at `start`, for tests.
    #[doc(hidden)]
    pub fn starting_at(hal: H, backend: DomId, start: u32) -> Result<Self, HalError> {
        let (page, granted) = share(hal, backend, Access::ReadWrite)?;
        let port = match hal.alloc_port(backend) {
            Ok(port) => port,
            Err(error) => {
                // The backend doesn't know of the page, so it isn't mapped.
                let _ = hal.retire(granted, page);
                return Err(error);
            }
        };
        Ok(Self {
            hal,
            ring: FrontRing::starting_at(page, start),
            granted,
            port,
            next_id: start as u16,
            asked: None,
            fault: None,
        })
    }

    /// Returns what has to be published to the backend before the frontend is connected.
    #[must_use]
    pub fn info(&self) -> ControlInfo {
        ControlInfo {
            ring: self.granted.reference(),
            port: self.port,
        }
    }

    /// Sends a request and an event. Returns `false` if another request is in flight, or after a
    /// protocol violation, which [`ControlRing::take_response`] reports.
    #[must_use]
    pub fn request(&mut self, request: Request) -> bool {
        if self.asked.is_some() || self.fault.is_some() {
            return false;
        }
        let id = self.next_id;
        let words = CtrlRequest {
            id,
            kind: request.kind as u16,
            data: request.data,
        };
        if let Err(corrupt) = self.ring.arm(1) {
            self.fault = Some(PeerFault::CtrlIndex(corrupt));
            return false;
        }
        if self.ring.push(words.encode()).is_err() {
            return false;
        }
        self.next_id = id.wrapping_add(1);
        self.asked = Some((id, request.kind));
        // Always send an event: Linux's netback has no barrier between requesting one and its final
        // check of the ring, before it sleeps.
        let _ = self.ring.publish();
        self.hal.notify(self.port);
        true
    }

    /// Takes the response to the last request, if it has arrived.
    ///
    /// # Errors
    /// [`PeerFault`], now and for every later call.
    pub fn take_response(&mut self) -> Result<Option<Response>, PeerFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let taken = self.try_take();
        self.fault = taken.err();
        taken
    }

    fn try_take(&mut self) -> Result<Option<Response>, PeerFault> {
        // At most as many responses as requests in flight: 1.
        let there = self.ring.responses().map_err(PeerFault::CtrlIndex)?;
        let Some((id, kind)) = self.asked.filter(|_| there > 0) else {
            return Ok(None);
        };
        let words = self.ring.response(self.ring.next_response());
        let response = CtrlResponse::decode(words);
        if response.id != id {
            return Err(PeerFault::CtrlId(response.id));
        }
        if response.kind != kind as u16 {
            return Err(PeerFault::CtrlType(response.kind));
        }
        self.ring.consume(1);
        self.asked = None;
        Ok(Some(Response {
            status: response.status,
            data: response.data,
        }))
    }

    /// Returns `true` if a request is in flight.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some() && self.fault.is_none()
    }

    /// Takes the pending state of the event channel. Returns `true` if an event came. To be called
    /// before [`ControlRing::take_response`], so that the event of a later response isn't lost.
    pub fn take_pending(&self) -> bool {
        self.hal.take_pending(self.port)
    }

    /// Closes the event channel and ends the page's grant. Returns the number of pages that the
    /// backend still maps; they are never used again.
    ///
    /// To be called when the backend is done (`XenbusStateClosed`) or gone.
    pub fn close(self) -> usize {
        self.hal.close_port(self.port);
        let retired = self.hal.retire(self.granted, self.ring.into_page());
        usize::from(retired.is_err())
    }
}

#[cfg(test)]
mod tests {
    use netif::fakes::ControlBackend;
    use proptest::prelude::*;
    use xen_hal::fake::FakeHal;
    use xen_ring::Corrupt;

    use super::*;

    const DOM0: DomId = DomId(0);
    const ASK: Request = Request {
        kind: CtrlType::GetHashFlags,
        data: [1, 2, 3],
    };
    const GOOD: CtrlResponse = CtrlResponse {
        id: 0xfffe,
        kind: CtrlType::GetHashFlags as u16,
        status: CtrlStatus::Success,
        data: 15,
    };

    /// A ring whose indices and ids soon wrap.
    fn connected() -> (FakeHal, ControlRing<FakeHal>, ControlBackend) {
        let hal = FakeHal::new();
        let ring = ControlRing::starting_at(hal, DOM0, 0xffff_fffe).unwrap();
        let back = ControlBackend::connect(hal, DOM0, ring.info());
        (hal, ring, back)
    }

    #[test]
    fn requests_are_answered_one_by_one() {
        let (hal, mut ring, mut back) = connected();
        for round in 0..300_u32 {
            assert_eq!(ring.take_response(), Ok(None));
            assert!(!ring.is_waiting());
            assert!(ring.request(ASK));
            assert_eq!(hal.sent(ring.info().port), u64::from(round) + 1);
            assert!(ring.is_waiting());
            assert!(!ring.request(ASK), "one at a time");
            assert_eq!(ring.take_response(), Ok(None));
            let request = back.take().expect("a request");
            assert_eq!((request.kind, request.data), (1, [1, 2, 3]));
            back.answer(CtrlResponse {
                id: request.id,
                data: round,
                ..GOOD
            });
            assert_eq!(ring.take_response(), Ok(None), "not published");
            back.publish();
            assert!(ring.take_pending(), "the event was asked for");
            let response = Response {
                status: CtrlStatus::Success,
                data: round,
            };
            assert_eq!(ring.take_response(), Ok(Some(response)));
        }
        assert_eq!(back.take(), None);
        assert_eq!(ring.close(), 0);
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
    }

    #[test]
    fn lies_end_it_for_good() {
        let wrong_id = CtrlResponse { id: 0, ..GOOD };
        let wrong_type = CtrlResponse { kind: 7, ..GOOD };
        for (response, fault) in [
            (wrong_id, PeerFault::CtrlId(0)),
            (wrong_type, PeerFault::CtrlType(7)),
        ] {
            let (hal, mut ring, mut back) = connected();
            assert!(ring.request(ASK));
            back.answer(response);
            back.publish();
            assert_eq!(ring.take_response(), Err(fault));
            assert_eq!(ring.take_response(), Err(fault));
            assert!(!ring.request(ASK) && !ring.is_waiting());
            assert_eq!(ring.close(), 0);
            assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
        }
    }

    #[test]
    fn answers_that_nobody_asked_for() {
        let one_too_many = |limit| {
            PeerFault::CtrlIndex(Corrupt {
                claimed: limit + 1,
                limit,
            })
        };
        let (_, mut ring, mut back) = connected();
        back.answer(GOOD);
        back.publish();
        assert_eq!(ring.take_response(), Err(one_too_many(0)));

        let (_, mut ring, mut back) = connected();
        assert!(ring.request(ASK));
        back.answer(GOOD);
        back.answer(GOOD);
        back.publish();
        assert_eq!(ring.take_response(), Err(one_too_many(1)));

        // Before a request it isn't even sent.
        let (hal, mut ring, mut back) = connected();
        back.set_index(5);
        assert!(!ring.request(ASK));
        assert_eq!(hal.sent(ring.info().port), 0);
        assert_eq!(
            ring.take_response(),
            Err(PeerFault::CtrlIndex(Corrupt {
                claimed: 7,
                limit: 0
            }))
        );
    }

    #[test]
    fn an_unknown_status_is_no_fault() {
        let (_, mut ring, mut back) = connected();
        assert!(ring.request(ASK));
        let status = CtrlStatus::Unknown(77);
        back.answer(CtrlResponse { status, ..GOOD });
        back.publish();
        assert_eq!(
            ring.take_response(),
            Ok(Some(Response { status, data: 15 }))
        );
    }

    #[test]
    fn a_page_that_is_held_is_not_used_again() {
        let (hal, ring, _back) = connected();
        hal.hold(ring.info().ring);
        assert_eq!(ring.close(), 1);
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), (1, 1, 0));
    }

    #[test]
    fn a_machine_without_means_leaves_nothing() {
        for fail in [
            |hal: FakeHal| hal.fail_page_after(0),
            |hal: FakeHal| hal.fail_grant_after(0),
            |hal: FakeHal| hal.fail_port_after(0),
        ] {
            let hal = FakeHal::new();
            fail(hal);
            assert!(ControlRing::new(hal, DOM0).is_err());
            assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
        }
    }

    proptest! {
        /// Whatever is written as response and index, there is an answer to what was asked or
        /// a fault.
        #[test]
        fn any_response(words: [u32; 3], index: u32) {
            let (_, mut ring, mut back) = connected();
            prop_assert!(ring.request(ASK));
            back.answer_words(words);
            back.set_index(index);
            match ring.take_response() {
                Ok(None) => prop_assert_eq!(index, 0xffff_fffe),
                Ok(Some(response)) => {
                    prop_assert_eq!((words[0], index), (0x0001_fffe, 0xffff_ffff));
                    prop_assert_eq!(response.data, words[2]);
                }
                Err(fault) => prop_assert_eq!(ring.take_response(), Err(fault)),
            }
        }
    }
}
