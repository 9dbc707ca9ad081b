//! A lock that is given to those who wait in the order in which they came.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use spin::RelaxStrategy;

use crate::sync::{AtomicU32, Ordering, UnsafeCell};

/// A value, and a lock for it. `R` is how to wait.
pub(crate) struct TicketLock<T, R> {
    /// The ticket of who comes next.
    next: AtomicU32,
    /// The ticket whose holder has the lock.
    serving: AtomicU32,
    value: UnsafeCell<T>,
    wait: PhantomData<fn() -> R>,
}

// SAFETY: the value is used by one thread at a time, the one whose ticket is served.
unsafe impl<T: Send, R> Sync for TicketLock<T, R> {}

impl<T, R: RelaxStrategy> TicketLock<T, R> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            next: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            value: UnsafeCell::new(value),
            wait: PhantomData,
        }
    }

    /// Waits until all who came before have left.
    #[inline]
    pub(crate) fn lock(&self) -> TicketGuard<'_, T, R> {
        // Who holds which ticket orders nothing else; that it is served, does.
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        while self.serving.load(Ordering::Acquire) != ticket {
            R::relax();
        }
        TicketGuard {
            lock: self,
            ticket,
            value: PhantomData,
        }
    }
}

/// The right to use the value of a [`TicketLock`].
pub(crate) struct TicketGuard<'a, T, R> {
    lock: &'a TicketLock<T, R>,
    ticket: u32,
    value: PhantomData<&'a mut T>,
}

impl<T, R> Deref for TicketGuard<'_, T, R> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: only who holds the served ticket has a guard; it is borrowed.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T, R> DerefMut for TicketGuard<'_, T, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: only who holds the served ticket has a guard; it is borrowed for this alone.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T, R> Drop for TicketGuard<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        let next = self.ticket.wrapping_add(1);
        self.lock.serving.store(next, Ordering::Release);
    }
}
