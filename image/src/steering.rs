//! What is said to backends about which queue the packets of a flow come on.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};

use heapless::Vec as Bounded;
use kernel::XenHal;
use netfront_rs::{PeerFault, Steering};
use router::InterfaceId;

use crate::lanes::MAX_PORTS;

/// A vif's control ring, and whether there is more to say.
struct Talk {
    steering: Steering<XenHal>,
    open: bool,
}

/// The control rings of all vifs that have one.
#[derive(Default)]
pub(crate) struct Talks {
    all: RefCell<BTreeMap<InterfaceId, Talk>>,
    /// How many are open, for nearly always there is none.
    open: Cell<usize>,
}

impl Talks {
    /// Takes the control ring of a vif that is to be connected.
    pub(crate) fn add(&self, vif: InterfaceId, steering: Steering<XenHal>) {
        self.remove(vif);
        let open = false;
        self.all.borrow_mut().insert(vif, Talk { steering, open });
    }

    /// Begins, as the backend of a vif is connected.
    pub(crate) fn begin(&self, vif: InterfaceId) -> Result<(), PeerFault> {
        if let Some(talk) = self.all.borrow_mut().get_mut(&vif) {
            talk.open = true;
            self.open.set(self.open.get() + 1);
            self.go_on(vif, talk)?;
        }
        Ok(())
    }

    /// Goes on where a backend has answered; `failed` is told which vif's has broken the protocol.
    pub(crate) fn turn(&self, mut failed: impl FnMut(InterfaceId, PeerFault)) {
        if self.open.get() == 0 {
            return;
        }
        for (&vif, talk) in self.all.borrow_mut().iter_mut() {
            if talk.open
                && talk.steering.take_pending()
                && let Err(fault) = self.go_on(vif, talk)
            {
                failed(vif, fault);
            }
        }
    }

    fn go_on(&self, vif: InterfaceId, talk: &mut Talk) -> Result<(), PeerFault> {
        let outcome = talk.steering.advance();
        if !matches!(outcome, Ok(None)) {
            talk.open = false;
            self.open.set(self.open.get() - 1);
        }
        if let Some(outcome) = outcome? {
            log::info!(target: "net", "vif {}: {outcome}", vif.0);
        }
        Ok(())
    }

    /// Adds the channels by which answers are told.
    pub(crate) fn add_ports(&self, ports: &mut Bounded<u32, MAX_PORTS>) {
        if self.open.get() == 0 {
            return;
        }
        let all = self.all.borrow();
        // One more for each vif finds room beside those of its queue.
        ports.extend(
            all.values()
                .filter(|talk| talk.open)
                .map(|talk| talk.steering.info().port.0),
        );
    }

    /// Ends the control ring of a vif whose backend is done.
    pub(crate) fn remove(&self, vif: InterfaceId) {
        let Some(talk) = self.all.borrow_mut().remove(&vif) else {
            return;
        };
        self.open.set(self.open.get() - usize::from(talk.open));
        let lost = talk.steering.close();
        if lost > 0 {
            log::warn!(target: "net", "{lost} pages of the control ring of vif {} stay behind", vif.0);
        }
    }
}
