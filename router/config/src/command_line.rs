//! The configuration on the guest's command line (`extra` in the xl file).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::check::check;
use crate::draft::{Action, At, Draft, DraftAttachment, DraftInterface, DraftRoute, DraftTarget};
use crate::error::{ConfigError, Warning};
use crate::limits::VIF_MAX;
use crate::model::{Config, InterfaceConfig};
use crate::notation::{self, MTU_MIN};
use crate::suggest::did_you_mean;
use wire::addr::Network;

/// The parsed options.
#[derive(Default)]
struct Words {
    hostname: Option<String>,
    addresses: Vec<(u8, Network)>,
    mtus: Vec<(u8, u16)>,
    routes: Vec<DraftRoute>,
    warnings: Vec<Warning>,
}

/// Parses the value of an option, or returns what is wrong with it.
type Take = fn(&mut Words, &str) -> Result<(), String>;

const KEYS: [(&str, Take); 5] = [
    ("ip", Words::ip),
    ("mtu", Words::mtu),
    ("route", Words::route),
    ("hostname", Words::hostname),
    ("log", |_, _| Ok(())),
];

/// The maximum length in bytes: Xen's domain builder truncates longer command lines
/// (`MAX_GUEST_CMDLINE` of xen.h, minus the NUL).
const CUT: usize = 1023;

/// Options of other kernels that toolstacks and users set whatever the guest is.
const FOREIGN: [&str; 16] = [
    "console",
    "debug",
    "earlyprintk",
    "init",
    "initrd",
    "loglevel",
    "nomodeset",
    "panic",
    "quiet",
    "ro",
    "root",
    "rootdelay",
    "rootfstype",
    "rw",
    "splash",
    "xencons",
];

/// Reads and checks words such as `ip=0:10.0.0.1/24 route=0.0.0.0/0,10.0.0.254`.
///
/// `ip=VIF:ADDRESS/LEN` and `mtu=VIF:BYTES` make interfaces named `vif0` to `vif15`;
/// `route=PREFIX,TARGET` has one or more gateways separated by commas, an interface, or
/// `blackhole`, `unreachable`, `prohibit` as target; `hostname=NAME` names the router. `log=LEVEL`
/// is handled elsewhere. Options of other kernels are ignored; unknown ones cause a warning.
///
/// # Errors
///
/// Fails on the first option that is invalid or looks misspelled, or if the text is so long that
/// Xen may have truncated it. The line is always 0.
pub fn from_extra(text: &str) -> Result<Config, ConfigError> {
    if text.len() >= CUT {
        let text = format!(
            "the command line (extra) is as long as Xen lets it be, {CUT} bytes, and may have been \
             cut: use a ramdisk"
        );
        return Err(ConfigError::new(0, text));
    }
    let mut words = Words::default();
    for word in text.split_ascii_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let Some((_, take)) = KEYS.iter().find(|(known, _)| *known == key) else {
            words.unknown(word, key)?;
            continue;
        };
        take(&mut words, value)
            .map_err(|what| ConfigError::new(0, format!("\"{word}\": {what}")))?;
    }
    let interfaces = words.interfaces();
    if interfaces.is_empty() {
        let text = "no interface is configured (ip=VIF:ADDRESS/LEN)";
        return Err(ConfigError::new(0, text));
    }
    check(Draft {
        hostname: words.hostname,
        interfaces,
        routes: words.routes,
        warnings: words.warnings,
        ..Draft::default()
    })
}

impl Words {
    /// Handles an unknown option: an error if it looks like a misspelled one.
    fn unknown(&mut self, word: &str, key: &str) -> Result<(), ConfigError> {
        // Such as `net.ifnames=0`, a module parameter of Linux.
        if FOREIGN.contains(&key) || key.contains('.') {
            return Ok(());
        }
        let hint = did_you_mean(key, &mut KEYS.iter().map(|(known, _)| *known));
        let text = format!("unknown word \"{word}\"{hint}");
        if !hint.is_empty() {
            return Err(ConfigError::new(0, text));
        }
        self.warnings.push(Warning { line: 0, text });
        Ok(())
    }

    fn ip(&mut self, value: &str) -> Result<(), String> {
        let Some((vif, address)) = numbered(value) else {
            let wanted = "wanted ip=VIF:ADDRESS/LEN with a VIF from 0 to 15";
            return Err(wanted.to_owned());
        };
        self.addresses.push((vif, notation::network(address)?));
        Ok(())
    }

