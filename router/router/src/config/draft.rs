//! A configuration that has been read but not checked: names instead of indices, and the
//! line each thing came from.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::ConfigError;
use super::advertise::DraftAdvertise;
use super::attach::DraftAttachment;
use super::model::{Allowed, ReversePath};
use wire::addr::{Mac, Network};

/// A value and the line it was written on.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) line: u32,
    pub(super) value: T,
}

/// Where it was written makes no difference.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) hostname: Option<String>,
    pub(super) interfaces: Vec<DraftInterface>,
    pub(super) vrfs: Vec<At<String>>,
    pub(super) routes: Vec<DraftRoute>,
    pub(super) route_files: Vec<DraftRouteFile>,
    pub(super) neighbors: Vec<DraftNeighbor>,
}

#[derive(Debug)]
pub(super) struct DraftInterface {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) attachment: At<DraftAttachment>,
    pub(super) addresses: Vec<At<Network>>,
    pub(super) mtu: Option<u16>,
    pub(super) rpf: Option<ReversePath>,
    pub(super) allow: Allowed,
    pub(super) source: Option<At<String>>,
    pub(super) vrf: Option<At<String>>,
    pub(super) dad_transmits: u8,
    pub(super) icmp_error_rate: u32,
    pub(super) advertise: Option<At<DraftAdvertise>>,
}

#[derive(Debug)]
pub(super) struct DraftRoute {
    pub(super) prefix: At<Network>,
    pub(super) vrf: Option<At<String>>,
    /// The table that its gateways are in, or that it leads to, if another.
    pub(super) via_vrf: Option<At<String>>,
    pub(super) target: DraftTarget,
    pub(super) mtu: Option<At<u16>>,
}

#[derive(Debug)]
pub(super) struct DraftRouteFile {
    pub(super) path: At<String>,
    pub(super) vrf: Option<At<String>>,
}

#[derive(Debug)]
pub(super) enum DraftTarget {
    Via(Vec<At<DraftVia>>),
    Interface(At<String>),
    Vrf(At<String>),
    Blackhole,
    Unreachable,
    Prohibit,
}

/// A gateway, with the interface of its link if that was said.
#[derive(Clone, Debug)]
pub(super) struct DraftVia {
    pub(super) address: IpAddr,
    pub(super) zone: Option<String>,
    pub(super) weight: u8,
}

#[derive(Debug)]
pub(super) struct DraftNeighbor {
    pub(super) interface: At<String>,
    pub(super) address: At<IpAddr>,
    pub(super) mac: At<Mac>,
}

/// Smallest MTU that a link may have (RFC 791 3.2).
pub(super) const MTU_MIN: u16 = 68;

/// DupAddrDetectTransmits where nothing else is asked for (RFC 4862 5.1).
pub(super) const DAD_TRANSMITS: u8 = 1;
/// Traceroute and mtr need a few dozen at once and some ten a second each.
pub(super) const ICMP_ERROR_RATE: u32 = 200;

/// The highest vif number.
pub(super) const VIF_MAX: u8 = 15;

/// Reads `ADDRESS`, with `%INTERFACE` behind it (RFC 4007 11) and `@WEIGHT` at the end if need
/// be.
pub(super) fn parse_via(line: u32, text: &str) -> Result<At<DraftVia>, ConfigError> {
    use alloc::format;
    let (address, weight) = match text.split_once('@') {
        None => (text, 1),
        Some((address, weight)) => match weight.parse::<u8>() {
            Ok(weight) if weight > 0 && !weight_has_sign(text) => (address, weight),
            _ => {
                let text = format!("weight \"{weight}\" of {address} isn't a number from 1 to 255");
                return Err(ConfigError::new(line, text));
            }
        },
    };
    let (address, zone) = match address.split_once('%') {
        None => (address, None),
        Some((address, zone)) => (address, Some(String::from(zone))),
    };
    let address = parse_address(line, address)?;
    let value = DraftVia {
        address,
        zone,
        weight,
    };
    Ok(At { line, value })
}

fn weight_has_sign(text: &str) -> bool {
    text.contains('+')
}

/// Reads an IP address.
pub(super) fn parse_address(line: u32, text: &str) -> Result<IpAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::new(
            line,
            alloc::format!("\"{text}\" isn't an IP address (such as 10.0.0.1 or 2001:db8::1)"),
        )
    })
}

/// Reads an address with a prefix length.
pub(super) fn parse_network(line: u32, text: &str) -> Result<At<Network>, ConfigError> {
    match text.parse() {
        Ok(value) => Ok(At { line, value }),
        Err(_) => {
            let hint = if text.parse::<IpAddr>().is_ok() {
                "lacks its prefix length (such as /24)"
            } else {
                "isn't an address with a prefix length (such as 10.0.0.1/24)"
            };
            Err(ConfigError::new(line, alloc::format!("\"{text}\" {hint}")))
        }
    }
}
