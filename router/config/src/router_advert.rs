//! The table `[interface.NAME.advertise]`: router advertisements.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use super::ConfigError;
use super::draft::{At, DraftInterface, parse_address, parse_network};
use super::model::{AdvertiseConfig, PrefixConfig};
use super::suggest::did_you_mean;
use super::toml_value::{
    Lines, Value, boolean, in_order, integer, string, strings, table, tables, unknown,
};
use wire::addr::Ipv6Network;
use wire::ndp_router_advert::{Preference, RouteInformation};

/// Values of RFC 4861 6.2.1 where nothing else is asked for.
const MAX_INTERVAL_S: u64 = 600;
const VALID_LIFETIME_S: u32 = 2_592_000;
const PREFERRED_LIFETIME_S: u32 = 604_800;
const HOP_LIMIT: u8 = 64;
/// The longest time a router may be a default router.
const LIFETIME_MAX_S: u16 = 9000;
/// The most options of a kind, so that an advertisement fits into the smallest MTU.
const LIST_MAX: usize = 8;

/// What was written, and which of it was left out.
#[derive(Debug)]
pub(crate) struct DraftAdvertise {
    config: AdvertiseConfig,
    prefixes_given: bool,
}

/// Reads the table.
pub(crate) fn read(
    lines: &Lines,
    whole: &str,
    value: &Value<'_>,
) -> Result<At<DraftAdvertise>, ConfigError> {
    let whole = format!("{whole}.advertise");
    let mut config = AdvertiseConfig {
        hop_limit: HOP_LIMIT,
        ..AdvertiseConfig::silent()
    };
    let (mut least, mut most) = (None, MAX_INTERVAL_S);
    let (mut lifetime, mut dns_lifetime, mut prefixes_given) = (None, None, false);
    for (key, value) in in_order(table(lines, &whole, value)?) {
        let key_text = key.get_ref().as_ref();
        let number = |most: u64| integer(lines, key_text, value, 0, most);
        match key_text {
            "min_interval_s" => least = Some(integer(lines, key_text, value, 3, 1350)?),
            "max_interval_s" => most = integer(lines, key_text, value, 4, 1800)?,
            "lifetime_s" => lifetime = Some(number(LIFETIME_MAX_S.into())?),
            "managed" => config.managed = boolean(lines, key_text, value)?,
            "other" => config.other = boolean(lines, key_text, value)?,
            "hop_limit" => config.hop_limit = narrow(number(255)?),
            "reachable_time_ms" => config.reachable_time_ms = narrow(number(3_600_000)?),
            "retrans_timer_ms" => config.retrans_timer_ms = narrow(number(u32::MAX.into())?),
            "mtu" => {
                config.mtu = Some(narrow(integer(lines, "mtu", value, 1280, u16::MAX.into())?));
            }
            "preference" => config.preference = preference(lines, value)?,
            "dns" => config.dns = servers(lines, value)?,
            "dns_search" => config.dns_search = domains(lines, value)?,
            "dns_lifetime_s" => dns_lifetime = Some(number(u32::MAX.into())?),
            "prefix" => {
                prefixes_given = true;
                let list = tables(lines, &format!("{whole}.prefix"), value)?;
                let prefixes = list.into_iter().map(|item| prefix(lines, item));
                config.prefixes = prefixes.collect::<Result<_, _>>()?;
            }
            "route" => {
                let list = tables(lines, &format!("{whole}.route"), value)?;
                let routes = list.into_iter().map(|item| route(lines, item));
                config.routes = routes.collect::<Result<_, _>>()?;
            }
            other => {
                let known = [
                    "min_interval_s",
                    "max_interval_s",
                    "lifetime_s",
                    "managed",
                    "other",
                    "hop_limit",
                    "reachable_time_ms",
                    "retrans_timer_ms",
                    "mtu",
                    "preference",
                    "dns",
                    "dns_search",
                    "dns_lifetime_s",
                    "prefix",
                    "route",
                ];
                return Err(unknown(lines, key, other, &whole, &known));
            }
        }
    }
    let line = lines.of(&value.span());
    let fail = |text: String| Err(ConfigError::new(line, text));
    // The defaults and bounds that depend on another value (RFC 4861 6.2.1, RFC 8106 5.1).
    let least = least.unwrap_or(if most >= 9 { most / 3 } else { most * 3 / 4 }.max(3));
    if least * 4 > most * 3 {
        return fail(format!(
            "{whole}: min_interval_s is at most 3/4 of max_interval_s ({})",
            most * 3 / 4
        ));
    }
    let lifetime = lifetime.unwrap_or(3 * most);
    if lifetime != 0 && lifetime < most {
        return fail(format!(
            "{whole}: lifetime_s is 0 or at least max_interval_s ({most})"
        ));
    }
    (config.min_interval_s, config.max_interval_s) = (narrow(least), narrow(most));
    config.lifetime_s = narrow(lifetime);
    config.dns_lifetime_s = narrow(dns_lifetime.unwrap_or(3 * most));
    for (what, len) in [
        ("prefix", config.prefixes.len()),
        ("route", config.routes.len()),
        ("dns", config.dns.len()),
        ("dns_search", config.dns_search.len()),
    ] {
        if len > LIST_MAX {
            return fail(format!("{whole}: more than {LIST_MAX} of \"{what}\""));
        }
    }
    let value = DraftAdvertise {
        config,
        prefixes_given,
    };
    Ok(At { line, value })
}

