//! The routing information base: the routes of a routing table, for those who change them.

use core::net::IpAddr;

use lpm::{Hiding, Reader};
use wire::addr::Network;

use crate::route::overlay::OverlaidTable;

/// The routes of both families, usable or not, with what lies over them. Lanes find packets' ways by what
/// the [`Vrf`](crate::route::vrf::Vrf) has beside it.
#[derive(Debug)]
pub(crate) struct Rib {
    pub(crate) v4: OverlaidTable<u32>,
    pub(crate) v6: OverlaidTable<u128>,
    /// How far routes are hidden and shown, while that is under way: those of IPv4, then of IPv6.
    hiding: Option<(Option<Hiding<u32>>, Hiding<u128>)>,
}

impl Rib {
    /// No routes.
    pub(crate) fn new() -> Self {
        Self {
            v4: OverlaidTable::new(),
            v6: OverlaidTable::new(),
            hiding: None,
        }
    }

    /// Has routes hidden and shown from the beginning, part by part ([`Rib::hide_part`]).
    pub(crate) fn begin_hiding(&mut self) {
        self.hiding = Some((Some(Hiding::new()), Hiding::new()));
    }

    /// Returns `true` if routes are still to be hidden or shown.
    pub(crate) fn is_hiding(&self) -> bool {
        self.hiding.is_some()
    }

    /// Hides the routes whose values `hidden` holds for in the next `nodes` nodes of the tables, and shows
    /// the others, whose readers these are.
    pub(crate) fn hide_part(
        &mut self,
        nodes: usize,
        (four, six): (&mut Reader<u32>, &mut Reader<u128>),
        hidden: impl Fn(u32) -> bool,
    ) {
        match &mut self.hiding {
            Some((first, _)) if first.is_some() => {
                let table = self.v4.table_mut();
                first.take_if(|part| {
                    table.alone(four, |table| table.hide_some(part, nodes, &hidden))
                });
            }
            Some((_, part)) => {
                let table = self.v6.table_mut();
                if table.alone(six, |table| table.hide_some(part, nodes, &hidden)) {
                    self.hiding = None;
                }
            }
            None => {}
        }
    }

    /// Returns `true` if there is a route with exactly this prefix.
    pub(crate) fn has(&self, prefix: Network) -> bool {
        match (prefix.v4(), prefix.v6()) {
            (Some(prefix), _) => self.v4.has(prefix.first(), prefix.len),
            (_, Some(prefix)) => self.v6.has(prefix.first(), prefix.len),
            _ => false,
        }
    }

    /// Returns `true` if `accept` takes the value of a prefix that an address is in, other than the
    /// default route.
    pub(crate) fn any_containing(&self, address: IpAddr, accept: impl Fn(u32) -> bool) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.any_containing(address.to_bits(), accept),
            IpAddr::V6(address) => self.v6.any_containing(address.to_bits(), accept),
        }
    }

    /// Calls `f` with the value of each route, without [`HIDDEN`](lpm::HIDDEN).
    pub(crate) fn for_each_route(&self, mut f: impl FnMut(u32)) {
        self.v4.for_each_route(&mut f);
        self.v6.for_each_route(&mut f);
    }

    /// Returns how many things of both tables can't be used again yet, since lanes may still find
    /// them.
    pub(crate) fn retired(&self) -> usize {
        self.v4.table().retired() + self.v6.table().retired()
    }
}
