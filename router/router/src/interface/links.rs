//! Links that come and go.

use config::Attachment;
use wire::addr::Mac;

use crate::frame::{InterfaceId, MAX_INTERFACES};
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::machines::Machines;
use crate::neighbor::table::Entry;
use crate::step::Step;

impl Step<'_> {
    /// Returns a configured interface without a link, by its index in the configuration.
    pub(crate) fn new_interface(&self, index: usize) -> Option<(Interface, Machines)> {
        let config = self.config.interfaces.get(index)?;
        let vrf = self.state.vrf_ids.of(config.vrf).unwrap_or(0);
        let source = config.source.and_then(|at| self.state.ids.of(at));
        Some((Interface::new(config, vrf, source), Machines::new(config)))
    }

    /// Sets the link of an interface up.
    pub(crate) fn raise(&mut self, id: InterfaceId, mac: Mac, mtu: u16) {
        let config = self.config_of(id);
        let (Some(interface), Some(machines), Some(config)) = (
            self.tables.interface_mut(id),
            self.state.machines.get_mut(id.index()),
            config,
        ) else {
            return;
        };
        interface.mac = mac;
        interface.offered_mtu = mtu;
        interface.set_mtu(config);
        interface.up = true;
        machines.acd = Acd::begin(self.cx.now);
        if let Some(v6) = &mut interface.v6 {
            v6.start(mac, None);
            machines.start6(self.cx.now, interface, None);
        }
    }

    /// Updates the links of sub-interfaces: each is up if its parent's is, with the parent's MTU or
    /// less.
    pub(crate) fn follow_parents(&mut self) {
        for (index, config) in self.config.interfaces.iter().enumerate() {
            let Attachment::Vlan { parent, .. } = config.attachment else {
                continue;
            };
            let (Some(parent), Some(id)) = (self.state.ids.of(parent), self.state.ids.of(index))
            else {
                continue;
            };
            let parent = self.tables.interface(parent).filter(|i| i.up);
            let Some((mac, mtu)) = parent.map(|i| (i.mac, i.mtu)) else {
                continue;
            };
            let new = self.new_interface(index);
            let (Some(interface), Some(machines), Some(new)) = (
                self.tables.interface_mut(id),
                self.state.machines.get_mut(id.index()),
                new,
            ) else {
                continue;
            };
            let was_too_small = interface.is_too_small_for_ipv6();
            interface.offered_mtu = mtu;
            interface.set_mtu(config);
            let comes_back = was_too_small && !interface.is_too_small_for_ipv6();
            if !interface.up || comes_back {
                (*interface, *machines) = new;
                self.raise(id, mac, mtu);
            }
        }
    }

    /// Sets the links of a vif and its sub-interfaces down, and forgets what was learned on them.
    pub(crate) fn lower(&mut self, vif: InterfaceId) {
        let mut gone = [false; MAX_INTERFACES];
        for index in 0..self.config.interfaces.len() {
            let Some(id) = self.state.ids.of(index) else {
                continue;
            };
            if self.tables.port(id).0 != vif && id != vif {
                continue;
            }
            let new = self.new_interface(index);
            if let (Some(gone), Some(interface), Some(machines), Some(new)) = (
                gone.get_mut(id.index()),
                self.tables.interface_mut(id),
                self.state.machines.get_mut(id.index()),
                new,
            ) {
                *gone = true;
                (*interface, *machines) = new;
            }
        }
        let gone = |e: &Entry| gone.get(e.interface.index()) == Some(&true);
        self.nud().forget_all(gone);
        self.rebuild();
    }
}
