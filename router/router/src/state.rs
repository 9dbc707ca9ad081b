//! The state that only the slow path uses.

use alloc::vec::Vec;

use crate::interface::ids::InterfaceIds;
use crate::interface::machines::Machines;
use crate::local::reassembly::Reassembly;
use crate::local::services::Services;
use crate::neighbor::table::NeighborTable;
use crate::rng::Rng;
use crate::route::group_numbers::GroupNumbers;
use crate::route::target::TargetUsers;
use crate::route::vrf::VrfIds;
use crate::slow::icmp_limits::IcmpLimits;
use crate::time::Instant;

/// Protocol machines, the states of neighbors, queues, and the router's own services.
pub(crate) struct State {
    /// The numbers of interfaces and of routing tables.
    pub(crate) ids: InterfaceIds,
    pub(crate) vrf_ids: VrfIds,
    /// By [`InterfaceId`](crate::InterfaceId).
    pub(crate) machines: Vec<Machines>,
    /// The rate limits of ICMP errors.
    pub(crate) icmp_limits: IcmpLimits,
    pub(crate) neighbors: NeighborTable,
    /// The number of configurations so far.
    pub(crate) configurations: u32,
    pub(crate) groups: GroupNumbers,
    /// The use counts of links and routing tables as targets.
    pub(crate) users: TargetUsers,
    /// Lanes read the tables meanwhile.
    pub(crate) has_lanes: bool,
    /// Which links were up when routes were last hidden, a bit for each.
    pub(crate) links_up: u64,
    /// The number of routes of each route file that has been read.
    pub(crate) route_files: Vec<usize>,
    /// When the copies of IPv4 tables may be rebuilt.
    pub(crate) settle_at: Option<Instant>,
    /// By the number of the routing table.
    pub(crate) services: Vec<Services>,
    pub(crate) reassembly: Reassembly,
    /// Bytes of memory that are for tables; `None` before that is known.
    pub(crate) table_bytes: Option<usize>,
    /// The identification of the last packet that the router fragmented.
    pub(crate) ident: u16,
}

impl State {
    /// Creates an empty state. `services` are those of the default routing table; `ident` and `key`
    /// must be unpredictable.
    pub(crate) fn new(services: Services, ident: u16, key: u64) -> Self {
        Self {
            ids: InterfaceIds::default(),
            vrf_ids: VrfIds::default(),
            machines: Vec::new(),
            icmp_limits: IcmpLimits::new(key),
            neighbors: NeighborTable::default(),
            configurations: 0,
            groups: GroupNumbers::default(),
            users: TargetUsers::default(),
            has_lanes: false,
            links_up: 0,
            route_files: Vec::new(),
            settle_at: None,
            services: alloc::vec![services],
            reassembly: Reassembly::default(),
            table_bytes: None,
            ident,
        }
    }

    /// Creates services for routing tables that have none.
    pub(crate) fn start_services(&mut self, now: Instant, rng: &mut Rng) {
        let start = || Services::new(rng.next(), now);
        self.services.resize_with(self.vrf_ids.slots(), start);
    }
}
