//! A client with all that it needs, for tests.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::future::Future;

use executor::fake::FakeClock;
use executor::{Tasks, Timers};

use super::FakeStore;
use crate::store::Store;
use crate::turn;

/// A whole control plane with a fake xenstored under it.
#[derive(Debug)]
pub struct Rig {
    /// The other end.
    pub server: FakeStore,
    /// The client.
    pub store: Store,
    /// The tasks.
    pub tasks: Tasks,
    /// The timers, on `clock`.
    pub timers: Timers,
    /// The clock.
    pub clock: FakeClock,
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Rig {
    /// Domain 1 on an empty store.
    #[must_use]
    pub fn new() -> Self {
        let server = FakeStore::new(1);
        let clock = FakeClock::default();
        Self {
            store: Store::new(server.transport()),
            server,
            tasks: Tasks::new(),
            timers: Timers::new(clock.clone()),
            clock,
        }
    }

    /// Runs until nothing is left to do.
    ///
    /// # Panics
    /// If that never happens.
    pub fn run(&self) {
        for _ in 0..100_000 {
            if !turn(&self.store, &self.timers, &self.tasks) {
                return;
            }
        }
        panic!("the control plane never comes to rest");
    }

    /// Runs for a time, meeting every deadline on the way.
    pub fn run_for(&self, duration_ns: u64) {
        let end_ns = self.timers.now_ns() + duration_ns;
        loop {
            self.run();
            match self.timers.next_deadline() {
                Some(deadline_ns) if deadline_ns <= end_ns => self.clock.set_ns(deadline_ns),
                _ => break,
            }
        }
        self.clock.set_ns(end_ns);
        self.run();
    }

    /// Spawns a future; its output appears in the cell.
    pub fn start<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Rc<RefCell<Option<T>>> {
        let output = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&output);
        self.tasks.spawn(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        output
    }

    /// Runs a future to its end.
    ///
    /// # Panics
    /// If it has none.
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let output = self.start(future);
        self.run();
        let value = output.borrow_mut().take();
        value.expect("the future is still waiting")
    }
}
