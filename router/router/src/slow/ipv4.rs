//! The slow path: frames that need more than a new header. What is the same for both families
//! and what is for IPv4; IPv6 has its own in [`slow::ipv6`](crate::slow::ipv6).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::DropReason;
use crate::forward::ipv4::segments_fit_at;
use crate::forward::punt_queue::Punted;
use crate::forward::validate::Seen;
use crate::frame::{ETHERNET_LEN, FrameFlags, FrameMeta, InterfaceId};
use crate::neighbor::table::{NEVER, State, Waiting};
use crate::router::{Egress, Poll, Router};
use crate::slow::ipv4_options;
use crate::slow::next_hop::NextHop;
use crate::slow::source_route::error_frame4;
use crate::time::Instant;
use wire::icmp_error::IcmpError;
use wire::ipv4::{self, DF, Ipv4};
use wire::{checksum, ethernet, icmpv4, icmpv6, ipv4_fragment, put};

/// Frames that may wait for one neighbour.
const NEIGHBOR_QUEUE: usize = 8;
/// Frames that may wait for all neighbours together.
const WAITING_FRAMES: usize = 256;
/// Bytes that may wait for all neighbours together.
const WAITING_BYTES: usize = 96 * 1024;

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
            self.claims_due(
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
            let Some(punted) = self.own.punts.pop(&mut bytes) else {
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
            more: due || self.own.punts.len() > 0,
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
        let seen = match self.examine(input, &bytes, meta.len as usize) {
            Seen::Incomplete => Seen::Bad(DropReason::Truncated),
            seen => seen,
        };
        match seen {
            Seen::Bad(reason) => self.drop_frames(input, reason, 1),
            Seen::Arp => self.arp_input(now, input, &bytes, out),
            Seen::Incomplete => {}
            Seen::Ip(_) | Seen::Ip6(_) => {
                let mut waiting = Waiting {
                    bytes,
                    meta,
                    input,
                    own: false,
                    hop: None,
                };
                if let Seen::Ip(ip) = seen
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

    fn route4(&mut self, now: Instant, mut waiting: Waiting, out: &mut dyn Egress) {
        let input = waiting.input;
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let Ok(mut ip) = Ipv4::parse(packet, packet.len()) else {
            return self.drop_frames(input, DropReason::Truncated, 1);
        };
        if let Some(hop) = waiting.hop {
            ip.destination = hop.destination;
        }
        let (_, found) = self.vrfs.find(self.vrf_of(input), ip.destination.into());
        let (target, route_mtu) = self.vrfs.settle(found.number(), packet, self.flow_key);
        // Padding ends here.
        waiting.bytes.truncate(ETHERNET_LEN + ip.total_len);
        waiting.meta.len = u32::try_from(waiting.bytes.len()).unwrap_or(u32::MAX);
        let destination = ip.destination.into();
        if waiting.own && self.is_network_end(self.vrf_of(input), ip.destination) {
            // A recorded route may say so, but nothing of our own is for all hosts.
            return self.drop_frames(input, DropReason::Broadcast, 1);
        }
        let neighbor = match self.next_hop(now, target, destination, &waiting, out) {
            None => return,
            Some(NextHop::Local) => return self.deliver4(now, waiting, &ip, out),
            Some(NextHop::Neighbor(neighbor)) => neighbor,
        };
        if !waiting.own && ip.ttl <= 1 {
            self.drop_frames(input, DropReason::TtlExpired, 1);
            return self.report(now, &waiting, IcmpError::TimeExceeded, out);
        }
        if !self.is_as_strict(&waiting, target) {
            self.drop_frames(input, DropReason::SourceRoute, 1);
            return self.report(now, &waiting, IcmpError::SourceRouteFailed, out);
        }
        let Some((index, mtu)) = self.within_reach(input, neighbor) else {
            return;
        };
        self.redirect(now, &waiting, target, out);
        let mtu = mtu.min(route_mtu.unwrap_or(u16::MAX));
        let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
        if ip.total_len <= usize::from(mtu)
            || segments_fit_at(&waiting.bytes, ip.header_len, &waiting.meta, max_len)
        {
            self.send_to(now, index, waiting, out);
        } else if ip.fragment & DF != 0 && !waiting.own {
            self.drop_frames(input, DropReason::TooBig, 1);
            self.report(now, &waiting, IcmpError::FragmentationNeeded(mtu), out);
        } else {
            self.fragment(now, index, waiting, mtu, out);
        }
    }

    fn fragment(
        &mut self,
        now: Instant,
        index: usize,
        mut waiting: Waiting,
        mtu: u16,
        out: &mut dyn Egress,
    ) {
        complete_checksum(&mut waiting);
        let input = waiting.input;
        let Some(packet) = waiting.bytes.get_mut(ETHERNET_LEN..) else {
            return;
        };
        if waiting.own {
            // smoltcp numbers no packets and forbids to fragment them.
            self.ident = self.ident.wrapping_add(1);
            put(packet, 4, &self.ident.to_be_bytes());
            put(packet, 6, &[0, 0]);
            let len = ipv4_options::header(packet).len();
            if let Some(header) = packet.get_mut(..len) {
                checksum::fill(header, 10);
            }
        }
        let Ok(ip) = Ipv4::parse(packet, packet.len()) else {
            return self.drop_frames(input, DropReason::Truncated, 1);
        };
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let count = ipv4_fragment::fragment(packet, &ip, mtu.into(), ETHERNET_LEN, |piece| {
            pieces.push(core::mem::take(piece));
        });
        if count == 0 {
            return self.drop_frames(input, DropReason::TooBig, 1);
        }
        self.with_counters(input, |c| c.originated += count as u64 - 1);
        for bytes in pieces {
            let meta = FrameMeta::plain(bytes.len());
            let piece = Waiting {
                bytes,
                meta,
                input,
                own: waiting.own,
                hop: waiting.hop,
            };
            self.send_to(now, index, piece, out);
        }
    }

    /// Sends a packet that fits to a neighbour, or keeps it until the neighbour is known.
    pub(crate) fn send_to(
        &mut self,
        now: Instant,
        index: usize,
        waiting: Waiting,
        out: &mut dyn Egress,
    ) {
        let Some(state) = self.neighbors.entry(index).map(|e| e.state) else {
            return self.drop_frames(waiting.input, DropReason::NeighborTableFull, 1);
        };
        match state {
            State::Reachable | State::Delay | State::Probe(_) | State::Static => {
                self.finish(now, index, waiting, out);
            }
            State::Stale => {
                self.use_stale(now, index);
                self.finish(now, index, waiting, out);
            }
            State::Failed => {
                self.drop_frames(waiting.input, DropReason::NeighborUnreachable, 1);
                self.report(now, &waiting, IcmpError::HostUnreachable, out);
            }
            State::Idle => {
                self.wait(index, waiting);
                self.start_resolution(now, index, out);
            }
            State::Incomplete(_) | State::Free => self.wait(index, waiting),
        }
    }

    /// Keeps a frame until its neighbour is known. The newest frames are kept (RFC 1122
    /// 2.3.2.2).
    fn wait(&mut self, index: usize, waiting: Waiting) {
        let len = waiting.bytes.len();
        let full = self.neighbors.waiting_frames >= WAITING_FRAMES
            || self.neighbors.waiting_bytes + len > WAITING_BYTES;
        let Some(entry) = self.neighbors.entry_mut(index).filter(|_| !full) else {
            return self.drop_frames(waiting.input, DropReason::NeighborQueueFull, 1);
        };
        let oldest = (entry.queue.len() >= NEIGHBOR_QUEUE).then(|| entry.queue.remove(0));
        entry.queue.push(waiting);
        self.neighbors.waiting_frames += 1;
        self.neighbors.waiting_bytes += len;
        if let Some(oldest) = oldest {
            self.neighbors.waiting_frames -= 1;
            self.neighbors.waiting_bytes -= oldest.bytes.len();
            self.drop_frames(oldest.input, DropReason::NeighborQueueFull, 1);
        }
    }

    /// Gives a packet its last touches and sends it to a known neighbour.
    fn finish(&mut self, now: Instant, index: usize, waiting: Waiting, out: &mut dyn Egress) {
        let ipv6 = waiting.is_ipv6();
        let Some(neighbor) = self.neighbors.entry(index).map(|e| e.address) else {
            return;
        };
        let Some(adjacency) = self.neighbors.adjacencies.get_mut(index) else {
            return;
        };
        adjacency.touch();
        let (interface, stations) = (InterfaceId(adjacency.out), adjacency.stations);
        let Waiting {
            mut bytes,
            meta,
            input,
            own,
            hop,
        } = waiting;
        let kind = if ipv6 { ethernet::IPV6 } else { ethernet::IPV4 };
        put(&mut bytes, 0, &stations);
        put(&mut bytes, 12, &kind.to_be_bytes());
        if !own && let Some(packet) = bytes.get_mut(ETHERNET_LEN..) {
            if ipv6 {
                let [hops] = packet
                    .get(7..)
                    .and_then(|b| b.first_chunk().copied())
                    .unwrap_or([1]);
                put(packet, 7, &[hops.saturating_sub(1)]);
            } else {
                self.age4(now, input, interface, neighbor, hop, packet);
            }
        }
        let _ = self.emit(interface, &bytes, meta, out);
    }

    /// Hands a frame to the caller and counts what becomes of it. Whether there was room.
    pub(crate) fn emit(
        &mut self,
        interface: InterfaceId,
        frame: &[u8],
        meta: FrameMeta,
        out: &mut dyn Egress,
    ) -> bool {
        if out.send(interface, frame, meta).is_err() {
            self.drop_frames(interface, DropReason::TxFull, 1);
            return false;
        }
        if let Some(traffic) = self.own.traffic.get_mut(interface.index()) {
            traffic.packets += 1;
            traffic.bytes += frame.len() as u64;
        }
        true
    }

    /// Sends a packet of our own; `bytes` has room for the Ethernet header. `cause` is
    /// where the packet came in that made us.
    pub(crate) fn originate(
        &mut self,
        now: Instant,
        cause: InterfaceId,
        bytes: Vec<u8>,
        out: &mut dyn Egress,
    ) {
        self.with_counters(cause, |c| c.originated += 1);
        let meta = FrameMeta::plain(bytes.len());
        self.route(
            now,
            Waiting {
                bytes,
                meta,
                input: cause,
                own: true,
                hop: None,
            },
            out,
        );
    }

    /// Tells the sender of a packet what happened to it, where that is allowed.
    ///
    /// The error's source is an address of the interface that the packet came in on, the
    /// one in the sender's network if there is one: what traceroute is to show. RFC 1812
    /// 4.3.2.4 asks for the outgoing interface, which is the same unless routes are
    /// asymmetric.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        about: &Waiting,
        error: IcmpError,
        out: &mut dyn Egress,
    ) {
        if about.own {
            return;
        }
        let input = about.input;
        let packet = about.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let link_group = about.bytes.first().is_some_and(|b| b & 1 != 0);
        let addresses = if about.is_ipv6() {
            self.report6_between(input, packet, error, link_group)
        } else {
            self.report4_between(input, packet)
                .filter(|_| !link_group)
                .map(|(from, to)| (IpAddr::V4(from), IpAddr::V4(to)))
        };
        let Some(addresses) = addresses else {
            return;
        };
        let rate = self.links.get(input.index()).and_then(|l| l.errors);
        let limit = self.limits.get_mut(input.index());
        if !limit.zip(rate).is_some_and(|(l, rate)| l.take(now, rate)) {
            return self.with_counters(input, |c| c.icmp_suppressed += 1);
        }
        self.with_counters(input, |c| c.icmp_errors += 1);
        let frame = match addresses {
            (IpAddr::V4(from), IpAddr::V4(to)) => error_frame4(error, from, to, packet),
            (IpAddr::V6(from), IpAddr::V6(to)) => icmpv6::error_frame(error, from, to, packet),
            _ => return,
        };
        self.originate(now, input, frame, out);
    }

    /// One of the router's IPv4 addresses, of the same table, for an interface that has none.
    pub(crate) fn any_address(&self, interface: InterfaceId) -> Option<Ipv4Addr> {
        let vrf = self.vrf_of(interface);
        let links = self.links.iter().filter(|l| l.vrf == vrf);
        links.flat_map(|l| &l.addresses).next().map(|n| n.address)
    }

    /// From which address to which one an error about an IPv4 packet goes, if it may.
    pub(crate) fn report4_between(
        &self,
        input: InterfaceId,
        packet: &[u8],
    ) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let ip = Ipv4::parse(packet, packet.len()).ok()?;
        let payload = packet.get(ip.header_len..).unwrap_or(&[]);
        // What was for more than one host is no one's error (RFC 1812 4.3.2.7).
        let many = ipv4::is_martian_source(ip.destination)
            || self.is_network_end(self.vrf_of(input), ip.destination);
        if many || !icmpv4::may_answer(&ip, payload) {
            return None;
        }
        let link_of = |interface: InterfaceId| self.links.get(interface.index());
        let source = link_of(self.error_source(input))
            .and_then(|l| l.address_towards(ip.source))
            .or_else(|| link_of(input)?.address_towards(ip.source))
            .or_else(|| self.any_address(input))?;
        Some((source, ip.source))
    }

    /// The interface whose addresses errors about packets from `input` come from.
    pub(crate) fn error_source(&self, input: InterfaceId) -> InterfaceId {
        let configured = self.links.get(input.index()).and_then(|l| l.source);
        let configured = configured.and_then(|at| u8::try_from(at).ok());
        configured.map_or(input, InterfaceId)
    }
}

/// Completes the transport checksum of a packet that still lacks it.
pub(crate) fn complete_checksum(waiting: &mut Waiting) {
    if waiting.meta.flags.contains(FrameFlags::CSUM_BLANK) {
        waiting.meta.flags = FrameFlags::empty();
        wire::offload::complete_checksum(&mut waiting.bytes);
    }
}
