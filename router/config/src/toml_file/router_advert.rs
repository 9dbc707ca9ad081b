//! The table `[interface.NAME.advertise]`: router advertisements.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use crate::draft::{At, DraftAdvertise};
use crate::error::ConfigError;
use crate::limits::ADVERTISED_MAX;
use crate::model::{AdvertiseConfig, PrefixConfig};
use crate::notation;
use crate::toml_table::Table;
use wire::addr::Ipv6Network;
use wire::ndp_router_advert::{Preference, RouteInformation};

/// The default of MaxRtrAdvInterval, in seconds (RFC 4861 6.2.1).
const MAX_INTERVAL_S: u16 = 600;
const HOP_LIMIT: u8 = 64;
/// The maximum of AdvDefaultLifetime, in seconds (RFC 4861 6.2.1).
const LIFETIME_MAX_S: u16 = 9000;
/// The default lifetime of an advertised route, in seconds.
const ROUTE_LIFETIME_S: u32 = 3 * 600;
/// The smallest MTU of IPv6, in bytes (RFC 8200 5).
const MTU_MIN: u16 = 1280;

const PREFERENCES: [(&str, Preference); 3] = [
    ("high", Preference::High),
    ("medium", Preference::Medium),
    ("low", Preference::Low),
];

pub(super) fn read(mut table: Table<'_>) -> Result<DraftAdvertise, ConfigError> {
    let min_interval_s = table.number("min_interval_s", 3..=1350);
    let most = table.number_or("max_interval_s", 4..=1800, MAX_INTERVAL_S);
    // The defaults of other values depend on it (RFC 4861 6.2.1, RFC 8106 5.1).
    let min_interval_s = match min_interval_s {
        Some(least) => least.value,
        None if most >= 9 => most / 3,
        None => (most * 3 / 4).max(3),
    };
    let config = AdvertiseConfig {
        min_interval_s,
        max_interval_s: most,
        lifetime_s: table.number_or("lifetime_s", 0..=LIFETIME_MAX_S, 3 * most),
        managed: table.flag("managed").unwrap_or(false),
        other: table.flag("other").unwrap_or(false),
        hop_limit: table.number_or("hop_limit", 0..=u8::MAX, HOP_LIMIT),
        reachable_time_ms: table.number_or("reachable_time_ms", 0..=3_600_000, 0),
        retrans_timer_ms: table.number_or("retrans_timer_ms", 0..=u32::MAX, 0),
        mtu: table.number("mtu", MTU_MIN..=u16::MAX).map(At::into_value),
        needs_default_route: table.flag("needs_default_route").unwrap_or(false),
        preference: preference(&mut table),
        dns: values(table.list("dns", dns_server)),
        dns_search: values(table.list("dns_search", domain)),
        dns_lifetime_s: table.number_or("dns_lifetime_s", 0..=u32::MAX, 3 * u32::from(most)),
        prefixes: Vec::new(),
        routes: Vec::new(),
    };
    let prefixes = table.tables("prefix", prefix);
    let routes = table.tables("route", route).unwrap_or_default();
    let config = AdvertiseConfig { routes, ..config };
    let whole = table.finish()?;
    intervals(&whole, &config)?;
    for (what, len) in [
        ("prefix", prefixes.as_ref().map_or(0, Vec::len)),
        ("route", config.routes.len()),
        ("dns", config.dns.len()),
        ("dns_search", config.dns_search.len()),
    ] {
        if len > ADVERTISED_MAX {
            let text = format!("{}: more than {ADVERTISED_MAX} of \"{what}\"", whole.value);
            return Err(whole.error(text));
        }
    }
    Ok(DraftAdvertise {
        line: whole.line,
        config,
        prefixes,
    })
}

