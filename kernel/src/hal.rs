//! This kernel's implementation of the drivers' [`Hal`].

use xen_hal::{Access, DomId, Granted, Hal, HalError, Port, SharedPage, StillInUse};

use crate::percpu::MAX_CPUS;
use crate::{event, grant, memory};

/// The real machine, as used by one virtual CPU: event channels that are opened through it wake
/// that CPU.
#[derive(Clone, Copy, Debug)]
pub struct XenHal {
    cpu: u8,
}

impl XenHal {
    /// Returns the machine as virtual CPU `cpu` uses it.
    ///
    /// # Panics
    /// Panics if `cpu` is not below [`MAX_CPUS`].
    #[must_use]
    pub const fn of(cpu: usize) -> Self {
        assert!(cpu < MAX_CPUS);
        Self { cpu: cpu as u8 }
    }
}

#[expect(unsafe_code, reason = "promises that pages are exclusive")]
// SAFETY: `memory` hands a page out once until it is given back, and never unmaps it.
unsafe impl Hal for XenHal {
    fn alloc_page(self) -> Result<SharedPage, HalError> {
        memory::alloc_page()
            .or_else(|| {
                grant::quarantined();
                memory::alloc_page()
            })
            .ok_or(HalError::NoMemory)
    }

    fn free_page(self, page: SharedPage) {
        memory::free_page(page);
    }

    fn grant(self, peer: DomId, page: &SharedPage, access: Access) -> Result<Granted, HalError> {
        grant::grant(peer, page, access)
    }

    fn end_grant(self, granted: Granted) -> Result<(), Granted> {
        grant::end(granted)
    }

    fn retire(self, granted: Granted, page: SharedPage) -> Result<(), StillInUse> {
        grant::retire(granted, page)
    }

    fn alloc_port(self, peer: DomId) -> Result<Port, HalError> {
        event::alloc_unbound(peer, self.cpu.into())
    }

    fn close_port(self, port: Port) {
        event::close(port);
    }

    #[inline]
    fn notify(self, port: Port) {
        event::notify(port);
    }

    #[inline]
    fn take_pending(self, port: Port) -> bool {
        event::take_pending(port)
    }
}
