//! The table `[interface.NAME]`.

use core::ops::RangeInclusive;

use super::attachment::Keys;
use super::router_advert;
use crate::draft::{At, DraftInterface};
use crate::error::ConfigError;
use crate::model::{Allowed, InterfaceConfig, ReversePath};
use crate::notation::{self, MTU_MIN};
use crate::toml_table::Table;

const REVERSE_PATH: [(&str, ReversePath); 4] = [
    ("strict", ReversePath::Strict),
    ("feasible", ReversePath::Feasible),
    ("loose", ReversePath::Loose),
    ("loose_ignoring_default", ReversePath::LooseIgnoringDefault),
];

/// The range of `neighbor_limit`: at most all hosts of an IPv4 /14.
const NEIGHBOR_LIMITS: RangeInclusive<u32> = 16..=262_144;

pub(super) fn read(name: &str, mut table: Table<'_>) -> Result<DraftInterface, ConfigError> {
    let attachment = Keys::read(&mut table);
    let addresses = table.list("address", notation::network);
    let mtu = table.number("mtu", MTU_MIN..=u16::MAX);
    let vrf = table.text("vrf");
    let rpf = table.choice("rpf", &REVERSE_PATH);
    let source = table.text("source");
    let neighbor_limit = table.number("neighbor_limit", NEIGHBOR_LIMITS);
    let default = InterfaceConfig::new(name);
    let config = InterfaceConfig {
        mtu: mtu.map(At::into_value),
        rpf: rpf.map(At::into_value),
        dad_transmits: table.number_or("dad_transmits", 0..=10, default.dad_transmits),
        icmp_error_rate: table.number_or("icmp_error_rate", 0..=1_000_000, default.icmp_error_rate),
        neighbor_limit: neighbor_limit.map(At::into_value),
        allow: Allowed {
            directed_broadcast: table.flag("directed_broadcast").unwrap_or(false),
            redirects: table.flag("redirects").unwrap_or(false),
            source_route: table.flag("source_route").unwrap_or(false),
            proxy_arp: table.flag("proxy_arp").unwrap_or(false),
        },
        ..default
    };
    let advertise = table.table("advertise", router_advert::read);
    let whole = table.finish()?;
    Ok(DraftInterface {
        line: whole.line,
        config,
        attachment: attachment.attachment(&whole)?,
        addresses: addresses.map(At::into_value).unwrap_or_default(),
        source,
        vrf,
        advertise,
    })
}
