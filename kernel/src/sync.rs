//! Locks between virtual CPUs.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;

use crate::{percpu, sched};

/// Turns of a waiting loop for each call of the hypervisor.
const SPINS_PER_YIELD: u32 = 256;

/// The strategy for waiting for a lock that another virtual CPU holds: spinning for a moment, then
/// yielding to the hypervisor, so that it can run the holder.
#[derive(Clone, Copy, Debug)]
pub struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        core::hint::spin_loop();
        let spins = &percpu::own().lock_spins;
        let turn = spins.load(Ordering::Relaxed).wrapping_add(1);
        spins.store(turn, Ordering::Relaxed);
        if turn.is_multiple_of(SPINS_PER_YIELD) {
            sched::yield_now();
        }
    }
}

/// A lock between virtual CPUs. It must not be acquired recursively, and several must be acquired
/// in this order: console, grants, heap (added memory before its own), memory, window.
pub(crate) type Mutex<T> = spin::mutex::SpinMutex<T, Yield>;

/// What a lock gives to whoever holds it.
pub(crate) type MutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T, Yield>;