/// Checks the bounds that depend on another value (RFC 4861 6.2.1).
fn intervals(whole: &At<String>, config: &AdvertiseConfig) -> Result<(), ConfigError> {
    let path = &whole.value;
    let (least, most) = (config.min_interval_s, config.max_interval_s);
    if least * 4 > most * 3 {
        let text = format!(
            "{path}: min_interval_s is at most 3/4 of max_interval_s ({})",
            most * 3 / 4
        );
        return Err(whole.error(text));
    }
    if config.lifetime_s != 0 && config.lifetime_s < most {
        let text = format!("{path}: lifetime_s is 0 or at least max_interval_s ({most})");
        return Err(whole.error(text));
    }
    Ok(())
}

fn values<T>(list: Option<At<Vec<At<T>>>>) -> Vec<T> {
    let list = list.map(At::into_value).unwrap_or_default();
    list.into_iter().map(At::into_value).collect()
}

fn preference(table: &mut Table<'_>) -> Preference {
    let given = table.choice("preference", &PREFERENCES);
    given.map_or(Preference::Medium, At::into_value)
}

fn dns_server(text: &str) -> Result<Ipv6Addr, String> {
    match notation::address(text)? {
        IpAddr::V6(address) if !address.is_multicast() => Ok(address),
        other => Err(format!(
            "{other} can't be advertised as a DNS server: not IPv6 unicast"
        )),
    }
}

fn domain(text: &str) -> Result<String, String> {
    let legal = |label: &str| {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(byte)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 100 && name.split('.').all(legal) {
        Ok(name.to_owned())
    } else {
        Err(format!("\"{text}\" isn't a domain name"))
    }
}

fn network(text: &str) -> Result<Ipv6Network, String> {
    let given = notation::network(text)?;
    let Some(network) = given.v6() else {
        return Err(format!("{given} isn't an IPv6 prefix"));
    };
    let masked = given.masked();
    if masked != given {
        return Err(format!(
            "{given} has host bits set (did you mean \"{masked}\"?)"
        ));
    }
    let first = network.address;
    if first.is_unicast_link_local() || first.is_multicast() {
        return Err(format!("{given} can't be advertised"));
    }
    Ok(network)
}

fn prefix(mut table: Table<'_>) -> Result<PrefixConfig, ConfigError> {
    let prefix = table.parsed("prefix", network);
    let on_link = table.flag("on_link");
    let autonomous = table.flag("autonomous");
    let valid = table.number("valid_lifetime_s", 0..=u32::MAX);
    let preferred = table.number("preferred_lifetime_s", 0..=u32::MAX);
    let whole = table.finish()?;
    let prefix = prefix.ok_or_else(|| whole.error("an advertised prefix needs \"prefix\""))?;
    let usual = PrefixConfig::new(prefix.value);
    let valid_lifetime_s = valid.map_or(usual.valid_lifetime_s, At::into_value);
    let usually_preferred = usual.preferred_lifetime_s.min(valid_lifetime_s);
    let config = PrefixConfig {
        on_link: on_link.unwrap_or(usual.on_link),
        autonomous: autonomous.unwrap_or(usual.autonomous),
        valid_lifetime_s,
        preferred_lifetime_s: preferred.map_or(usually_preferred, At::into_value),
        ..usual
    };
    if config.preferred_lifetime_s > config.valid_lifetime_s {
        return Err(whole.error("preferred_lifetime_s is longer than valid_lifetime_s"));
    }
    if config.autonomous && config.prefix.len != 64 {
        return Err(whole
            .error("hosts make themselves addresses in prefixes of length 64 only (autonomous)"));
    }
    Ok(config)
}

fn route(mut table: Table<'_>) -> Result<RouteInformation, ConfigError> {
    let prefix = table.parsed("prefix", network);
    let preference = preference(&mut table);
    let lifetime_s = table.number_or("lifetime_s", 0..=u32::MAX, ROUTE_LIFETIME_S);
    let whole = table.finish()?;
    let prefix = prefix.ok_or_else(|| whole.error("an advertised route needs \"prefix\""))?;
    Ok(RouteInformation {
        prefix: prefix.value,
        preference,
        lifetime_s,
    })
}
