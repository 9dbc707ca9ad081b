//! Pages shared with the backend: rings, and what the control ring points to.

use xen_hal::{Access, DomId, Granted, Hal, HalError, SharedPage};

/// Takes a page and grants it to `backend`.
pub(crate) fn share<H: Hal>(
    hal: H,
    backend: DomId,
    access: Access,
) -> Result<(SharedPage, Granted), HalError> {
    let page = hal.alloc_page()?;
    match hal.grant(backend, &page, access) {
        Ok(granted) => Ok((page, granted)),
        Err(error) => {
            hal.free_page(page);
            Err(error)
        }
    }
}

/// Ends the grant of a page and frees it; returns `false` if the backend doesn't let go of it yet.
pub(crate) fn unshare<H: Hal>(hal: H, (page, granted): (SharedPage, Granted)) -> bool {
    hal.retire(granted, page).is_ok()
}
