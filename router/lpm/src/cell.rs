//! Memory that one thread writes while others read it.
//!
//! Loads acquire and stores release: who reads what was stored also sees all that was stored
//! before it. On x86 both are plain moves. In this crate's unit tests they are hooked, so that a
//! lookup can be made to find each state that a change goes through ([`trace`]).

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use once_cell::race::OnceBox;

#[cfg(test)]
pub(crate) mod trace;

macro_rules! cell {
    ($name:ident, $atomic:ident, $int:ident) => {
        #[doc = concat!("A `", stringify!($int), "` that one thread writes while others read it.")]
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $name($atomic);

        impl $name {
            #[inline(always)]
            pub(crate) fn load(&self) -> $int {
                let value = self.0.load(Ordering::Acquire);
                #[cfg(test)]
                let value = trace::loaded(self, value.into()) as $int;
                value
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $int) {
                #[cfg(test)]
                trace::stored(self, self.0.load(Ordering::Acquire).into(), value.into());
                self.0.store(value, Ordering::Release);
            }
        }
    };
}

impl SharedU8 {
    pub(crate) const fn new(value: u8) -> Self {
        Self(AtomicU8::new(value))
    }
}

impl SharedU32 {
    pub(crate) const fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
}

cell!(SharedU8, AtomicU8, u8);
cell!(SharedU32, AtomicU32, u32);
cell!(SharedU64, AtomicU64, u64);

/// What is made once, while others may already look for it.
pub(crate) struct SharedOnce<T>(OnceBox<T>);

impl<T> SharedOnce<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceBox::new())
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        let made = self.0.get();
        #[cfg(test)]
        let made = made.filter(|_| trace::loaded(self, 1) != 0);
        made
    }

    /// Returns `false` if it was made already.
    pub(crate) fn set(&self, value: Box<T>) -> bool {
        let fresh = self.0.set(value).is_ok();
        #[cfg(test)]
        trace::stored(self, 0, 1);
        fresh
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for SharedOnce<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("SharedOnce").field(&self.0.get()).finish()
    }
}
