//! The configuration as TOML.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use toml::de::DeTable;

use super::attachment;
use super::draft::{
    At, DAD_TRANSMITS, Draft, DraftInterface, DraftNeighbor, DraftRoute, DraftRouteFile,
    DraftTarget, ICMP_ERROR_RATE, MTU_MIN, parse_address, parse_network, parse_via,
};
use super::model::{Allowed, ReversePath};
use super::suggest::did_you_mean;
use super::toml_value::{
    Lines, Value, boolean, in_order, integer, mac, string, strings, table, tables, unknown,
};
use super::{Config, ConfigError, check};

/// Reads and checks a configuration file.
///
/// # Errors
///
/// The first thing that is wrong, with its line: TOML syntax, an unknown key, a value of
/// the wrong kind, or things that contradict each other.
pub fn from_toml(text: &str) -> Result<Config, ConfigError> {
    let draft = read(text)?;
    if let Some(file) = draft.route_files.first() {
        let text = format!(
            "no file \"{}\": route files are in the ramdisk, a tar archive with ringway.toml",
            file.path.value
        );
        return Err(ConfigError::new(file.path.line, text));
    }
    check::check(draft)
}

/// The same for a file that has others beside it, of which `names` are the names.
pub(crate) fn from_archive(text: &str, names: &[String]) -> Result<Config, ConfigError> {
    let draft = read(text)?;
    for (at, file) in draft.route_files.iter().enumerate() {
        let (line, path) = (file.path.line, &file.path.value);
        if !names.contains(path) {
            let hint = did_you_mean(path, names.iter().map(String::as_str));
            let text = format!("the ramdisk's tar archive holds no {path}{hint}");
            return Err(ConfigError::new(line, text));
        }
        let mut earlier = draft.route_files.iter().take(at);
        if let Some(first) = earlier.find(|f| (&f.path, &f.vrf) == (&file.path, &file.vrf)) {
            let first = first.path.line;
            let text = format!("route-file \"{path}\" is already on line {first}");
            return Err(ConfigError::new(line, text));
        }
    }
    check::check(draft)
}

fn read(text: &str) -> Result<Draft, ConfigError> {
    let lines = Lines::new(text);
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| lines.of(&span));
        ConfigError::new(line, error.message())
    })?;
    let mut draft = Draft::default();
    for (key, value) in in_order(root.get_ref()) {
        match key.get_ref().as_ref() {
            "hostname" => draft.hostname = Some(string(&lines, "hostname", value)?.value),
            "interface" => {
                for (name, value) in in_order(table(&lines, "interface", value)?) {
                    let line = lines.of(&name.span());
                    draft
                        .interfaces
                        .push(interface(&lines, line, name.get_ref(), value)?);
                }
            }
            "vrf" => draft.vrfs = super::vrf::read(&lines, value)?,
            "route" => {
                for item in tables(&lines, "route", value)? {
                    draft.routes.push(route(&lines, item)?);
                }
            }
            "route-file" => {
                for item in tables(&lines, "route-file", value)? {
                    draft.route_files.push(route_file(&lines, item)?);
                }
            }
            "neighbor" => {
                for item in tables(&lines, "neighbor", value)? {
                    draft.neighbors.push(neighbor(&lines, item)?);
                }
            }
            other => {
                let known = [
                    "hostname",
                    "interface",
                    "vrf",
                    "route",
                    "route-file",
                    "neighbor",
                ];
                return Err(unknown(&lines, key, other, "", &known));
            }
        }
    }
    Ok(draft)
}

