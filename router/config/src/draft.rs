//! A configuration that has been read but not checked: names instead of indices, and the line
//! that each thing came from.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::error::{ConfigError, Warning};
use crate::model::{AdvertiseConfig, InterfaceConfig, PrefixConfig};
use wire::addr::{Mac, Network};
use wire::vlan::Tag;

/// A value and the line it was written on, 0 if there are no lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) line: u32,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) fn new(line: u32, value: T) -> Self {
        Self { line, value }
    }

    pub(crate) fn into_value(self) -> T {
        self.value
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At::new(self.line, change(self.value))
    }

    /// Returns what is wrong with the value.
    pub(crate) fn error(&self, text: impl Into<String>) -> ConfigError {
        ConfigError::new(self.line, text)
    }
}

/// The line is ignored in comparisons.
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
    pub(crate) warnings: Vec<Warning>,
}

/// An interface. What needs no further checks is in `config`; the other fields are moved there as
/// they are checked.
#[derive(Debug)]
pub(crate) struct DraftInterface {
    pub(crate) line: u32,
    pub(crate) config: InterfaceConfig,
    pub(crate) attachment: At<DraftAttachment>,
    pub(crate) addresses: Vec<At<Network>>,
    pub(crate) source: Option<At<String>>,
    pub(crate) vrf: Option<At<String>>,
    pub(crate) advertise: Option<DraftAdvertise>,
}

/// An [`Attachment`](crate::Attachment) whose parent has a name and no number yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum DraftAttachment {
    Vif(u8),
    Mac(Mac),
    Loopback,
    Vlan { parent: At<String>, tag: Tag },
}

#[derive(Debug)]
pub(crate) struct DraftAdvertise {
    pub(crate) line: u32,
    /// All but the prefixes.
    pub(crate) config: AdvertiseConfig,
    /// `None` to advertise the interface's networks.
    pub(crate) prefixes: Option<Vec<PrefixConfig>>,
}

#[derive(Debug)]
pub(crate) struct DraftRoute {
    pub(crate) prefix: At<Network>,
    pub(crate) vrf: Option<At<String>>,
    /// The table that its gateways are in, or that it leads to, if it isn't the route's own.
    pub(crate) via_vrf: Option<At<String>>,
    pub(crate) target: At<DraftTarget>,
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
    Interface(String),
    /// The one that `via_vrf` names.
    Vrf,
    Drop(Action),
}

/// What happens to packets that a route drops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Blackhole,
    Unreachable,
    Prohibit,
}

impl Action {
    pub(crate) const ALL: [(&'static str, Self); 3] = [
        ("blackhole", Self::Blackhole),
        ("unreachable", Self::Unreachable),
        ("prohibit", Self::Prohibit),
    ];

    /// Returns the action with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }
}

/// A gateway, with the name of its interface if given.
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
