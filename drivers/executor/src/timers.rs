//! Timers.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// A monotonic clock.
pub trait Clock {
    /// Returns the number of nanoseconds since some fixed moment.
    fn now_ns(&self) -> u64;
}

#[derive(Default)]
struct Sleepers {
    next_id: u64,
    /// By deadline, then in order of falling asleep.
    waiting: BTreeMap<(u64, u64), Waker>,
}

/// Wakes tasks at their deadlines. Clones are handles to the same timers.
#[derive(Clone)]
pub struct Timers {
    clock: Rc<dyn Clock>,
    sleepers: Rc<RefCell<Sleepers>>,
}

impl Timers {
    /// Creates timers that use `clock`.
    #[must_use]
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            clock: Rc::new(clock),
            sleepers: Rc::default(),
        }
    }

    /// Returns the time of the clock, in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Waits until the clock reaches `deadline_ns`.
    #[must_use]
    pub fn sleep_until(&self, deadline_ns: u64) -> Sleep {
        let mut sleepers = self.sleepers.borrow_mut();
        let id = sleepers.next_id;
        sleepers.next_id += 1;
        Sleep {
            timers: self.clone(),
            key: (deadline_ns, id),
        }
    }

    /// Waits for `duration_ns` from now.
    #[must_use]
    pub fn sleep(&self, duration_ns: u64) -> Sleep {
        self.sleep_until(self.now_ns().saturating_add(duration_ns))
    }

    /// Returns the earliest deadline, in nanoseconds of the clock; `None` if no task sleeps. The
    /// main loop must not sleep longer.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.sleepers
            .borrow()
            .waiting
            .keys()
            .next()
            .map(|(deadline_ns, _)| *deadline_ns)
    }

    /// Wakes the tasks whose deadlines have passed. Returns `true` if there were any.
    pub fn expire(&self) -> bool {
        let now_ns = self.now_ns();
        let mut any = false;
        loop {
            let due = self.sleepers.borrow_mut().pop_due(now_ns);
            let Some(waker) = due else { break };
            waker.wake();
            any = true;
        }
        any
    }
}

impl Sleepers {
    fn pop_due(&mut self, now_ns: u64) -> Option<Waker> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

/// The future returned by [`Timers::sleep_until`] and [`Timers::sleep`].
#[derive(Debug)]
pub struct Sleep {
    timers: Timers,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timers.now_ns() >= self.key.0 {
            return Poll::Ready(());
        }
        self.timers
            .sleepers
            .borrow_mut()
            .waiting
            .insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.timers.sleepers.borrow_mut().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tasks;
    use crate::fake::FakeClock;
    use alloc::vec::Vec;

    #[test]
    fn sleepers_wake_in_order_of_their_deadlines() {
        let (clock, tasks) = (FakeClock::default(), Tasks::new());
        let timers = Timers::new(clock.clone());
        let log = Rc::new(RefCell::new(Vec::new()));
        for deadline in [30, 10, 20, 10] {
            let (log, sleep) = (Rc::clone(&log), timers.sleep_until(deadline));
            tasks.spawn(async move {
                sleep.await;
                log.borrow_mut().push(deadline);
            });
        }
        tasks.poll();
        assert_eq!(timers.next_deadline(), Some(10));
        clock.set_ns(9);
        assert!(!timers.expire());
        clock.set_ns(10);
        assert!(timers.expire());
        tasks.poll();
        assert_eq!(*log.borrow(), [10, 10]);
        clock.set_ns(u64::MAX);
        timers.expire();
        tasks.poll();
        assert_eq!(log.borrow().len(), 4);
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn a_dropped_sleeper_leaves_no_deadline() {
        let (clock, tasks) = (FakeClock::default(), Tasks::new());
        let timers = Timers::new(clock);
        let mut sleep = timers.sleep(5);
        let waker = Waker::noop();
        assert!(
            Pin::new(&mut sleep)
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
        assert_eq!(timers.next_deadline(), Some(5));
        drop(sleep);
        assert_eq!(timers.next_deadline(), None);
        assert!(!tasks.poll());
    }
}
