//! A hook for tests that is called on each access to a shared page.

extern crate alloc;
extern crate std;

use alloc::boxed::Box;
use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};

type OnAccess = Box<dyn FnMut()>;

std::thread_local! {
    static ON_ACCESS: RefCell<Option<OnAccess>> = const { RefCell::new(None) };
}

/// `true` once any thread has set a hook; until then benchmarks pay for one test.
static EVER: AtomicBool = AtomicBool::new(false);

/// Calls `act` before every [`SharedPage::read`] and [`SharedPage::write`] of this thread, for
/// instance as a peer that changes pages under the driver's hands. `None` ends that. What `act`
/// itself accesses doesn't count.
///
/// [`SharedPage::read`]: crate::SharedPage::read
/// [`SharedPage::write`]: crate::SharedPage::write
pub fn on_access(act: Option<OnAccess>) {
    EVER.fetch_or(act.is_some(), Ordering::Relaxed);
    ON_ACCESS.set(act);
}

/// Notes that a page is about to be accessed.
#[inline]
pub(crate) fn accessed() {
    if EVER.load(Ordering::Relaxed) {
        act();
    }
}

#[cold]
fn act() {
    if let Some(mut act) = ON_ACCESS.take() {
        act();
        ON_ACCESS.set(Some(act));
    }
}
