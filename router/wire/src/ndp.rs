//! Neighbor Discovery messages (RFC 4861 4) with their options.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::icmpv6::{NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ROUTER_SOLICITATION};
use super::{be128, put};
use crate::addr::Mac;

/// The type of the source link-layer address option.
pub const SOURCE_ADDRESS: u8 = 1;
/// The type of the target link-layer address option.
pub const TARGET_ADDRESS: u8 = 2;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A Neighbor Discovery message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ndp {
    /// A neighbor solicitation.
    Solicitation {
        /// The target address.
        target: Ipv6Addr,
        /// The source link-layer address option: the sender's MAC address (RFC 4861 4.6.1).
        link_layer_address: Option<Mac>,
    },
    /// A neighbor advertisement.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// The target link-layer address option: its MAC address (RFC 4861 4.6.1).
        link_layer_address: Option<Mac>,
        /// The Router flag: `true` if the sender is a router.
        router: bool,
        /// The Solicited flag: `true` if this answers a solicitation.
        solicited: bool,
        /// The Override flag: `true` if it replaces a cached link-layer address (RFC 4861 7.2.5).
        overrides: bool,
    },
    /// A router solicitation.
    RouterSolicitation {
        /// The source link-layer address option: the sender's MAC address (RFC 4861 4.6.1).
        link_layer_address: Option<Mac>,
    },
}

