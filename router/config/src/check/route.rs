//! Static routes.

use alloc::format;
use alloc::vec::Vec;

use super::Places;
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
    let mut places = Places::new();
    for draft in drafts {
        let At {
            line,
            value: prefix,
        } = draft.prefix;
        let vrf = vrf::chosen(vrfs, draft.vrf.as_ref())?;
        connected.allow(line, vrf, prefix)?;
        if let Some(first) = places.insert((vrf, prefix), routes.len()) {
            let first = drafts.get(first).map_or(0, |draft| draft.prefix.line);
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
        let round = circle(route, (&routes, &places), &connected);
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
fn on_link(routes: &[DraftRoute], interfaces: Interfaces<'_>) -> Result<OnLink, ConfigError> {
    let mut on_link = OnLink::new();
    for route in routes.iter().filter(|r| r.via_vrf.is_none()) {
        if let DraftTarget::Interface(name) = &route.target.value {
            let vrf = vrf::chosen(interfaces.vrfs, route.vrf.as_ref())?;
            let (interface, _) = interfaces.named(route.target.line, name)?;
            on_link.insert((vrf, route.prefix.value), interface);
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
pub(crate) struct Connected<'a>(Vec<Link<'a>>);

/// The link of an interface.
#[derive(Clone, Copy)]
struct Link<'a> {
    interface: &'a InterfaceConfig,
    network: Network,
}

impl<'a> Connected<'a> {
    pub(crate) fn new(interfaces: &'a [InterfaceConfig]) -> Self {
        let links = |interface: &'a InterfaceConfig| {
            interface.addresses.iter().map(move |a| Link {
                interface,
                network: a.masked(),
            })
        };
        Self(interfaces.iter().flat_map(links).collect())
    }

    fn of_vrf(&self, vrf: usize) -> impl Iterator<Item = Link<'a>> {
        let all = self.0.iter().copied();
        all.filter(move |link| link.interface.vrf == vrf)
    }

    /// Fails if this can't be the prefix of a route in a table: if it has host bits set, or is the
    /// network of a link.
    pub(crate) fn allow(&self, line: u32, vrf: usize, prefix: Network) -> Result<(), ConfigError> {
        let masked = prefix.masked();
        if masked != prefix {
            let text = format!("route {prefix} has host bits set (did you mean \"{masked}\"?)");
            return Err(ConfigError::new(line, text));
        }
        if let Some(link) = self.of_vrf(vrf).find(|l| l.network == prefix) {
            let name = &link.interface.name;
            let text = format!("route {prefix} is the network of interface {name}");
            return Err(ConfigError::new(line, text));
        }
        Ok(())
    }
}

/// Returns the tables of a cycle that a route leads through, with the first one repeated at the
/// end; empty if there is no cycle.
fn circle(
    route: &RouteConfig,
    (routes, places): (&[RouteConfig], &Places),
    connected: &Connected<'_>,
) -> Vec<usize> {
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
        at = next_route(route.prefix, next, places, connected).and_then(|at| routes.get(at));
    }
    Vec::new()
}

/// Returns the route that a table has for a whole prefix, if there is a single one.
fn next_route(
    prefix: Network,
    vrf: usize,
    places: &Places,
    connected: &Connected<'_>,
) -> Option<usize> {
    let mut shorter = (0..=prefix.len)
        .rev()
        .map(|len| Network { len, ..prefix }.masked());
    let best = shorter.find_map(|wider| Some((wider, *places.get(&(vrf, wider))?)));
    let (best, at) = best?;
    let holds = |n: Network| n.len <= prefix.len && n.contains(prefix.address);
    let mut links = connected.of_vrf(vrf);
    let is_on_link = links.any(|l| holds(l.network) && l.network.len >= best.len);
    (!is_on_link).then_some(at)
}
