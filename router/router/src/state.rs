//! What only the slow path touches.

use alloc::vec::Vec;

use config::Config;

use crate::frame::MAX_INTERFACES;
use crate::interface::machines::Machines;
use crate::local::reassembly::Reassembly;
use crate::local::services::Services;
use crate::neighbor::table::NeighborTable;
use crate::packet::Packet;
use crate::rate_limit::RateLimit;
use crate::rng::Rng;
use crate::time::Instant;

/// Protocol machines, the states of neighbors, queues, and the router's own services.
pub(crate) struct State {
    /// Of each interface.
    pub(crate) machines: Vec<Machines>,
    /// How often each interface may send ICMP errors.
    pub(crate) icmp_limits: [RateLimit; MAX_INTERFACES],
    pub(crate) neighbors: NeighborTable,
    /// Which links were up when routes were last hidden, a bit for each.
    pub(crate) links_up: u64,
    /// How many routes each of the configured files has, of those that were read.
    pub(crate) route_files: Vec<usize>,
    /// When the copies of IPv4 tables may be made again.
    pub(crate) settle_at: Option<Instant>,
    /// Of each routing table.
    pub(crate) services: Vec<Services>,
    pub(crate) reassembly: Reassembly,
    /// The identification of the last packet of the router's own that was fragmented.
    pub(crate) ident: u16,
    /// Packets to be routed again after a change of configuration.
    pub(crate) again: Vec<Packet>,
}

impl State {
    /// Nothing is known and nothing waits. `services` are those of the default routing table;
    /// `ident` is hard to foresee.
    pub(crate) fn new(services: Services, ident: u16) -> Self {
        Self {
            machines: Vec::new(),
            icmp_limits: [RateLimit::default(); MAX_INTERFACES],
            neighbors: NeighborTable::default(),
            links_up: 0,
            route_files: Vec::new(),
            settle_at: None,
            services: alloc::vec![services],
            reassembly: Reassembly::default(),
            ident,
            again: Vec::new(),
        }
    }

    /// Begins with services for each routing table of a configuration; those of the default one
    /// stay.
    pub(crate) fn start_services(&mut self, config: &Config, now: Instant, rng: &mut Rng) {
        self.services.truncate(1);
        let count = config.vrfs.len().max(1);
        let start = || Services::new(rng.next(), now);
        self.services.resize_with(count, start);
    }
}
