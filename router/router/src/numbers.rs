//! Numbers of what lanes find in the tables, reused once no lane can be using them any more.

use alloc::collections::VecDeque;

/// The numbers of neighbors or groups.
///
/// A lane may have looked up a number before it was given back, or still read older
/// [`Tables`](crate::Tables) that contain it. The number becomes free once tables without it have been
/// published and all lanes have switched to them; immediately if there are no lanes.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// How many there are, free ones included: all below this.
    len: usize,
    /// Numbers that were given back, oldest first, with the epoch that all lanes have to see before one
    /// is free; `None` until tables are published.
    gone: VecDeque<(Option<u64>, usize)>,
    /// The epoch that all lanes have seen; `None` if there are no lanes.
    seen: Option<u64>,
}

impl Numbers {
    /// Returns how many there are, free ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many are used.
    pub(crate) fn used(&self) -> usize {
        self.len - self.gone.len()
    }

    /// Returns `true` if one is free.
    pub(crate) fn has_free(&self) -> bool {
        self.gone
            .front()
            .is_some_and(|&(epoch, _)| self.is_over(epoch))
    }

    /// Returns `true` if no lane uses what was given back before an epoch.
    fn is_over(&self, epoch: Option<u64>) -> bool {
        match (epoch, self.seen) {
            (_, None) => true,
            (Some(epoch), Some(seen)) => epoch <= seen,
            (None, Some(_)) => false,
        }
    }

    /// Returns how many were given back and aren't free.
    pub(crate) fn in_hand(&self) -> usize {
        match self.has_free() {
            true => self
                .gone
                .iter()
                .filter(|&&(epoch, _)| !self.is_over(epoch))
                .count(),
            false => self.gone.len(),
        }
    }

    /// Reserves memory for giving back this many. Returns `false` if there is none.
    pub(crate) fn reserve(&mut self, numbers: usize) -> bool {
        let more = numbers.saturating_sub(self.gone.len());
        self.gone.try_reserve(more).is_ok()
    }

    /// Returns the number that has been free for longest, or a new one.
    pub(crate) fn take(&mut self) -> usize {
        if self.has_free()
            && let Some((_, number)) = self.gone.pop_front()
        {
            return number;
        }
        self.len += 1;
        self.len - 1
    }

    /// Gives a number back.
    pub(crate) fn give_back(&mut self, number: usize) {
        self.gone.push_back((None, number));
    }

    /// Records that tables were published without the numbers given back so far: lanes that see this
    /// epoch read these tables or newer ones.
    pub(crate) fn published(&mut self, epoch: u64) {
        let fresh = self.gone.iter_mut().rev();
        let fresh = fresh.take_while(|(epoch, _)| epoch.is_none());
        fresh.for_each(|(stamp, _)| *stamp = Some(epoch));
    }

    /// Records the epoch that all lanes have seen; `None` if there are no lanes.
    pub(crate) fn saw(&mut self, epoch: Option<u64>) {
        self.seen = epoch;
    }

    /// Returns `true` if numbers wait for tables to be published.
    pub(crate) fn wait(&self) -> bool {
        self.gone.back().is_some_and(|(epoch, _)| epoch.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_lanes_a_number_is_free_at_once() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.take(), numbers.take()), (0, 1));
        numbers.give_back(0);
        assert!(numbers.has_free());
        assert_eq!((numbers.take(), numbers.take()), (0, 2));
    }

    #[test]
    fn with_lanes_it_is_free_once_they_went_on_to_what_was_published_later() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.take(), numbers.take()), (0, 1));
        numbers.saw(Some(7));
        numbers.give_back(0);
        // Whatever lanes have seen: they may read what is older.
        numbers.saw(Some(u64::MAX));
        assert!(!numbers.has_free() && numbers.wait());
        numbers.published(8);
        numbers.give_back(1);
        for (seen, in_hand) in [(7, 2), (8, 1), (u64::MAX, 1)] {
            numbers.saw(Some(seen));
            assert_eq!(
                (numbers.in_hand(), numbers.has_free()),
                (in_hand, in_hand == 1)
            );
        }
        assert_eq!((numbers.take(), numbers.take()), (0, 2));
        numbers.published(9);
        numbers.saw(Some(9));
        assert_eq!((numbers.used(), numbers.take()), (2, 1));
    }
}
