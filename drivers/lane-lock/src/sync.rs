//! What the lock is made of: the machine's atomics and memory, or loom's where the lock itself is
//! tested, which tries all orders in which threads can meet there.

#[cfg(test)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(test)]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};

#[cfg(not(test))]
pub(crate) use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(test))]
pub(crate) use plain::UnsafeCell;

#[cfg(not(test))]
mod plain {
    /// `core`'s, with the methods of loom's.
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}
