//! A configuration that has been read but not checked: names instead of indices, and the
//! line each thing came from.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::ConfigError;
use super::attachment::DraftAttachment;
use super::model::{Allowed, ReversePath};
use super::router_advert::DraftAdvertise;
use wire::addr::{Mac, Network};

/// A value and the line it was written on.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) line: u32,
    pub(crate) value: T,
}

/// Where it was written makes no difference.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) hostname: Option<String>,
    pub(crate) interfaces: Vec<DraftInterface>,
    pub(crate) vrfs: Vec<At<String>>,
    pub(crate) routes: Vec<DraftRoute>,
    pub(crate) route_files: Vec<DraftRouteFile>,
    pub(crate) neighbors: Vec<DraftNeighbor>,
}

#[derive(Debug)]
pub(crate) struct DraftInterface {
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) attachment: At<DraftAttachment>,
    pub(crate) addresses: Vec<At<Network>>,
    pub(crate) mtu: Option<u16>,
    pub(crate) rpf: Option<ReversePath>,
    pub(crate) allow: Allowed,
    pub(crate) source: Option<At<String>>,
    pub(crate) vrf: Option<At<String>>,
    pub(crate) dad_transmits: u8,
    pub(crate) icmp_error_rate: u32,
    pub(crate) advertise: Option<At<DraftAdvertise>>,
}

#[derive(Debug)]
pub(crate) struct DraftRoute {
    pub(crate) prefix: At<Network>,
    pub(crate) vrf: Option<At<String>>,
    /// The table that its gateways are in, or that it leads to, if another.
    pub(crate) via_vrf: Option<At<String>>,
    pub(crate) target: DraftTarget,
    pub(crate) mtu: Option<At<u16>>,
}

#[derive(Debug)]
pub(crate) struct DraftRouteFile {
    pub(crate) path: At<String>,
    pub(crate) vrf: Option<At<String>>,
}

#[derive(Debug)]
pub(crate) enum DraftTarget {
    Via(Vec<At<DraftVia>>),
    Interface(At<String>),
    Vrf(At<String>),
    Blackhole,
    Unreachable,
    Prohibit,
}

/// A gateway, with the interface of its link if that was said.
#[derive(Clone, Debug)]
pub(crate) struct DraftVia {
    pub(crate) address: IpAddr,
    pub(crate) zone: Option<String>,
    pub(crate) weight: u8,
}

#[derive(Debug)]
pub(crate) struct DraftNeighbor {
    pub(crate) interface: At<String>,
    pub(crate) address: At<IpAddr>,
    pub(crate) mac: At<Mac>,
}

/// Smallest MTU that a link may have (RFC 791 3.2).
pub(crate) const MTU_MIN: u16 = 68;

/// DupAddrDetectTransmits where nothing else is asked for (RFC 4862 5.1).
pub(crate) const DAD_TRANSMITS: u8 = 1;
/// Traceroute and mtr need a few dozen at once and some ten a second each.
pub(crate) const ICMP_ERROR_RATE: u32 = 200;

/// The highest vif number.
pub(crate) const VIF_MAX: u8 = 15;

/// Reads `ADDRESS`, with `%INTERFACE` behind it (RFC 4007 11) and `@WEIGHT` at the end if need
/// be.
pub(crate) fn parse_via(line: u32, text: &str) -> Result<At<DraftVia>, ConfigError> {
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
pub(crate) fn parse_address(line: u32, text: &str) -> Result<IpAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::new(
            line,
            alloc::format!("\"{text}\" isn't an IP address (such as 10.0.0.1 or 2001:db8::1)"),
        )
    })
}

/// Reads an address with a prefix length.
pub(crate) fn parse_network(line: u32, text: &str) -> Result<At<Network>, ConfigError> {
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
