#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing)]

#[cfg(any(test, feature = "fake"))]
mod access_hook;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod page;

pub use page::{PAGE_SIZE, SharedPage};

/// A domain's number (`domid_t`, xen.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(pub u16);

/// A grant reference (`grant_ref_t`, grant_table.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantRef(pub u32);

/// An active grant: `peer` may access one page. It isn't `Copy`, so a grant is ended once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a grant that is just dropped stays in force"]
pub struct Granted {
    reference: GrantRef,
    peer: DomId,
    access: Access,
}

impl Granted {
    /// Creates a token for an active grant; for implementations of [`Hal`].
    pub const fn new(reference: GrantRef, peer: DomId, access: Access) -> Self {
        Self {
            reference,
            peer,
            access,
        }
    }

    /// Returns the grant reference, which is passed to the peer.
    #[must_use]
    #[inline]
    pub const fn reference(&self) -> GrantRef {
        self.reference
    }

    /// Returns the domain that may access the page.
    #[must_use]
    pub const fn peer(&self) -> DomId {
        self.peer
    }

    /// Returns how the page may be accessed.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }
}

/// An event channel of this domain (`evtchn_port_t`, event_channel.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u32);

/// The access of a peer to a granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The peer may read (`GTF_permit_access | GTF_readonly`).
    ReadOnly,
    /// The peer may read and write (`GTF_permit_access`).
    ReadWrite,
}

/// The error type of [`Hal`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalError {
    /// No free page.
    NoMemory,
    /// No free grant reference.
    NoGrants,
    /// The hypervisor returned this negative error number (errno.h).
    Hypervisor(i32),
}

impl core::fmt::Display for HalError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            HalError::NoMemory => f.write_str("out of pages"),
            HalError::NoGrants => f.write_str("out of grant references"),
            HalError::Hypervisor(errno) => write!(f, "refused by the hypervisor (error {errno})"),
        }
    }
}

impl core::error::Error for HalError {}

/// Error returned when the peer still maps a page whose grant was to be ended. The grant remains
/// active, so the page must not be used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillInUse;

impl core::fmt::Display for StillInUse {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the peer still maps the page")
    }
}

impl core::error::Error for StillInUse {}

/// The interface of drivers to the machine.
///
/// Handles are cheap to copy; all state is behind the implementation.
#[expect(
    unsafe_code,
    reason = "the implementor promises that pages are exclusive"
)]
///
/// # Safety
/// An implementation guarantees that a page from [`Hal::alloc_page`] is page-aligned,
/// used by nobody else in this domain until [`Hal::free_page`], and stays mapped until
/// then.
pub unsafe trait Hal: Copy {
    /// Allocates a zeroed page.
    ///
    /// # Errors
    /// [`HalError::NoMemory`].
    fn alloc_page(self) -> Result<SharedPage, HalError>;

    /// Frees a page. A page whose grant couldn't be ended must be leaked instead.
    fn free_page(self, page: SharedPage);

    /// Grants `peer` access to `page`, until [`Hal::end_grant`] succeeds.
    ///
    /// # Errors
    /// [`HalError::NoGrants`].
    fn grant(self, peer: DomId, page: &SharedPage, access: Access) -> Result<Granted, HalError>;

    /// Ends a grant.
    ///
    /// # Errors
    /// Returns the grant if the peer maps the page; the call can be retried later.
    fn end_grant(self, granted: Granted) -> Result<(), Granted>;

    /// Ends a grant and frees its page.
    ///
    /// # Errors
    /// [`StillInUse`] if the peer maps the page. It stays granted and unused; a machine that
    /// overrides this keeps it, and takes it back once the peer has let go.
    fn retire(self, granted: Granted, page: SharedPage) -> Result<(), StillInUse> {
        self.end_grant(granted).map_err(|_| StillInUse)?;
        self.free_page(page);
        Ok(())
    }

    /// Opens an event channel that `peer` can bind to (`EVTCHNOP_alloc_unbound`).
    ///
    /// # Errors
    /// [`HalError::Hypervisor`].
    fn alloc_port(self, peer: DomId) -> Result<Port, HalError>;

    /// Closes an event channel (`EVTCHNOP_close`).
    fn close_port(self, port: Port);

    /// Sends an event (`EVTCHNOP_send`): one hypercall.
    fn notify(self, port: Port);

    /// Clears the pending state of `port`. Returns `true` if an event was received since the last
    /// call.
    fn take_pending(self, port: Port) -> bool;
}
