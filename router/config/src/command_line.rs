//! A small configuration on the guest's command line (`extra` in xl's file).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

use super::attachment::DraftAttachment;
use super::draft::{
    At, DAD_TRANSMITS, Draft, DraftInterface, DraftRoute, DraftTarget, ICMP_ERROR_RATE, MTU_MIN,
    VIF_MAX, parse_network, parse_via,
};
use super::model::Allowed;
use super::suggest::did_you_mean;
use super::{Config, ConfigError, check};

const WORDS: [&str; 5] = ["ip", "mtu", "route", "hostname", "log"];

/// Reads and checks words such as `ip=0:10.0.0.1/24 route=0.0.0.0/0,10.0.0.254`.
///
/// `ip=VIF:ADDRESS/LEN` and `mtu=VIF:BYTES` make interfaces named `vif0` to `vif15`;
/// `route=PREFIX,TARGET` has one or more gateways separated by commas, an interface, or
/// `blackhole`, `unreachable`, `prohibit` as target; `hostname=NAME` names the router.
/// `log=LEVEL` is left to others.
///
/// # Errors
///
/// The first word that is unknown or wrong. The line is always 0.
pub fn from_extra(text: &str) -> Result<Config, ConfigError> {
    let mut draft = Draft::default();
    let mut mtus: Vec<(u8, u16)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let fail = |what: &str| Err(ConfigError::new(0, format!("\"{word}\": {what}")));
        let named = |error: ConfigError| ConfigError::new(0, format!("\"{word}\": {}", error.text));
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "log" => {}
            "hostname" => draft.hostname = Some(value.to_owned()),
            "ip" => {
                let Some((vif, address)) = numbered(value) else {
                    return fail("wanted ip=VIF:ADDRESS/LEN with a VIF from 0 to 15");
                };
                let address = parse_network(0, address).map_err(named)?;
                interface(&mut draft, vif).addresses.push(address);
            }
            "mtu" => match numbered(value).map(|(vif, mtu)| (vif, mtu.parse())) {
                Some((vif, Ok(mtu))) if mtu >= MTU_MIN => mtus.push((vif, mtu)),
                _ => return fail("wanted mtu=VIF:BYTES with a VIF from 0 to 15"),
            },
            "route" => {
                let Some((prefix, target)) = value.split_once(',') else {
                    return fail("wanted route=PREFIX,TARGET");
                };
                let prefix = parse_network(0, prefix).map_err(named)?;
                let target = match target {
                    "blackhole" => DraftTarget::Blackhole,
                    "unreachable" => DraftTarget::Unreachable,
                    "prohibit" => DraftTarget::Prohibit,
                    name if name.starts_with("vif") => DraftTarget::Interface(At {
                        line: 0,
                        value: name.to_owned(),
                    }),
                    gateways => DraftTarget::Via(
                        gateways
                            .split(',')
                            .map(|gateway| parse_via(0, gateway))
                            .collect::<Result<_, _>>()
                            .map_err(named)?,
                    ),
                };
                draft.routes.push(DraftRoute {
                    prefix,
                    vrf: None,
                    via_vrf: None,
                    target,
                    mtu: None,
                });
            }
            _ => {
                let hint = did_you_mean(key, WORDS);
                return Err(ConfigError::new(
                    0,
                    format!("unknown word \"{word}\"{hint}"),
                ));
            }
        }
    }
    for (vif, mtu) in mtus {
        interface(&mut draft, vif).mtu = Some(mtu);
    }
    if draft.interfaces.is_empty() {
        return Err(ConfigError::new(
            0,
            "no interface is configured (ip=VIF:ADDRESS/LEN)",
        ));
    }
    check::check(draft)
}

/// Splits `VIF:REST`.
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (vif, rest) = value.split_once(':')?;
    if vif.is_empty() || !vif.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let vif = vif.parse().ok()?;
    (vif <= VIF_MAX).then_some((vif, rest))
}

fn interface(draft: &mut Draft, vif: u8) -> &mut DraftInterface {
    let wanted = DraftAttachment::Vif(vif);
    let at = match draft
        .interfaces
        .iter()
        .position(|i| i.attachment.value == wanted)
    {
        Some(at) => at,
        None => {
            draft.interfaces.push(DraftInterface {
                line: 0,
                name: format!("vif{vif}"),
                attachment: At {
                    line: 0,
                    value: wanted,
                },
                addresses: Vec::new(),
                mtu: None,
                rpf: None,
                allow: Allowed::default(),
                source: None,
                vrf: None,
                dad_transmits: DAD_TRANSMITS,
                icmp_error_rate: ICMP_ERROR_RATE,
                advertise: None,
            });
            draft.interfaces.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "at was found or pushed just above")]
    &mut draft.interfaces[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouteTarget;

    #[test]
    fn a_whole_configuration() {
        let config = from_extra(
            "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24  ip=1:10.0.2.1/24 mtu=1:9000 log=info \
             route=0.0.0.0/0,10.0.0.254,10.0.0.253@3 route=10.9.0.0/16,blackhole \
             route=10.8.0.0/16,vif1 hostname=tenant-a",
        )
        .unwrap();
        assert_eq!(config.hostname, "tenant-a");
        assert_eq!(config.interfaces.len(), 2);
        assert_eq!(config.interfaces[1].name, "vif1");
        assert_eq!(config.interfaces[1].mtu, Some(9000));
        assert_eq!(config.interfaces[1].addresses.len(), 2);
        assert!(matches!(&config.routes[0].target, RouteTarget::Via(v) if v[1].weight == 3));
        assert_eq!(config.routes[2].target, RouteTarget::Interface(1));
    }

    #[test]
    fn malformed() {
        for (text, wanted) in [
            ("", "no interface"),
            ("log=debug", "no interface"),
            ("ip=0:10.0.0.1", "prefix length"),
            ("ip=16:10.0.0.1/24", "0 to 15"),
            ("ip=-1:10.0.0.1/24", "0 to 15"),
            ("ip=10.0.0.1/24", "VIF"),
            ("ip=0:10.0.0.1/24 ipp=1:10.0.1.1/24", "did you mean \"ip\""),
            ("ip=0:10.0.0.1/24 quiet", "unknown word \"quiet\""),
            ("ip=0:10.0.0.1/24 route=0.0.0.0/0", "TARGET"),
            ("ip=0:10.0.0.1/24 route=0.0.0.0/0,", "isn't an IP address"),
            (
                "ip=0:10.0.0.1/24 route=0.0.0.0/0,10.0.1.9",
                "isn't on the network",
            ),
            ("ip=0:10.0.0.1/24 route=0.0.0.0/0,10.0.0.9@0", "1 to 255"),
            (
                "ip=0:10.0.0.1/24 route=10.1.0.1/16,blackhole",
                "10.1.0.0/16",
            ),
            ("ip=0:10.0.0.1/24 mtu=0:67", "mtu=VIF:BYTES"),
            ("ip=0:10.0.0.1/24 mtu=0:65536", "mtu=VIF:BYTES"),
            ("ip=0:10.0.0.1/24 hostname=", "hostname"),
        ] {
            let error = from_extra(text).unwrap_err();
            assert!(error.text.contains(wanted), "{text}: {error}");
            assert_eq!(error.line, 0);
        }
    }
}