/// Makes a checked number of the type it was checked for.
fn narrow<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

fn preference(lines: &Lines, value: &Value<'_>) -> Result<Preference, ConfigError> {
    let text = string(lines, "preference", value)?;
    match text.value.as_str() {
        "high" => Ok(Preference::High),
        "medium" => Ok(Preference::Medium),
        "low" => Ok(Preference::Low),
        other => {
            let hint = did_you_mean(other, ["high", "medium", "low"]);
            let text_ = format!("unknown preference \"{other}\"{hint}");
            Err(ConfigError::new(text.line, text_))
        }
    }
}

fn servers(lines: &Lines, value: &Value<'_>) -> Result<Vec<Ipv6Addr>, ConfigError> {
    let address = |text: At<String>| match parse_address(text.line, &text.value)? {
        IpAddr::V6(address) if !address.is_multicast() => Ok(address),
        other => {
            let what = format!("{other} can't be advertised as a DNS server: not IPv6 unicast");
            Err(ConfigError::new(text.line, what))
        }
    };
    strings(lines, "dns", value)?
        .into_iter()
        .map(address)
        .collect()
}

fn domains(lines: &Lines, value: &Value<'_>) -> Result<Vec<String>, ConfigError> {
    let legal = |label: &str| {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(byte)
    };
    let domain = |text: At<String>| {
        let name = text.value.strip_suffix('.').unwrap_or(&text.value);
        if name.len() <= 100 && name.split('.').all(legal) {
            Ok(name.to_owned())
        } else {
            let what = format!("\"{}\" isn't a domain name", text.value);
            Err(ConfigError::new(text.line, what))
        }
    };
    let all = strings(lines, "dns_search", value)?;
    all.into_iter().map(domain).collect()
}

fn network(lines: &Lines, value: &Value<'_>) -> Result<Ipv6Network, ConfigError> {
    let text = string(lines, "prefix", value)?;
    let given = parse_network(text.line, &text.value)?.value;
    let fail = |what: String| Err(ConfigError::new(text.line, what));
    let Some(network) = given.v6() else {
        return fail(format!("{given} isn't an IPv6 prefix"));
    };
    if given.masked() != given {
        let hint = given.masked();
        return fail(format!(
            "{given} has host bits set (did you mean \"{hint}\"?)"
        ));
    }
    let first = network.address;
    if first.is_unicast_link_local() || first.is_multicast() {
        return fail(format!("{given} can't be advertised"));
    }
    Ok(network)
}

/// A prefix of the link with the usual values.
fn usual(prefix: Ipv6Network) -> PrefixConfig {
    PrefixConfig {
        prefix,
        on_link: true,
        // Hosts on Ethernet need 64 bits for their part (RFC 2464 4).
        autonomous: prefix.len == 64,
        valid_lifetime_s: VALID_LIFETIME_S,
        preferred_lifetime_s: PREFERRED_LIFETIME_S,
    }
}

