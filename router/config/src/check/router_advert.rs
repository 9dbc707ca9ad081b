//! What an interface's addresses say of its router advertisements.

use alloc::format;
use core::net::Ipv6Addr;

use crate::draft::DraftInterface;
use crate::error::ConfigError;
use crate::limits::ADVERTISED_MAX;
use crate::model::PrefixConfig;
use wire::addr::Ipv6Network;

pub(super) fn check(interface: &mut DraftInterface) -> Result<(), ConfigError> {
    let Some(advertise) = interface.advertise.take() else {
        return Ok(());
    };
    let networks = || interface.addresses.iter().filter_map(|a| a.value.v6());
    if networks().next().is_none() {
        let name = &interface.config.name;
        let text = format!("interface.{name} advertises but has no IPv6 address");
        return Err(ConfigError::new(advertise.line, text));
    }
    let mut config = advertise.config;
    config.prefixes = advertise.prefixes.unwrap_or_else(|| {
        let mut prefixes = alloc::vec::Vec::new();
        for network in networks().filter(|n| !n.address.is_unicast_link_local()) {
            let prefix = Ipv6Network {
                address: Ipv6Addr::from_bits(network.first()),
                ..network
            };
            let known = prefixes.iter().any(|p: &PrefixConfig| p.prefix == prefix);
            if !known && prefixes.len() < ADVERTISED_MAX {
                prefixes.push(PrefixConfig::new(prefix));
            }
        }
        prefixes
    });
    interface.config.advertise = Some(config);
    Ok(())
}