fn interface(
    lines: &Lines,
    line: u32,
    name: &str,
    value: &Value<'_>,
) -> Result<DraftInterface, ConfigError> {
    let whole = format!("interface.{name}");
    let mut attachment = attachment::Keys::default();
    let mut addresses = Vec::new();
    let (mut mtu, mut rpf, mut advertise) = (None, None, None);
    let (mut source, mut vrf) = (None, None);
    let (mut dad_transmits, mut icmp_error_rate) = (DAD_TRANSMITS, ICMP_ERROR_RATE);
    let mut allow = Allowed::default();
    for (key, value) in in_order(table(lines, &whole, value)?) {
        let here = lines.of(&value.span());
        match key.get_ref().as_ref() {
            word if attachment::Keys::NAMES.contains(&word) => {
                attachment.read(lines, &whole, word, value)?;
            }
            "address" => {
                for text in strings(lines, "address", value)? {
                    addresses.push(parse_network(text.line, &text.value)?);
                }
            }
            "mtu" => {
                let number = integer(lines, "mtu", value, MTU_MIN.into(), u16::MAX.into())?;
                mtu = u16::try_from(number).ok();
            }
            "rpf" => {
                let text = string(lines, "rpf", value)?;
                rpf = Some(match text.value.as_str() {
                    "strict" => ReversePath::Strict,
                    "loose" => ReversePath::Loose,
                    other => {
                        let hint = did_you_mean(other, ["strict", "loose"]);
                        let text = format!("unknown rpf \"{other}\"{hint}");
                        return Err(ConfigError::new(here, text));
                    }
                });
            }
            "vrf" => vrf = Some(string(lines, "vrf", value)?),
            "source" => source = Some(string(lines, "source", value)?),
            "dad_transmits" => {
                let number = integer(lines, "dad_transmits", value, 0, 10)?;
                dad_transmits = u8::try_from(number).unwrap_or(DAD_TRANSMITS);
            }
            "icmp_error_rate" => {
                let number = integer(lines, "icmp_error_rate", value, 0, 1_000_000)?;
                icmp_error_rate = u32::try_from(number).unwrap_or(ICMP_ERROR_RATE);
            }
            word @ "directed-broadcast" => {
                allow.directed_broadcast = boolean(lines, word, value)?;
            }
            word @ "redirects" => allow.redirects = boolean(lines, word, value)?,
            word @ "source-route" => allow.source_route = boolean(lines, word, value)?,
            word @ "proxy-arp" => allow.proxy_arp = boolean(lines, word, value)?,
            "advertise" => advertise = Some(super::router_advert::read(lines, &whole, value)?),
            other => {
                let known = [
                    "address",
                    "mtu",
                    "vrf",
                    "rpf",
                    "source",
                    "dad_transmits",
                    "icmp_error_rate",
                    "directed-broadcast",
                    "redirects",
                    "source-route",
                    "proxy-arp",
                    "advertise",
                ];
                let known = [&attachment::Keys::NAMES[..], &known].concat();
                return Err(unknown(lines, key, other, &whole, &known));
            }
        }
    }
    let attachment = attachment.finish(line, &whole)?;
    Ok(DraftInterface {
        line,
        name: name.to_owned(),
        attachment,
        addresses,
        mtu,
        rpf,
        allow,
        source,
        vrf,
        dad_transmits,
        icmp_error_rate,
        advertise,
    })
}