impl Ndp {
    /// Parses a message with a valid checksum and hop limit, sent from `source` to `destination`.
    /// Returns `None` if it is invalid (RFC 4861 6.1.1, 7.1.1, 7.1.2).
    pub fn parse(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Option<Self> {
        let [kind, code, ..] = *message.first_chunk::<8>()?;
        if code != 0 {
            return None;
        }
        let target = || {
            let target = Ipv6Addr::from_bits(be128(message.get(8..24)?, 0));
            (!target.is_multicast()).then_some(target)
        };
        match kind {
            NEIGHBOR_SOLICITATION => {
                let target = target()?;
                let link_layer_address = link_layer_address(message.get(24..)?, SOURCE_ADDRESS)?;
                // A solicitation from the unspecified address must be multicast and can't be
                // answered directly.
                let group = destination == crate::addr::solicited_node(target);
                let sound = !source.is_unspecified() || (group && link_layer_address.is_none());
                sound.then_some(Self::Solicitation {
                    target,
                    link_layer_address,
                })
            }
            NEIGHBOR_ADVERTISEMENT => {
                let target = target()?;
                let link_layer_address = link_layer_address(message.get(24..)?, TARGET_ADDRESS)?;
                let flags = message.get(4).copied().unwrap_or(0);
                let solicited = flags & SOLICITED != 0;
                (!destination.is_multicast() || !solicited).then_some(Self::Advertisement {
                    target,
                    link_layer_address,
                    router: flags & ROUTER != 0,
                    solicited,
                    overrides: flags & OVERRIDE != 0,
                })
            }
            ROUTER_SOLICITATION => {
                let link_layer_address = link_layer_address(message.get(8..)?, SOURCE_ADDRESS)?;
                let sound = !source.is_unspecified() || link_layer_address.is_none();
                sound.then_some(Self::RouterSolicitation { link_layer_address })
            }
            _ => None,
        }
    }

    /// Returns the message. The caller fills in the checksum.
    pub fn message(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        let (kind, flags, target, option) = match *self {
            Self::Solicitation {
                target,
                link_layer_address,
            } => (
                NEIGHBOR_SOLICITATION,
                0,
                Some(target),
                link_layer_address.map(|mac| (SOURCE_ADDRESS, mac)),
            ),
            Self::Advertisement {
                target,
                link_layer_address,
                router,
                solicited,
                overrides,
            } => {
                let flag = |on: bool, bit: u8| if on { bit } else { 0 };
                let flags =
                    flag(router, ROUTER) | flag(solicited, SOLICITED) | flag(overrides, OVERRIDE);
                let option = link_layer_address.map(|mac| (TARGET_ADDRESS, mac));
                (NEIGHBOR_ADVERTISEMENT, flags, Some(target), option)
            }
            Self::RouterSolicitation { link_layer_address } => (
                ROUTER_SOLICITATION,
                0,
                None,
                link_layer_address.map(|mac| (SOURCE_ADDRESS, mac)),
            ),
        };
        bytes.extend_from_slice(&[kind, 0, 0, 0, flags, 0, 0, 0]);
        if let Some(target) = target {
            bytes.extend_from_slice(&target.octets());
        }
        if let Some((kind, mac)) = option {
            push_link_layer_address(&mut bytes, kind, mac);
        }
        bytes
    }
}

/// Appends a link-layer address option of this type.
pub fn push_link_layer_address(bytes: &mut Vec<u8>, kind: u8, mac: Mac) {
    let mut option = [0; 8];
    put(&mut option, 0, &[kind, 1]);
    put(&mut option, 2, &mac.0);
    bytes.extend_from_slice(&option);
}

/// Returns the link-layer address in the first option of this type, if there is one. Returns `None`
/// if the options are malformed; unknown options are skipped (RFC 4861 4.6).
fn link_layer_address(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let Some((&kind, rest)) = options.split_first() {
        let len = usize::from(*rest.first()?) * 8;
        let (option, after) = options.split_at_checked(len).filter(|_| len > 0)?;
        if kind == wanted && found.is_none() {
            // An option of another length is for another type of link.
            let mac = option.get(2..).and_then(|o| o.try_into().ok()).map(Mac)?;
            found = Some(mac);
            if !mac.is_unicast() {
                return None;
            }
        }
        options = after;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn a() -> Ipv6Addr {
        "fe80::9".parse().unwrap()
    }

    fn target() -> Ipv6Addr {
        "2001:db8::1".parse().unwrap()
    }

    #[test]
    fn round_trips() {
        let group = crate::addr::solicited_node(target());
        for message in [
            Ndp::Solicitation {
                target: target(),
                link_layer_address: Some(MAC),
            },
            Ndp::Solicitation {
                target: target(),
                link_layer_address: None,
            },
            Ndp::RouterSolicitation {
                link_layer_address: Some(MAC),
            },
            Ndp::Advertisement {
                target: target(),
                link_layer_address: Some(MAC),
                router: true,
                solicited: false,
                overrides: true,
            },
        ] {
            assert_eq!(Ndp::parse(&message.message(), a(), group), Some(message));
        }
    }

    #[test]
    fn malformed() {
        let group = crate::addr::solicited_node(target());
        let good = Ndp::Solicitation {
            target: target(),
            link_layer_address: Some(MAC),
        }
        .message();
        for len in 0..good.len() {
            if len != 24 {
                assert_eq!(Ndp::parse(&good[..len], a(), group), None, "{len} bytes");
            }
        }
        for (what, at, value) in [
            ("code", 1, 1),
            ("group as target", 8, 0xff),
            ("option of no length", 25, 0),
            ("option of 16 bytes", 25, 2),
            ("group as link-layer address", 26, 1),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Ndp::parse(&bad, a(), group), None, "{what}");
        }
        let nobody = Ipv6Addr::UNSPECIFIED;
        assert_eq!(
            Ndp::parse(&good, nobody, group),
            None,
            "a link-layer address without a source"
        );
        assert_eq!(
            Ndp::parse(&good[..24], nobody, target()),
            None,
            "asked directly"
        );
        assert!(Ndp::parse(&good[..24], nobody, group).is_some());
        let solicited = Ndp::Advertisement {
            target: target(),
            link_layer_address: None,
            router: false,
            solicited: true,
            overrides: false,
        };
        assert!(Ndp::parse(&solicited.message(), a(), target()).is_some());
        assert_eq!(Ndp::parse(&solicited.message(), a(), group), None);
    }

    #[test]
    fn unknown_options_are_skipped() {
        let mut message = Ndp::Solicitation {
            target: target(),
            link_layer_address: None,
        }
        .message();
        message.extend([14, 2].into_iter().chain([7; 14]));
        push_link_layer_address(&mut message, SOURCE_ADDRESS, MAC);
        let group = crate::addr::solicited_node(target());
        let wanted = Ndp::Solicitation {
            target: target(),
            link_layer_address: Some(MAC),
        };
        assert_eq!(Ndp::parse(&message, a(), group), Some(wanted));
    }
}
