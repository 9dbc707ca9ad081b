//! A ticket lock, which is acquired in the order of arrival.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use spin::RelaxStrategy;

use crate::sync::{AtomicU32, Ordering, UnsafeCell};

/// A value protected by a ticket lock. `R` is the strategy for waiting.
pub(crate) struct TicketLock<T, R> {
    /// The next ticket to hand out.
    next: AtomicU32,
    /// The ticket that holds the lock.
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

    /// Acquires the lock, after those who came before have released it.
    #[inline]
    pub(crate) fn lock(&self) -> TicketGuard<'_, T, R> {
        // Drawing a ticket needs no ordering; being served does.
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

/// A guard of a [`TicketLock`].
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
