//! Processing of the slow path's work within a budget: punted frames, jobs, timers.

use alloc::vec::Vec;
use core::time::Duration;

use crate::DropReason;
use crate::forward::punt_queue::Punted;
use crate::forward::validate::Parsed;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::neighbor::table::NEVER;
use crate::outbox::{Egress, Job};
use crate::packet::{Ip, Packet};
use crate::slow::headroom;
use crate::step::Step;
use crate::time::Instant;
use wire::icmp_error::IcmpError;

/// The pause after a lack of memory.
const SHORT_OF_MEMORY: Duration = Duration::from_millis(10);

/// The work that [`Router::poll`](crate::Router::poll) has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Poll {
    /// `true` if the budget was exhausted: poll again soon.
    pub more: bool,
    /// When to poll again even if nothing arrives.
    pub next: Option<Instant>,
}

impl Step<'_> {
    /// Processes at most `budget` punted frames, with the jobs that they leave, and as many
    /// neighbors' timers.
    pub(crate) fn poll(&mut self, budget: usize, egress: &mut dyn Egress) -> Poll {
        if !headroom::for_timers() {
            self.forget_what_waits();
        }
        if !headroom::for_timers() {
            return Poll {
                more: false,
                next: Some(self.cx.now.saturating_add(SHORT_OF_MEMORY)),
            };
        }
        let all = self.state.ids.iter();
        let ports = all.map(|id| (id, self.tables.port(id).0));
        self.cx.out.begin(ports, egress);
        self.announce();
        self.work_off(egress);
        let mut bytes = Vec::new();
        for _ in 0..budget {
            let Some(len) = self.cx.stats.punts.next_len() else {
                break;
            };
            if !headroom::for_packet(len) {
                if let Some(punted) = self.cx.stats.punts.discard() {
                    self.cx.drop_frames(punted.input, DropReason::PuntFull, 1);
                }
                continue;
            }
            let Some(punted) = self.cx.stats.punts.pop(&mut bytes) else {
                break;
            };
            bytes = self.punted(punted, bytes);
            self.work_off(egress);
        }
        let more = self.nud().poll(budget);
        self.expire_fragments();
        self.poll_interfaces();
        self.work_off(egress);
        let hiding = self.hide_routes();
        let routes = self.settle_routes();
        let machines = self.state.machines.iter().zip(&*self.tables.interfaces);
        let next = machines
            .filter_map(|(machines, interface)| machines.due(interface))
            .chain(routes)
            .chain(self.state.reassembly.next())
            .chain(Some(self.state.neighbors.next).filter(|&n| n != NEVER));
        Poll {
            next: next.min(),
            more: more || hiding || self.cx.stats.has_punts(),
        }
    }

    /// Drops all queued packets, since there is no memory to process them.
    fn forget_what_waits(&mut self) {
        self.state.reassembly.clear();
        while let Some(punted) = self.cx.stats.punts.discard() {
            self.cx.drop_frames(punted.input, DropReason::PuntFull, 1);
        }
        self.cx.stats.punts.shrink();
        for index in 0..self.state.neighbors.slots() {
            for packet in self.state.neighbors.take_queue(index) {
                self.cx
                    .drop_frames(packet.input, DropReason::NeighborTableFull, 1);
            }
        }
    }

    /// Announces the IPv4 addresses of interfaces where that is due.
    fn announce(&mut self) {
        let machines = self.state.machines.iter_mut();
        let all = (0u8..).map(InterfaceId).zip(&*self.tables.interfaces);
        for ((id, interface), machines) in all.zip(machines) {
            machines.acd.poll(&mut self.cx, id, interface);
        }
    }

    /// Runs the IPv6 machines of interfaces that are due.
    fn poll_interfaces(&mut self) {
        let mut news = false;
        for (id, config) in self.state.ids.iter().zip(&self.config.interfaces) {
            let (Some(interface), Some(machines)) = (
                self.tables.interface(id),
                self.state.machines.get_mut(id.index()),
            ) else {
                continue;
            };
            let advertiser = &mut machines.advertiser;
            if advertiser.needs_default_route() {
                let is_there = self.tables.vrfs.has_default_route6(interface.vrf);
                advertiser.note_default_route(self.cx.now, is_there);
            }
            let proven = machines.poll6(&mut self.cx, id, interface, config.dad_transmits);
            if !proven.is_empty() {
                news = true;
                if let Some(interface) = self.tables.interface_mut(id) {
                    interface.use_addresses6(&proven);
                }
            }
            if let Some(interface) = self.tables.interface(id) {
                machines.announce6(&mut self.cx, id, interface, &proven);
            }
        }
        if news {
            self.rebuild();
        }
    }

    /// Gives up packets whose reassembly has timed out (RFC 792, RFC 8200 4.5).
    fn expire_fragments(&mut self) {
        while self.cx.out.has_room()
            && let Some(expired) = self.state.reassembly.expire(self.cx.now)
        {
            let first = expired.first.as_deref();
            let about = first.map(|first| {
                let input = expired.input;
                Packet::reassembled(&[0; ETHERNET_LEN], first, input)
            });
            if let Some(Ok(about)) = about {
                self.report(&about, IcmpError::ReassemblyTime);
            }
        }
    }

    /// Processes the jobs, and sends the frames.
    fn work_off(&mut self, egress: &mut dyn Egress) {
        while let Some(job) = self.cx.out.pop() {
            match job {
                Job::Route(packet) => self.route(packet),
                Job::Report(packet, error) => self.report(&packet, error),
            }
            self.cx.out.flush(egress, self.cx.stats);
        }
        self.cx.out.flush(egress, self.cx.stats);
    }

    /// Handles a punted frame, and returns a buffer for the next one.
    fn punted(&mut self, punted: Punted, bytes: Vec<u8>) -> Vec<u8> {
        let Punted { input, meta, .. } = punted;
        let ip = match self.tables.validate(input, &bytes, meta.len as usize) {
            Parsed::Bad(reason) => {
                self.cx.drop_frames(input, reason, 1);
                return bytes;
            }
            Parsed::Incomplete => {
                self.cx.drop_frames(input, DropReason::Truncated, 1);
                return bytes;
            }
            // Nobody else changes routes meanwhile.
            Parsed::Undecided => {
                self.cx.drop_frames(input, DropReason::ReversePath, 1);
                return bytes;
            }
            Parsed::Arp => {
                self.arp_input(input, &bytes);
                return bytes;
            }
            Parsed::Ip(ip) => Ip::V4(ip),
            Parsed::Ip6(ip) => Ip::V6(ip),
        };
        let mut packet = Packet::received(bytes, meta, input, ip);
        if let Ip::V4(ip) = ip
            && !(self.has_good_options(&packet) && self.follow_source_route(&mut packet, &ip))
        {
            return packet.into_frame();
        }
        self.route(packet);
        Vec::new()
    }

    /// Routes a packet, received or made by the router.
    fn route(&mut self, packet: Packet) {
        match packet.ip() {
            Ip::V4(ip) => self.route4(packet, &ip),
            Ip::V6(ip) => self.route6(packet, &ip),
        }
    }
}
