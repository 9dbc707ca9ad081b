//! What lookups that are under way may still find, and nobody else.

use alloc::collections::VecDeque;

/// What is to be done with it when no lookup can find it any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Retired {
    /// Free a run of nodes.
    Nodes { start: u32, len: u32 },
    /// Free a run of leaves.
    Leaves { start: u32, len: u32 },
    /// Free the number of a value.
    Number(u32),
    /// Have a node that moved to `copy` back, unless it has moved on.
    Moved { at: u32, copy: u32 },
    /// Leave a node's answers to the codes of all slots, if they have had them since.
    Flat { at: u32, since: u32 },
}

/// Retired things in the order in which they were retired, in batches.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Retired>,
    /// How many of them each batch has, and from which epoch on they can't be found. Items beyond
    /// have none yet.
    batches: VecDeque<(u64, usize)>,
    batched: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, item: Retired) {
        self.items.push_back(item);
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns `true` if some are in no batch.
    pub(crate) fn has_loose(&self) -> bool {
        self.items.len() != self.batched
    }

    /// Makes a batch of those that are in none: no lookup that begins in `epoch` or after it can
    /// find them.
    pub(crate) fn batch(&mut self, epoch: u64) {
        self.batches
            .push_back((epoch, self.items.len() - self.batched));
        self.batched = self.items.len();
    }

    /// Takes the oldest item, if all lookups from before `epoch` are over and that is enough for it.
    pub(crate) fn pop(&mut self, epoch: u64) -> Option<Retired> {
        loop {
            let (since, left) = self.batches.front_mut()?;
            if *since > epoch {
                return None;
            }
            if *left == 0 {
                self.batches.pop_front();
                continue;
            }
            *left -= 1;
            self.batched -= 1;
            return self.items.pop_front();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Retired>()
            + self.batches.capacity() * size_of::<(u64, usize)>()
    }
}
