//! How workers are reached while they forward.

use core::cell::RefCell;

use heapless::Vec as Bounded;
use xen_hal::Hal;

use crate::worker::Worker;

/// Most workers that forward with one router.
pub const MAX_WORKERS: usize = 8;

/// The workers of a router, each of which somebody may be taking turns with.
pub trait Lanes<H: Hal> {
    /// How many there are.
    fn count(&self) -> usize;

    /// Calls `f` once with worker `at`, between two of its turns; not if there is none with this number.
    /// Not to be called by `f`.
    fn visit(&self, at: usize, f: &mut dyn FnMut(&mut Worker<H>));

    /// The workers that may have [faults](Worker::has_fault) since this was last asked.
    fn take_faulty(&self) -> Bounded<usize, MAX_WORKERS>;
}

/// Workers with whom nobody takes turns meanwhile.
pub struct Resting<'a, H: Hal>(Bounded<RefCell<&'a mut Worker<H>>, MAX_WORKERS>);

impl<'a, H: Hal> Resting<'a, H> {
    /// Takes them. Those beyond [`MAX_WORKERS`] are left out.
    pub fn new(workers: impl IntoIterator<Item = &'a mut Worker<H>>) -> Self {
        let workers = workers.into_iter().take(MAX_WORKERS);
        Self(workers.map(RefCell::new).collect())
    }
}

impl<H: Hal> Lanes<H> for Resting<'_, H> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn visit(&self, at: usize, f: &mut dyn FnMut(&mut Worker<H>)) {
        if let Some(mut worker) = self.0.get(at).and_then(|it| it.try_borrow_mut().ok()) {
            f(&mut worker);
        }
    }

    fn take_faulty(&self) -> Bounded<usize, MAX_WORKERS> {
        (0..self.count()).collect()
    }
}
