//! Xen's time: the time-stamp counter, scaled with parameters that Xen writes into the shared info
//! page (`struct vcpu_time_info`, xen.h).

use core::sync::atomic::{Ordering, fence};

use crate::shared_info::{self, word};
use crate::{percpu, vcpu};

/// `version` (32 bits), padding.
const VERSION: usize = word::TIME;
const TSC_TIMESTAMP: usize = word::TIME + 1;
const SYSTEM_TIME: usize = word::TIME + 2;
/// `tsc_to_system_mul` (32 bits), `tsc_shift` (8 bits, signed), flags.
const SCALE: usize = word::TIME + 3;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Has Xen tell this virtual CPU the time from now on: at its start, and again after a restore.
///
/// It asks for a second copy of `vcpu_time_info`, which makes Xen fill in the first one. By itself
/// Xen may leave a young domain without one for a second, where it emulates the time-stamp
/// counter: it writes nothing as long as the counter's value at its last calibration, which is 0
/// until then, has not changed.
pub(crate) fn init() {
    let area = percpu::own().time.as_ptr() as usize;
    #[expect(unsafe_code, reason = "Xen writes to an address for ever")]
    // SAFETY: the area is as large as `vcpu_time_info`, is there for ever and is atomics. A
    // hypervisor that refuses tells the time a second later.
    let _ = unsafe { vcpu::register_time_area(percpu::current(), area) };
}

/// Returns the number of nanoseconds since the time-stamp counter was at `tsc`.
#[must_use]
pub fn since(tsc: u64) -> u64 {
    let scale = shared_info::own()[SCALE].load(Ordering::Relaxed);
    scaled(ticks().saturating_sub(tsc), scale)
}

/// Returns the number of nanoseconds since the host booted (Xen's system time). It is monotonic on
/// one virtual CPU, but may be slightly less on another one, as the host's processors don't agree
/// exactly.
#[must_use]
pub fn now() -> u64 {
    let info = shared_info::own();
    loop {
        let version = info[VERSION].load(Ordering::Acquire);
        let timestamp = info[TSC_TIMESTAMP].load(Ordering::Relaxed);
        let system_time = info[SYSTEM_TIME].load(Ordering::Relaxed);
        let scale = info[SCALE].load(Ordering::Relaxed);
        let tsc = ticks();
        fence(Ordering::Acquire);
        if version & 1 == 0 && version == info[VERSION].load(Ordering::Relaxed) {
            return at(tsc, timestamp, system_time, scale);
        }
        core::hint::spin_loop();
    }
}

/// Returns the system time when the counter is at `tsc`, if it was `system_time` at `timestamp`.
///
/// The counter of a domain for which Xen emulates it begins at 0 when the domain is made, and
/// Xen's stamp may be older: then `timestamp` is a negative number.
fn at(tsc: u64, timestamp: u64, system_time: u64, scale: u64) -> u64 {
    let ticks = tsc.wrapping_sub(timestamp).cast_signed();
    let time = scaled(ticks.unsigned_abs(), scale);
    if ticks < 0 {
        system_time.saturating_sub(time)
    } else {
        system_time.wrapping_add(time)
    }
}

/// Returns the time-stamp counter.
#[must_use]
pub fn ticks() -> u64 {
    #[expect(unsafe_code, reason = "an instruction without a safe name")]
    // SAFETY: rdtsc exists on every 64-bit processor.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

/// Ticks of the time-stamp counter as nanoseconds.
fn scaled(ticks: u64, scale: u64) -> u64 {
    let [m0, m1, m2, m3, shift, ..] = scale.to_le_bytes();
    let factor = u128::from(u32::from_le_bytes([m0, m1, m2, m3]));
    let shift = i8::from_le_bytes([shift]);
    let ticks = if shift < 0 {
        ticks
            .checked_shr(u32::from(shift.unsigned_abs()))
            .unwrap_or(0)
    } else {
        ticks.wrapping_shl(u32::from(shift.unsigned_abs()))
    };
    ((u128::from(ticks) * factor) >> 32) as u64
}

/// Returns the number of seconds since 1970, according to the host's clock as set by dom0.
#[must_use]
pub fn wall_clock() -> u64 {
    loop {
        let (version, at_boot) = shared_info::wall_clock();
        fence(Ordering::Acquire);
        if version & 1 == 0 && version == shared_info::wall_clock().0 {
            return at_boot.wrapping_add(now() / SECOND);
        }
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::{at, scaled};

    fn scale(factor: u32, shift: i8) -> u64 {
        let [a, b, c, d] = factor.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, shift.to_le_bytes()[0], 0, 0, 0])
    }

    #[test]
    fn ticks_become_nanoseconds() {
        // 1 GHz: one tick is 1 ns, as factor 2^31 and a shift by one.
        assert_eq!(scaled(1_000_000, scale(1 << 31, 1)), 1_000_000);
        // 4 GHz: a quarter each.
        assert_eq!(scaled(4_000_000_000, scale(1 << 31, -1)), 1_000_000_000);
        // Three weeks of a fast counter don't overflow on the way.
        assert_eq!(scaled(1 << 53, scale(u32::MAX, 0)), (1 << 53) - (1 << 21));
    }

    #[test]
    fn time_goes_on_from_stamps_before_and_after() {
        let ns = scale(1 << 31, 1);
        let (second, stamp) = (1_000_000_000, 42_000_000_000);
        assert_eq!(at(5 * second, 4 * second, stamp, ns), stamp + second);
        assert_eq!(at(4 * second, 5 * second, stamp, ns), stamp - second);
        // A stamp from before the counter began.
        let before = 0u64.wrapping_sub(second);
        assert_eq!(at(second / 2, before, stamp, ns), stamp + second * 3 / 2);
    }
}
