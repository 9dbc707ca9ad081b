//! Validates a draft as a whole. The rules of each subject are in a file of their own.

mod address;
mod attachment;
mod capacity;
pub(crate) mod interfaces;
mod neighbor;
pub(crate) mod next_hop;
pub(crate) mod route;
mod router_advert;
mod vrf;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::draft::{Draft, DraftInterface};
use crate::error::ConfigError;
use crate::model::{Config, DEFAULT_HOSTNAME, InterfaceConfig, RouteFile};
use interfaces::Interfaces;
use wire::addr::Network;

/// A map from a number and a prefix, such as a routing table and a route in it, to a number. All
/// such maps share this type, since each instantiation costs some KiB of code.
pub(crate) type Places = BTreeMap<(usize, Network), usize>;

pub(crate) fn check(draft: Draft) -> Result<Config, ConfigError> {
    let hostname = hostname(draft.hostname)?;
    let mut drafts = draft.interfaces;
    interface_names(&drafts)?;
    attachment::arrange(&mut drafts)?;
    let vrfs = vrf::names(draft.vrfs)?;
    for interface in &mut drafts {
        interface.config.vrf = vrf::chosen(&vrfs, interface.vrf.as_ref())?;
    }
    address::check(&mut drafts)?;
    for interface in &mut drafts {
        router_advert::check(interface)?;
    }
    let interfaces = with_sources(drafts, &vrfs)?;
    let there = Interfaces {
        all: &interfaces,
        vrfs: &vrfs,
    };
    let routes = route::check(&draft.routes, there)?;
    let neighbors = neighbor::check(&draft.neighbors, there, &routes)?;
    let (given, known) = (&draft.routes, &draft.neighbors);
    capacity::check(&interfaces, (&routes, given), (&neighbors, known))?;
    let mut route_files = Vec::with_capacity(draft.route_files.len());
    for file in draft.route_files {
        route_files.push(RouteFile {
            vrf: vrf::chosen(&vrfs, file.vrf.as_ref())?,
            path: file.path.value,
        });
    }
    Ok(Config {
        hostname,
        interfaces,
        vrfs,
        routes,
        route_files,
        neighbors,
        warnings: draft.warnings,
    })
}

fn hostname(given: Option<String>) -> Result<String, ConfigError> {
    let hostname = given.unwrap_or_else(|| String::from(DEFAULT_HOSTNAME));
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if hostname.is_empty() || hostname.len() > 63 || !hostname.bytes().all(legal) {
        let text = format!("hostname \"{hostname}\" isn't 1 to 63 letters, digits, \"-\" or \".\"");
        return Err(ConfigError::new(0, text));
    }
    Ok(hostname)
}

fn interface_names(interfaces: &[DraftInterface]) -> Result<(), ConfigError> {
    if interfaces.is_empty() {
        let text = "no interface is configured ([interface.NAME])";
        return Err(ConfigError::new(0, text));
    }
    for interface in interfaces {
        let name = &interface.config.name;
        if !is_name(name) {
            let text =
                format!("interface name \"{name}\" isn't 1 to 31 letters, digits, \"-\" or \"_\"");
            return Err(ConfigError::new(interface.line, text));
        }
    }
    Ok(())
}

/// Returns `true` if this is a valid name of an interface or a routing table.
fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=31).contains(&name.len()) && name.bytes().all(legal)
}

/// Resolves the interfaces whose addresses ICMP errors are sent from.
fn with_sources(
    drafts: Vec<DraftInterface>,
    vrfs: &[String],
) -> Result<Vec<InterfaceConfig>, ConfigError> {
    let drafts = drafts.into_iter().map(|draft| (draft.config, draft.source));
    let (mut all, named): (Vec<InterfaceConfig>, Vec<_>) = drafts.unzip();
    let there = Interfaces { all: &all, vrfs };
    let mut found = Vec::with_capacity(all.len());
    for (interface, source) in all.iter().zip(named) {
        let Some(name) = source else {
            found.push(None);
            continue;
        };
        let (at, source) = there.named(name.line, &name.value)?;
        there.same_vrf(name.line, source, interface.vrf)?;
        found.push(Some(at));
    }
    for (interface, source) in all.iter_mut().zip(found) {
        interface.source = source;
    }
    Ok(all)
}
