//! Receive-side scaling: the configuration of backends over netif.h's control ring.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use heapless::Vec as Bounded;
use netfront_rs::PeerFault;
use router::InterfaceId;

use crate::platform::Rss;

/// A vif's control ring.
struct Session {
    ring: Box<dyn Rss>,
    /// `true` until the configuration has completed.
    open: bool,
}

/// The control rings of all vifs that have one.
pub(crate) struct RssSessions {
    all: RefCell<Vec<(InterfaceId, Session)>>,
    /// The number of open sessions, nearly always 0.
    open: Cell<usize>,
}

impl RssSessions {
    /// Creates an empty set.
    pub(crate) fn new() -> Self {
        Self {
            all: RefCell::default(),
            open: Cell::new(0),
        }
    }

    /// Adds the control ring of a vif that is being connected.
    pub(crate) fn add(&self, vif: InterfaceId, ring: Box<dyn Rss>) {
        self.remove(vif);
        let open = false;
        self.all.borrow_mut().push((vif, Session { ring, open }));
    }

    /// Starts the configuration after the backend of a vif has connected.
    pub(crate) fn begin(&self, vif: InterfaceId) -> Result<(), PeerFault> {
        let mut all = self.all.borrow_mut();
        if let Some((_, session)) = all.iter_mut().find(|(id, _)| *id == vif) {
            session.open = true;
            self.open.set(self.open.get() + 1);
            self.advance(vif, session)?;
        }
        Ok(())
    }

    /// Continues where a backend has answered; `failed` is called for vifs whose backend violated
    /// the protocol.
    pub(crate) fn poll(&self, mut failed: impl FnMut(InterfaceId, PeerFault)) {
        if self.open.get() == 0 {
            return;
        }
        for (vif, session) in self.all.borrow_mut().iter_mut() {
            if session.open
                && session.ring.take_pending()
                && let Err(fault) = self.advance(*vif, session)
            {
                failed(*vif, fault);
            }
        }
    }

    fn advance(&self, vif: InterfaceId, session: &mut Session) -> Result<(), PeerFault> {
        let outcome = session.ring.advance();
        if !matches!(outcome, Ok(None)) {
            session.open = false;
            self.open.set(self.open.get() - 1);
        }
        if let Some(outcome) = outcome? {
            log::info!(target: "net", "vif {}: {outcome}", vif.0);
        }
        Ok(())
    }

    /// Adds the event channels of open sessions.
    pub(crate) fn add_ports<const N: usize>(&self, ports: &mut Bounded<u32, N>) {
        if self.open.get() == 0 {
            return;
        }
        let all = self.all.borrow();
        // There is room for one more per vif, besides those of its queue.
        ports.extend(
            all.iter()
                .filter(|(_, session)| session.open)
                .map(|(_, session)| session.ring.info().port.0),
        );
    }

    /// Ends the control ring of a vif whose backend is done.
    pub(crate) fn remove(&self, vif: InterfaceId) {
        let mut all = self.all.borrow_mut();
        let Some(at) = all.iter().position(|(id, _)| *id == vif) else {
            return;
        };
        let (_, session) = all.swap_remove(at);
        drop(all);
        self.open.set(self.open.get() - usize::from(session.open));
        let lost = session.ring.close();
        if lost > 0 {
            log::warn!(target: "net", "the backend of vif {} still maps {lost} pages of its control ring", vif.0);
        }
    }
}