    fn mtu(&mut self, value: &str) -> Result<(), String> {
        match numbered(value).map(|(vif, mtu)| (vif, mtu.parse())) {
            Some((vif, Ok(mtu))) if mtu >= MTU_MIN => self.mtus.push((vif, mtu)),
            _ => return Err("wanted mtu=VIF:BYTES with a VIF from 0 to 15".to_owned()),
        }
        Ok(())
    }

    fn route(&mut self, value: &str) -> Result<(), String> {
        let Some((prefix, target)) = value.split_once(',') else {
            return Err("wanted route=PREFIX,TARGET".to_owned());
        };
        let prefix = notation::network(prefix)?;
        let target = if let Some(action) = Action::named(target) {
            DraftTarget::Drop(action)
        } else if target.starts_with("vif") {
            DraftTarget::Interface(target.to_owned())
        } else {
            let gateways = target.split(',').map(notation::via);
            let gateways = gateways.map(|gateway| Ok(At::new(0, gateway?)));
            DraftTarget::Via(gateways.collect::<Result<_, String>>()?)
        };
        self.routes.push(DraftRoute {
            prefix: At::new(0, prefix),
            vrf: None,
            via_vrf: None,
            target: At::new(0, target),
            mtu: None,
        });
        Ok(())
    }

    fn hostname(&mut self, value: &str) -> Result<(), String> {
        self.hostname = Some(value.to_owned());
        Ok(())
    }

    /// Returns the interfaces in the order in which they were first mentioned, those without an
    /// address last.
    fn interfaces(&self) -> Vec<DraftInterface> {
        let with_address = self.addresses.iter().map(|&(vif, _)| vif);
        let mut vifs: Vec<u8> = Vec::new();
        for vif in with_address.chain(self.mtus.iter().map(|&(vif, _)| vif)) {
            if !vifs.contains(&vif) {
                vifs.push(vif);
            }
        }
        vifs.into_iter().map(|vif| self.interface(vif)).collect()
    }

    fn interface(&self, vif: u8) -> DraftInterface {
        let addresses = self.addresses.iter().filter(|&&(of, _)| of == vif);
        let mut mtus = self.mtus.iter().filter(|&&(of, _)| of == vif);
        DraftInterface {
            line: 0,
            config: InterfaceConfig {
                mtu: mtus.next_back().map(|&(_, mtu)| mtu),
                ..InterfaceConfig::new(format!("vif{vif}"))
            },
            attachment: At::new(0, DraftAttachment::Vif(vif)),
            addresses: addresses.map(|&(_, address)| At::new(0, address)).collect(),
            source: None,
            vrf: None,
            advertise: None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouteTarget;
    use alloc::string::ToString;

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
    fn words_for_other_kernels_do_no_harm() {
        let ours = "ip=0:10.0.0.1/24 route=0.0.0.0/0,10.0.0.254";
        let plain = from_extra(ours).unwrap();
        for foreign in [
            "console=hvc0 root=/dev/xvda1 ro quiet",
            "rw earlyprintk=xen xencons=tty panic=5 init=/bin/sh",
            "net.ifnames=0 console=tty0 loglevel=3 splash debug",
        ] {
            assert_eq!(from_extra(&format!("{foreign} {ours}")).unwrap(), plain);
        }
        let config = from_extra(&format!("{ours} colour=green xyzzy")).unwrap();
        let warnings: Vec<_> = config.warnings.iter().map(|w| w.to_string()).collect();
        assert_eq!(
            warnings,
            ["unknown word \"colour=green\"", "unknown word \"xyzzy\""]
        );
        assert_eq!(config.interfaces, plain.interfaces);
    }

    #[test]
    fn a_line_that_may_have_been_cut_is_refused() {
        let mut line = String::from("ip=0:10.0.0.1/24");
        let mut routes = 0;
        while line.len() + 40 < 1023 {
            line += &format!(" route=10.{routes}.0.0/16,10.0.0.254");
            routes += 1;
        }
        let full = 1023 - line.len();
        let fits = line.clone() + &" ".repeat(full - 1);
        assert_eq!(from_extra(&fits).unwrap().routes.len(), routes);
        let cut = line.clone() + " route=10.250.0.0/16,10.0.0.254";
        let cut = cut + &" ".repeat(1023);
        let error = from_extra(&cut[..1023]).unwrap_err();
        assert!(error.text.contains("1023 bytes"), "{error}");
        assert!(error.text.contains("ramdisk"), "{error}");
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
            ("ip=0:10.0.0.1/24 rout=10.0.9.0/24,blackhole", "\"route\""),
            ("ip=dhcp", "VIF:ADDRESS"),
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
