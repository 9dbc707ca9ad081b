//! Interfaces by their names.

use alloc::format;
use alloc::string::String;

use super::vrf;
use crate::error::ConfigError;
use crate::model::{Attachment, InterfaceConfig};
use crate::suggest::did_you_mean;

/// All interfaces, and the names of the routing tables that they are in.
#[derive(Clone, Copy)]
pub(crate) struct Interfaces<'a> {
    pub(crate) all: &'a [InterfaceConfig],
    pub(crate) vrfs: &'a [String],
}

impl<'a> Interfaces<'a> {
    /// Returns the interface that is named on a line, and its index.
    pub(crate) fn named(
        self,
        line: u32,
        name: &str,
    ) -> Result<(usize, &'a InterfaceConfig), ConfigError> {
        let mut all = self.all.iter().enumerate();
        all.find(|(_, i)| i.name == name).ok_or_else(|| {
            let hint = did_you_mean(name, &mut self.all.iter().map(|i| i.name.as_str()));
            ConfigError::new(line, format!("no interface \"{name}\"{hint}"))
        })
    }

    /// Like [`named`](Self::named), but fails for loopback interfaces, which have no link.
    pub(crate) fn with_link(
        self,
        line: u32,
        name: &str,
    ) -> Result<(usize, &'a InterfaceConfig), ConfigError> {
        let (at, interface) = self.named(line, name)?;
        if interface.attachment == Attachment::Loopback {
            let text = format!("{name} is a loopback, and loopback interfaces have no neighbors");
            return Err(ConfigError::new(line, text));
        }
        Ok((at, interface))
    }

    /// Fails if an interface isn't in a table.
    pub(crate) fn same_vrf(
        self,
        line: u32,
        interface: &InterfaceConfig,
        wanted: usize,
    ) -> Result<(), ConfigError> {
        if interface.vrf == wanted {
            return Ok(());
        }
        let (vrf, wanted) = (
            vrf::name(self.vrfs, interface.vrf),
            vrf::name(self.vrfs, wanted),
        );
        let text = format!(
            "interface {} is in vrf {vrf}, not in {wanted}",
            interface.name
        );
        Err(ConfigError::new(line, text))
    }

    /// Returns the interfaces of a table, with their indices.
    pub(crate) fn of_vrf(self, vrf: usize) -> impl Iterator<Item = (usize, &'a InterfaceConfig)> {
        let all = self.all.iter().enumerate();
        all.filter(move |(_, interface)| interface.vrf == vrf)
    }
}