fn route(lines: &Lines, item: &Value<'_>) -> Result<DraftRoute, ConfigError> {
    let line = lines.of(&item.span());
    let (mut prefix, mut vrf, mut via_vrf, mut mtu) = (None, None, None, None);
    let mut target: Option<DraftTarget> = None;
    for (key, value) in in_order(table(lines, "route", item)?) {
        let here = lines.of(&value.span());
        let new = match key.get_ref().as_ref() {
            "prefix" => {
                let text = string(lines, "prefix", value)?;
                prefix = Some(parse_network(text.line, &text.value)?);
                continue;
            }
            "vrf" => {
                vrf = Some(string(lines, "vrf", value)?);
                continue;
            }
            "via_vrf" => {
                via_vrf = Some(string(lines, "via_vrf", value)?);
                continue;
            }
            "mtu" => {
                let number = integer(lines, "mtu", value, MTU_MIN.into(), u16::MAX.into())?;
                mtu = u16::try_from(number)
                    .ok()
                    .map(|value| At { line: here, value });
                continue;
            }
            "via" => {
                let gateways = strings(lines, "via", value)?;
                if gateways.is_empty() {
                    return Err(ConfigError::new(here, "\"via\" names no gateway"));
                }
                let parsed = gateways
                    .iter()
                    .map(|text| parse_via(text.line, &text.value));
                DraftTarget::Via(parsed.collect::<Result<_, _>>()?)
            }
            "interface" => DraftTarget::Interface(string(lines, "interface", value)?),
            "action" => {
                let text = string(lines, "action", value)?;
                match text.value.as_str() {
                    "blackhole" => DraftTarget::Blackhole,
                    "unreachable" => DraftTarget::Unreachable,
                    "prohibit" => DraftTarget::Prohibit,
                    other => {
                        let hint = did_you_mean(other, ["blackhole", "unreachable", "prohibit"]);
                        let text = format!("unknown action \"{other}\"{hint}");
                        return Err(ConfigError::new(here, text));
                    }
                }
            }
            other => {
                let known = [
                    "prefix",
                    "vrf",
                    "via",
                    "via_vrf",
                    "interface",
                    "action",
                    "mtu",
                ];
                return Err(unknown(lines, key, other, "route", &known));
            }
        };
        if target.is_some() {
            let text = "a route has one of \"via\", \"interface\" and \"action\", not several";
            return Err(ConfigError::new(here, text));
        }
        target = Some(new);
    }
    let prefix = prefix.ok_or_else(|| ConfigError::new(line, "a route needs \"prefix\""))?;
    let to_vrf = match (&target, &via_vrf) {
        (None, Some(vrf)) => Some(DraftTarget::Vrf(vrf.clone())),
        (_, None) | (Some(DraftTarget::Via(_) | DraftTarget::Interface(_)), _) => None,
        (Some(_), Some(vrf)) => {
            let text = "a route with \"action\" goes nowhere and has no \"via_vrf\"";
            return Err(ConfigError::new(vrf.line, text));
        }
    };
    let target = target.or(to_vrf).ok_or_else(|| {
        ConfigError::new(
            line,
            "a route needs one of \"via\", \"via_vrf\", \"interface\" and \"action\"",
        )
    })?;
    Ok(DraftRoute {
        prefix,
        vrf,
        via_vrf,
        target,
        mtu,
    })
}

fn route_file(lines: &Lines, item: &Value<'_>) -> Result<DraftRouteFile, ConfigError> {
    let line = lines.of(&item.span());
    let (mut path, mut vrf) = (None, None);
    for (key, value) in in_order(table(lines, "route-file", item)?) {
        match key.get_ref().as_ref() {
            "path" => path = Some(string(lines, "path", value)?),
            "vrf" => vrf = Some(string(lines, "vrf", value)?),
            other => return Err(unknown(lines, key, other, "route-file", &["path", "vrf"])),
        }
    }
    let mut path = path.ok_or_else(|| ConfigError::new(line, "a route-file needs \"path\""))?;
    if let Some(rest) = path.value.strip_prefix("./") {
        path.value = rest.to_owned();
    }
    Ok(DraftRouteFile { path, vrf })
}

fn neighbor(lines: &Lines, item: &Value<'_>) -> Result<DraftNeighbor, ConfigError> {
    let line = lines.of(&item.span());
    let (mut interface, mut address, mut station) = (None, None, None);
    for (key, value) in in_order(table(lines, "neighbor", item)?) {
        match key.get_ref().as_ref() {
            "interface" => interface = Some(string(lines, "interface", value)?),
            "address" => {
                let text = string(lines, "address", value)?;
                let value = parse_address(text.line, &text.value)?;
                address = Some(At {
                    line: text.line,
                    value,
                });
            }
            "mac" => {
                let text = string(lines, "mac", value)?;
                station = Some(At {
                    line: text.line,
                    value: mac(&text)?,
                });
            }
            other => {
                let known = ["interface", "address", "mac"];
                return Err(unknown(lines, key, other, "neighbor", &known));
            }
        }
    }
    match (interface, address, station) {
        (Some(interface), Some(address), Some(mac)) => Ok(DraftNeighbor {
            interface,
            address,
            mac,
        }),
        _ => Err(ConfigError::new(
            line,
            "a neighbor needs \"interface\", \"address\" and \"mac\"",
        )),
    }
}

#[cfg(test)]
mod tests;
