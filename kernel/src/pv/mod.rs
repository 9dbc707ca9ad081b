//! What a paravirtualised guest does in a way of its own.

pub(crate) mod paging;
pub(crate) mod traps;
pub(crate) mod upcall;
pub(crate) mod vcpu_context;
