//! The MTU of an interface, and its consequences.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use config::{Attachment, InterfaceConfig};
use wire::ipv6::MIN_MTU;

use crate::interface::Interface;

impl Interface {
    /// Sets the MTU to the smaller of the offered and the configured one. IPv6 is disabled where
    /// that is below its minimum MTU (RFC 8200 5): senders don't send smaller packets when they are
    /// told to.
    pub(crate) fn set_mtu(&mut self, config: &InterfaceConfig) {
        self.mtu = config.mtu.unwrap_or(u16::MAX).min(self.offered_mtu);
        if self.is_too_small_for_ipv6() {
            self.disabled6 = self.v6.take().or(self.disabled6.take());
        }
    }

    pub(crate) fn is_too_small_for_ipv6(&self) -> bool {
        usize::from(self.mtu) < MIN_MTU
    }

    /// Returns warnings about settings that the offered MTU doesn't permit, one line each, while
    /// the link is up.
    pub(crate) fn mtu_warnings(&self, config: &InterfaceConfig) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.up || config.attachment == Attachment::Loopback {
            return warnings;
        }
        let (name, offered) = (&config.name, self.offered_mtu);
        if let Some(mtu) = config.mtu.filter(|&mtu| mtu > offered) {
            warnings.push(format!(
                "{name}: mtu {mtu} is more than the {offered} bytes that the link offers"
            ));
        }
        if self.disabled6.is_some() && self.is_too_small_for_ipv6() {
            let mtu = self.mtu;
            warnings.push(format!(
                "{name}: no IPv6, which needs an MTU of {MIN_MTU} bytes, not {mtu}"
            ));
        }
        warnings
    }
}
