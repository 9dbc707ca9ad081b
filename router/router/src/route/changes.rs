//! Routes that come and go while lanes forward.
//!
//! Lanes only read [`Tables`], and so does this: what changes are the tables of prefixes, which are
//! made for it, and what lanes never look at. A neighbor or a group that a route doesn't need any more
//! keeps its place until the next change of the [`Tables`] themselves, which no lane can be reading then.

use alloc::vec::Vec;

use config::{RouteConfig, RouteTarget, Via};
use lpm::marked;
use wire::addr::Network;

use crate::DropReason;
use crate::interface::ids::InterfaceIds;
use crate::route::error::RouteError;
use crate::route::holders::Holders;
use crate::route::next_hop_groups::Members;
use crate::route::target::Target;
use crate::route::usable::is_hidden;
use crate::route::vrf::VrfIds;
use crate::tables::Tables;

/// Changes routes while lanes forward. Created by [`Router::beside`](crate::Router::beside).
pub struct RouteChanges<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) holders: Holders<'a>,
    pub(crate) ids: &'a InterfaceIds,
    pub(crate) vrf_ids: &'a VrfIds,
}

impl RouteChanges<'_> {
    /// Adds a route to its table, or changes its target. Lanes find either the previous route or
    /// this one.
    ///
    /// # Errors
    ///
    /// [`RouteError::NewNextHop`] if no other route leads where this one does, and the others of
    /// [`RouteError`]. Nothing is changed then.
    pub fn insert(&mut self, route: &RouteConfig) -> Result<(), RouteError> {
        let vrf = self.vrf_ids.of(route.vrf).ok_or(RouteError::NoVrf)?;
        let target = self.target(&route.target, route.mtu)?;
        if !self.holders.hold(target) {
            return Err(RouteError::TooManyGateways);
        }
        let Tables {
            interfaces,
            adjacencies,
            vrfs,
            ..
        } = self.tables;
        let hidden = is_hidden(target.number(), &vrfs.groups, interfaces, adjacencies);
        let value = marked(target.number(), hidden);
        if let Some(old) = vrfs.get(vrf).insert_beside(route.prefix, value) {
            self.holders.release(Target::from_number(old));
        }
        Ok(())
    }

    /// Removes a route from the default table. Returns `true` if there was one with exactly this
    /// prefix.
    pub fn remove(&mut self, prefix: Network) -> bool {
        self.remove_in(0, prefix)
    }

    /// The same in any table, by its index in [`Config::vrfs`](config::Config::vrfs).
    pub fn remove_in(&mut self, vrf: usize, prefix: Network) -> bool {
        let Some(vrf) = self.vrf_ids.of(vrf) else {
            return false;
        };
        let old = self.tables.vrfs.get(vrf).remove_beside(prefix);
        if let Some(old) = old {
            self.holders.release(Target::from_number(old));
        }
        old.is_some()
    }

    /// Returns the number of retired parts of the tables, which are reused once all lanes have
    /// begun another burst. If it grows, a lane isn't running, and changes should wait.
    #[must_use]
    pub fn retired(&self) -> usize {
        let vrfs = self.tables.vrfs.all();
        vrfs.map(|vrf| vrf.rib.read().retired()).sum()
    }

    /// Returns the target of a route, if other routes have it.
    fn target(&self, target: &RouteTarget, mtu: Option<u16>) -> Result<Target, RouteError> {
        let members = match target {
            RouteTarget::Blackhole => return Ok(Target::Drop(DropReason::Blackhole)),
            RouteTarget::Unreachable => return Ok(Target::Drop(DropReason::Unreachable)),
            RouteTarget::Prohibit => return Ok(Target::Drop(DropReason::Prohibited)),
            RouteTarget::Vrf(to) => {
                let to = self.vrf_ids.of(*to).ok_or(RouteError::NoVrf)?;
                return Ok(Target::Vrf(to));
            }
            RouteTarget::Interface(at) => {
                let id = self.ids.of(*at).ok_or(RouteError::NewNextHop)?;
                alloc::vec![(Target::OnLink(id.0).number(), 1)]
            }
            RouteTarget::Via(gateways) => {
                let known = |via| self.gateway(via).ok_or(RouteError::NewNextHop);
                gateways.iter().map(known).collect::<Result<Vec<_>, _>>()?
            }
        };
        let members = match Members::new(members, mtu) {
            Ok(members) => members,
            Err(only) => return Ok(only),
        };
        let group = self.holders.groups.find(&members);
        group.map(Target::Group).ok_or(RouteError::NewNextHop)
    }

    /// Returns a gateway that is a neighbor already, with its weight.
    fn gateway(&self, via: &Via) -> Option<(u32, u8)> {
        let interface = self.ids.of(via.interface)?;
        let index = self.tables.adjacencies.find(interface, via.address)?;
        let target = Target::Neighbor(u32::try_from(index).ok()?);
        Some((target.number(), via.weight))
    }
}
