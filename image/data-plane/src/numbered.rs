//! Access to vifs and pools by number, some of which are free.

/// Returns the element with a number; `None` if there is none.
#[inline(always)]
pub(crate) fn of<T>(all: &[Option<T>], number: usize) -> Option<&T> {
    all.get(number)?.as_ref()
}

/// The same, to be changed.
#[inline(always)]
pub(crate) fn of_mut<T>(all: &mut [Option<T>], number: usize) -> Option<&mut T> {
    all.get_mut(number)?.as_mut()
}
