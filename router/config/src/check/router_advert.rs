//! Router advertisements that depend on an interface's addresses.

use alloc::format;
use core::net::Ipv6Addr;

use crate::draft::DraftInterface;
use crate::error::ConfigError;
use crate::limits::ADVERTISED_MAX;
use crate::model::{AdvertiseConfig, PrefixConfig};
use wire::addr::{Ipv6Network, Mac};
use wire::ipv6;
use wire::ndp_router_advert::{Prefix, RouterAdvert};

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
            if !known && prefix.len < 128 {
                prefixes.push(PrefixConfig::new(prefix));
            }
        }
        prefixes
    });
    let name = &interface.config.name;
    if config.prefixes.len() > ADVERTISED_MAX {
        let text = format!(
            "interface.{name} has more than {ADVERTISED_MAX} IPv6 networks to advertise: name those \
             that matter in [[interface.{name}.advertise.prefix]]"
        );
        return Err(ConfigError::new(advertise.line, text));
    }
    let len = ipv6::HEADER_LEN + message_len(&config);
    if len > ipv6::MIN_MTU {
        let most = ipv6::MIN_MTU;
        let text = format!(
            "interface.{name}.advertise: the advertisement would have {len} bytes, more than the \
             {most} that any IPv6 link carries"
        );
        return Err(ConfigError::new(advertise.line, text));
    }
    interface.config.advertise = Some(config);
    Ok(())
}

/// Returns the length of an advertisement, in bytes.
fn message_len(config: &AdvertiseConfig) -> usize {
    let prefix = Prefix {
        first: 0,
        len: 0,
        on_link: false,
        autonomous: false,
        valid_s: 0,
        preferred_s: 0,
    };
    let advert = RouterAdvert {
        hop_limit: 0,
        managed: false,
        other: false,
        preference: config.preference,
        lifetime_s: 0,
        reachable_time_ms: 0,
        retrans_timer_ms: 0,
        mac: Mac::default(),
        mtu: 0,
        prefixes: &alloc::vec![prefix; config.prefixes.len()],
        routes: &config.routes,
        dns: &config.dns,
        dns_search: &config.dns_search,
        dns_lifetime_s: 0,
    };
    advert.message().len()
}
