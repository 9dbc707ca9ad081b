//! Static routes.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::interfaces::Interfaces;
use super::next_hop::{NextHops, OnLink};
use super::vrf;
use crate::draft::{At, DraftRoute, DraftTarget};
use crate::error::ConfigError;
use crate::model::{InterfaceConfig, RouteConfig, RouteTarget};
use wire::addr::Network;
use wire::ipv6::MIN_MTU;

pub(super) fn check(
    drafts: &[DraftRoute],
    interfaces: Interfaces<'_>,
) -> Result<Vec<RouteConfig>, ConfigError> {
    let vrfs = interfaces.vrfs;
    let connected = Connected::new(interfaces.all);
    let next_hops = NextHops {
        interfaces,
        on_link: on_link(drafts, interfaces)?,
    };
    let mut routes = Vec::with_capacity(drafts.len());
    let mut seen: BTreeMap<(usize, Network), u32> = BTreeMap::new();
    for draft in drafts {
        let At {
            line,
            value: prefix,
        } = draft.prefix;
        let vrf = vrf::chosen(vrfs, draft.vrf.as_ref())?;
        connected.allow(line, vrf, prefix)?;
        if let Some(first) = seen.insert((vrf, prefix), line) {
            let text = format!("route {prefix} is already on line {first}");
            return Err(ConfigError::new(line, text));
        }
        let beyond = match &draft.via_vrf {
            Some(name) => vrf::named(vrfs, name)?,
            None => vrf,
        };
        let target = next_hops.target(prefix, vrf, beyond, &draft.target)?;
        let mtu = mtu(draft, &target)?;
        routes.push(RouteConfig {
            prefix,
            vrf,
            target,
            mtu,
        });
    }
    for (route, draft) in routes.iter().zip(drafts) {
        let round = circle(route, &routes, &connected);
        if !round.is_empty() {
            let names: Vec<&str> = round.iter().map(|&vrf| vrf::name(vrfs, vrf)).collect();
            return Err(draft.prefix.error(format!(
                "route {} leads round in a circle: vrf {}",
                route.prefix,
                names.join(", ")
            )));
        }
    }
    Ok(routes)
}

/// Returns what routes put on the links of interfaces.
fn on_link(routes: &[DraftRoute], interfaces: Interfaces<'_>) -> Result<Vec<OnLink>, ConfigError> {
    let mut on_link = Vec::new();
    for route in routes.iter().filter(|r| r.via_vrf.is_none()) {
        if let DraftTarget::Interface(name) = &route.target.value {
            on_link.push(OnLink {
                vrf: vrf::chosen(interfaces.vrfs, route.vrf.as_ref())?,
                prefix: route.prefix.value,
                interface: interfaces.named(route.target.line, name)?.0,
            });
        }
    }
    Ok(on_link)
}

fn mtu(draft: &DraftRoute, target: &RouteTarget) -> Result<Option<u16>, ConfigError> {
    let Some(mtu) = draft.mtu else {
        return Ok(None);
    };
    let prefix = draft.prefix.value;
    if !matches!(target, RouteTarget::Via(_) | RouteTarget::Interface(_)) {
        let text = format!("route {prefix} leads to no next hop and has no \"mtu\"");
        return Err(mtu.error(text));
    }
    if prefix.address.is_ipv6() && usize::from(mtu.value) < MIN_MTU {
        let mtu_given = mtu.value;
        let text = format!("{prefix}: IPv6 needs an MTU of {MIN_MTU} bytes, not {mtu_given}");
        return Err(mtu.error(text));
    }
    Ok(Some(mtu.value))
}

/// The networks on the links of interfaces.
pub(crate) struct Connected<'a>(Vec<(&'a InterfaceConfig, Network)>);

impl<'a> Connected<'a> {
    pub(crate) fn new(interfaces: &'a [InterfaceConfig]) -> Self {
        let networks = |i: &'a InterfaceConfig| i.addresses.iter().map(move |a| (i, a.masked()));
        Self(interfaces.iter().flat_map(networks).collect())
    }

    fn of_vrf(&self, vrf: usize) -> impl Iterator<Item = (&'a InterfaceConfig, Network)> {
        let all = self.0.iter().copied();
        all.filter(move |(interface, _)| interface.vrf == vrf)
    }

    /// Fails for what can't be the prefix of a route in a table: one with more bits than its length
    /// says, and those of the links themselves.
    pub(crate) fn allow(&self, line: u32, vrf: usize, prefix: Network) -> Result<(), ConfigError> {
        let masked = prefix.masked();
        if masked != prefix {
            let text = format!("route {prefix} has host bits set (did you mean \"{masked}\"?)");
            return Err(ConfigError::new(line, text));
        }
        if let Some((owner, _)) = self.of_vrf(vrf).find(|&(_, network)| network == prefix) {
            let name = &owner.name;
            let text = format!("route {prefix} is the network of interface {name}");
            return Err(ConfigError::new(line, text));
        }
        Ok(())
    }
}

/// Returns the tables through which a route leads, the first of them twice, if it leads round in a
/// circle, else nothing.
fn circle(route: &RouteConfig, routes: &[RouteConfig], connected: &Connected<'_>) -> Vec<usize> {
    let mut seen = Vec::new();
    let mut at = Some(route);
    while let Some(&RouteConfig {
        vrf,
        target: RouteTarget::Vrf(next),
        ..
    }) = at
    {
        seen.push(vrf);
        if seen.contains(&next) {
            seen.push(next);
            return seen;
        }
        at = next_route(route.prefix, next, routes, connected);
    }
    Vec::new()
}

/// Returns the route by which packets to all of a prefix go on in a table, if they all go by one.
fn next_route<'a>(
    prefix: Network,
    vrf: usize,
    routes: &'a [RouteConfig],
    connected: &Connected<'_>,
) -> Option<&'a RouteConfig> {
    let holds = |n: Network| n.len <= prefix.len && n.contains(prefix.address);
    let best = routes
        .iter()
        .filter(|r| r.vrf == vrf && holds(r.prefix))
        .max_by_key(|r| r.prefix.len)?;
    let mut networks = connected.of_vrf(vrf);
    let is_on_link = networks.any(|(_, n)| holds(n) && n.len >= best.prefix.len);
    (!is_on_link).then_some(best)
}
