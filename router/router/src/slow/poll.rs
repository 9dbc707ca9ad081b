//! What waits for the slow path, worked off within a budget: punted frames, timers, the router's own
//! services.

use alloc::vec::Vec;

use crate::DropReason;
use crate::forward::punt_queue::Punted;
use crate::forward::validate::Parsed;
use crate::frame::{FrameMeta, InterfaceId};
use crate::neighbor::table::NEVER;
use crate::router::{Egress, Poll, Router};
use crate::slow::packet::Waiting;
use crate::time::Instant;

impl Router {
    /// Queues a whole frame for the slow path. `read` fills the slice it is given, of
    /// `meta.len` bytes, with the frame; it isn't called if the queue is full.
    pub fn punt(
        &mut self,
        now: Instant,
        input: InterfaceId,
        meta: FrameMeta,
        read: impl FnOnce(&mut [u8]),
    ) {
        let _ = now;
        self.with_own_lane(|router, lane| lane.punt(router, input, meta, read));
    }

    /// Does the work that waits: punted frames, timers, the router's own services. `budget`
    /// bounds how many frames and how many neighbours' timers are handled.
    pub fn poll(&mut self, now: Instant, budget: usize, out: &mut dyn Egress) -> Poll {
        for index in 0..self.links.len() {
            self.acd_due(
                now,
                InterfaceId(u8::try_from(index).unwrap_or(u8::MAX)),
                out,
            );
        }
        for waiting in core::mem::take(&mut self.again) {
            self.route(now, waiting, out);
        }
        let mut frames = budget;
        let mut bytes = core::mem::take(&mut self.scratch);
        while frames > 0 {
            let Some(punted) = self.own_lane.punts.pop(&mut bytes) else {
                break;
            };
            frames -= 1;
            bytes = self.punted(now, punted, bytes, out);
        }
        self.scratch = bytes;
        let mut timers = budget;
        let due = self.neighbor_timers(now, &mut timers, out);
        self.expire_fragments(now, out);
        let links = self.link_timers(now, out);
        let routes = self.settle_routes(now);
        let next = links
            .into_iter()
            .chain(routes)
            .chain(self.reassembly.next())
            .chain(Some(self.neighbors.next).filter(|&n| n != NEVER));
        Poll {
            more: due || self.own_lane.punts.len() > 0,
            next: next.min(),
        }
    }

    /// Handles a punted frame, and returns a buffer for the next one.
    fn punted(
        &mut self,
        now: Instant,
        punted: Punted,
        bytes: Vec<u8>,
        out: &mut dyn Egress,
    ) -> Vec<u8> {
        let Punted { input, meta, .. } = punted;
        let parsed = match self.validate(input, &bytes, meta.len as usize) {
            Parsed::Incomplete => Parsed::Bad(DropReason::Truncated),
            parsed => parsed,
        };
        match parsed {
            Parsed::Bad(reason) => self.drop_frames(input, reason, 1),
            Parsed::Arp => self.arp_input(now, input, &bytes, out),
            Parsed::Incomplete => {}
            Parsed::Ip(_) | Parsed::Ip6(_) => {
                let mut waiting = Waiting {
                    bytes,
                    meta,
                    input,
                    originated: false,
                    hop: None,
                };
                if let Parsed::Ip(ip) = parsed
                    && !(self.has_good_options(now, &waiting, out)
                        && self.follow_source_route(now, &mut waiting, ip.destination, out))
                {
                    return waiting.bytes;
                }
                self.route(now, waiting, out);
                return Vec::new();
            }
        }
        bytes
    }

    /// Sends a packet, received or our own, on its way.
    pub(crate) fn route(&mut self, now: Instant, waiting: Waiting, out: &mut dyn Egress) {
        if waiting.is_ipv6() {
            self.route6(now, waiting, out);
        } else {
            self.route4(now, waiting, out);
        }
    }
}
