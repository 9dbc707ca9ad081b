//! What is specific to paravirtualized guests: page tables whose entries contain machine frames and
//! which Xen validates, traps and upcalls that Xen delivers, the initial state of a virtual CPU.
//! Other types of guests get a module beside this one.

pub(crate) mod gs_base;
pub(crate) mod p2m;
pub(crate) mod paging;
pub(crate) mod traps;
pub(crate) mod upcall;
pub(crate) mod vcpu_context;