fn prefix(lines: &Lines, item: &Value<'_>) -> Result<PrefixConfig, ConfigError> {
    let line = lines.of(&item.span());
    let mut found = None;
    let (mut on_link, mut autonomous, mut valid, mut preferred) = (None, None, None, None);
    for (key, value) in in_order(table(lines, "prefix", item)?) {
        let key_text = key.get_ref().as_ref();
        let lifetime = || integer(lines, key_text, value, 0, u32::MAX.into()).map(narrow);
        match key_text {
            "prefix" => found = Some(network(lines, value)?),
            "on_link" => on_link = Some(boolean(lines, key_text, value)?),
            "autonomous" => autonomous = Some(boolean(lines, key_text, value)?),
            "valid_lifetime_s" => valid = Some(lifetime()?),
            "preferred_lifetime_s" => preferred = Some(lifetime()?),
            other => {
                let known = [
                    "prefix",
                    "on_link",
                    "autonomous",
                    "valid_lifetime_s",
                    "preferred_lifetime_s",
                ];
                return Err(unknown(lines, key, other, "advertise.prefix", &known));
            }
        }
    }
    let found =
        found.ok_or_else(|| ConfigError::new(line, "an advertised prefix needs \"prefix\""))?;
    let usual = usual(found);
    let valid_lifetime_s = valid.unwrap_or(usual.valid_lifetime_s);
    let checked = PrefixConfig {
        on_link: on_link.unwrap_or(usual.on_link),
        autonomous: autonomous.unwrap_or(usual.autonomous),
        valid_lifetime_s,
        preferred_lifetime_s: preferred.unwrap_or(usual.preferred_lifetime_s.min(valid_lifetime_s)),
        ..usual
    };
    if checked.preferred_lifetime_s > checked.valid_lifetime_s {
        let text = "preferred_lifetime_s is longer than valid_lifetime_s";
        return Err(ConfigError::new(line, text));
    }
    if checked.autonomous && found.len != 64 {
        let text = "hosts make themselves addresses in prefixes of length 64 only (autonomous)";
        return Err(ConfigError::new(line, text));
    }
    Ok(checked)
}

fn route(lines: &Lines, item: &Value<'_>) -> Result<RouteInformation, ConfigError> {
    let line = lines.of(&item.span());
    let (mut found, mut rank, mut lifetime_s) = (None, Preference::Medium, 3 * 600);
    for (key, value) in in_order(table(lines, "route", item)?) {
        match key.get_ref().as_ref() {
            "prefix" => found = Some(network(lines, value)?),
            "preference" => rank = preference(lines, value)?,
            "lifetime_s" => {
                lifetime_s = narrow(integer(lines, "lifetime_s", value, 0, u32::MAX.into())?);
            }
            other => {
                let known = ["prefix", "preference", "lifetime_s"];
                return Err(unknown(lines, key, other, "advertise.route", &known));
            }
        }
    }
    let prefix =
        found.ok_or_else(|| ConfigError::new(line, "an advertised route needs \"prefix\""))?;
    Ok(RouteInformation {
        prefix,
        preference: rank,
        lifetime_s,
    })
}

/// Completes a draft with what its interface says.
pub(crate) fn check(interface: &DraftInterface) -> Result<Option<AdvertiseConfig>, ConfigError> {
    let Some(At { line, value: draft }) = &interface.advertise else {
        return Ok(None);
    };
    let networks = || interface.addresses.iter().filter_map(|a| a.value.v6());
    if networks().next().is_none() {
        let text = format!(
            "interface.{} advertises but has no IPv6 address",
            interface.name
        );
        return Err(ConfigError::new(*line, text));
    }
    let mut config = draft.config.clone();
    if !draft.prefixes_given {
        for network in networks().filter(|n| !n.address.is_unicast_link_local()) {
            let prefix = Ipv6Network {
                address: Ipv6Addr::from_bits(network.first()),
                ..network
            };
            let known = config.prefixes.iter().any(|p| p.prefix == prefix);
            if !known && config.prefixes.len() < LIST_MAX {
                config.prefixes.push(usual(prefix));
            }
        }
    }
    Ok(Some(config))
}
