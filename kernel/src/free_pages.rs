//! Pages that were given back: a list in the pages themselves, each of which begins with the address of
//! the next.

#![expect(unsafe_code, reason = "free pages link to each other")]

use core::ops::Range;
use core::ptr::NonNull;

use xen_hal::PAGE_SIZE;

/// Free pages.
pub(crate) struct FreePages {
    /// The first one's address; 0 if there is none.
    head: usize,
    len: usize,
    /// No run is as long, as was seen when one was wanted last; more pages may have made one since.
    lacks: usize,
}

impl FreePages {
    /// No pages.
    pub(crate) const fn new() -> Self {
        Self {
            head: 0,
            len: 0,
            lacks: usize::MAX,
        }
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a page.
    ///
    /// # Safety
    /// The page at this address is mapped, and nobody's until it is taken again.
    pub(crate) unsafe fn push(&mut self, page: usize) {
        set_next(page, self.head);
        self.head = page;
        self.len += 1;
        self.lacks = usize::MAX;
    }

    /// Takes a page. Returns its address; `None` if there is none.
    pub(crate) fn pop(&mut self) -> Option<NonNull<u8>> {
        let page = NonNull::new(self.head as *mut u8)?;
        self.head = next(self.head);
        self.len -= 1;
        Some(page)
    }

    /// Takes `count` pages that lie side by side, the lowest there are. `None` if there aren't any.
    ///
    /// This sorts the pages, and is for when memory is short.
    pub(crate) fn take_run(&mut self, count: usize) -> Option<Range<usize>> {
        if count == 0 || count >= self.lacks {
            return None;
        }
        self.head = sort(self.head, self.len);
        // The page in front of the run; 0 if that begins the list.
        let (mut before, mut last, mut found) = (0, 0, 0);
        let (mut start, mut page) = (0, self.head);
        while page != 0 && found < count {
            if found == 0 || last + PAGE_SIZE != page {
                (before, start, found) = (last, page, 0);
            }
            found += 1;
            (last, page) = (page, next(page));
        }
        if found < count {
            self.lacks = count;
            return None;
        }
        match before {
            0 => self.head = page,
            before => set_next(before, page),
        }
        self.len -= count;
        Some(start..last + PAGE_SIZE)
    }
}

/// Returns the page behind one in the list; 0 if it is the last.
fn next(page: usize) -> usize {
    // SAFETY: a free page is the list's alone, and begins with a link.
    unsafe { (page as *const usize).read() }
}

fn set_next(page: usize, next: usize) {
    // SAFETY: a free page is the list's alone.
    unsafe { (page as *mut usize).write(next) }
}

/// Sorts the first `len` pages of a list by address, and ends it behind them. Returns the first.
fn sort(head: usize, len: usize) -> usize {
    if len < 2 {
        if head != 0 {
            set_next(head, 0);
        }
        return head;
    }
    let mut second = head;
    for _ in 0..len / 2 {
        second = next(second);
    }
    let second = sort(second, len - len / 2);
    merge(sort(head, len / 2), second)
}

/// Merges two lists that are sorted, and neither of them empty. Returns the first page of both.
fn merge(mut one: usize, mut other: usize) -> usize {
    let (first, mut last) = (one.min(other), 0);
    while one != 0 && other != 0 {
        let least = one.min(other);
        if least == one {
            one = next(one);
        } else {
            other = next(other);
        }
        if last != 0 {
            set_next(last, least);
        }
        last = least;
    }
    set_next(last, one.max(other));
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::alloc::{Layout, alloc_zeroed};
    use alloc::vec::Vec;

    const PAGES: usize = 64;

    /// Pages that are the test's for ever: where the first begins.
    fn arena() -> usize {
        let layout = Layout::from_size_align(PAGES * PAGE_SIZE, PAGE_SIZE).expect("a layout");
        // SAFETY: the layout isn't empty.
        let start = unsafe { alloc_zeroed(layout) };
        assert!(!start.is_null());
        start as usize
    }

    fn of(pages: &[usize], arena: usize) -> FreePages {
        let mut free = FreePages::new();
        for page in pages {
            // SAFETY: the arena is the test's, and each page is pushed once.
            unsafe { free.push(arena + page * PAGE_SIZE) };
        }
        free
    }

    fn rest(free: &mut FreePages, arena: usize) -> Vec<usize> {
        let len = free.len();
        let mut all = Vec::new();
        while let Some(page) = free.pop() {
            all.push((page.as_ptr() as usize - arena) / PAGE_SIZE);
        }
        assert_eq!((all.len(), free.len()), (len, 0));
        all.sort_unstable();
        all
    }

    #[test]
    fn pages_side_by_side_are_found_in_any_order() {
        let arena = arena();
        let given = [9, 3, 20, 5, 4, 11, 10, 1, 6, 21];
        for (count, start, left) in [
            (1, Some(1), &[3, 4, 5, 6, 9, 10, 11, 20, 21][..]),
            (2, Some(3), &[1, 5, 6, 9, 10, 11, 20, 21]),
            (4, Some(3), &[1, 9, 10, 11, 20, 21]),
            (5, None, &[1, 3, 4, 5, 6, 9, 10, 11, 20, 21]),
            (0, None, &[1, 3, 4, 5, 6, 9, 10, 11, 20, 21]),
        ] {
            let mut free = of(&given, arena);
            let start = start.map(|at: usize| arena + at * PAGE_SIZE);
            let run = start.map(|start| start..start + count * PAGE_SIZE);
            assert_eq!(free.take_run(count), run, "{count}");
            assert_eq!(rest(&mut free, arena), left, "{count}");
        }
        assert_eq!(FreePages::new().take_run(1), None);
    }

    #[test]
    fn what_was_lacking_is_there_once_a_page_comes_between() {
        let arena = arena();
        let mut free = of(&[1, 3, 4], arena);
        assert_eq!((free.take_run(3), free.take_run(3)), (None, None));
        // SAFETY: as in `of`.
        unsafe { free.push(arena + 2 * PAGE_SIZE) };
        let run = arena + PAGE_SIZE..arena + 4 * PAGE_SIZE;
        assert_eq!(free.take_run(3), Some(run));
        assert_eq!(rest(&mut free, arena), [4]);
    }

    #[test]
    fn any_pages_are_each_taken_once() {
        let arena = arena();
        let mut seed = 7_u64;
        for _ in 0..200 {
            let mut pages: Vec<usize> = (0..PAGES).collect();
            for at in (1..PAGES).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                pages.swap(at, (seed >> 33) as usize % (at + 1));
            }
            let kept = (seed >> 40) as usize % PAGES;
            let mut free = of(&pages[..kept], arena);
            let mut found = Vec::new();
            for count in [8, 3, 3, 1, 2] {
                if let Some(run) = free.take_run(count) {
                    assert_eq!(run.len(), count * PAGE_SIZE);
                    found.extend(run.step_by(PAGE_SIZE).map(|at| (at - arena) / PAGE_SIZE));
                }
            }
            found.extend(rest(&mut free, arena));
            found.sort_unstable();
            let mut expected = pages[..kept].to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
