//! The GS base of the first virtual CPU; others begin with theirs.

use crate::hypercall::{SET_SEGMENT_BASE, check, uncounted};

/// `SEGBASE_GS_KERNEL` (arch-x86/xen-x86_64.h)
const SEGBASE_GS_KERNEL: u64 = 2;

/// Sets the GS base of the virtual CPU that this is, before anything uses it.
pub(crate) fn set(address: usize) {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: HYPERVISOR_set_segment_base takes which one and an address; nothing uses GS yet, so
    // the call isn't counted either.
    let result = unsafe { uncounted(SET_SEGMENT_BASE, SEGBASE_GS_KERNEL, address as u64, 0, 0) };
    // Without it nothing can be said either; Xen refuses no address of the guest's own.
    debug_assert!(check(result).is_ok());
}
