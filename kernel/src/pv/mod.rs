//! What a paravirtualised guest does in a way of its own: page tables whose entries hold machine
//! frames and which Xen checks, traps and upcalls that Xen delivers, the state in which a virtual
//! CPU begins. Another kind of guest has a module like this beside it.

pub(crate) mod gs_base;
pub(crate) mod p2m;
pub(crate) mod paging;
pub(crate) mod traps;
pub(crate) mod upcall;
pub(crate) mod vcpu_context;
