//! The number of each configured interface, which it keeps over changes of the configuration, so
//! that references to it stay valid.

use alloc::vec::Vec;

use config::Config;

use crate::frame::{InterfaceId, MAX_INTERFACES};

/// The numbers of all configured interfaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterfaceIds {
    /// By index into [`Config::interfaces`].
    ids: Vec<InterfaceId>,
}

impl InterfaceIds {
    /// Returns the numbers for `new`. Interfaces with the same place in `old`, whose numbers these
    /// are, keep theirs. The others get the lowest numbers for which `is_free` returns `true`,
    /// preferably such as no interface of `old` has.
    pub(crate) fn after(
        &self,
        old: &Config,
        new: &Config,
        is_free: impl Fn(InterfaceId) -> bool,
    ) -> Self {
        let was = |at: usize| {
            let was = (0..old.interfaces.len()).find(|&was| old.is_same_place(was, new, at));
            was.and_then(|was| self.of(was))
        };
        let kept: Vec<Option<InterfaceId>> = (0..new.interfaces.len()).map(was).collect();
        let all = || (0u8..).map(InterfaceId).take(MAX_INTERFACES);
        let had = |id: &InterfaceId| self.ids.contains(id);
        let others = all().filter(|id| !kept.contains(&Some(*id)) && is_free(*id));
        let (reused, fresh): (Vec<_>, Vec<_>) = others.partition(had);
        let mut free = fresh.into_iter().chain(reused);
        let ids = kept.iter().map_while(|kept| kept.or_else(|| free.next()));
        Self { ids: ids.collect() }
    }

    /// Returns the number of the interface at an index into [`Config::interfaces`]. `None` if there
    /// is no such interface, or no number was left for it.
    pub(crate) fn of(&self, index: usize) -> Option<InterfaceId> {
        self.ids.get(index).copied()
    }

    /// Returns the index of the interface with a number. `None` if there is none.
    pub(crate) fn index_of(&self, id: InterfaceId) -> Option<usize> {
        self.ids.iter().position(|&own| own == id)
    }

    /// Returns all numbers, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = InterfaceId> {
        self.ids.iter().copied()
    }

    /// Returns the highest number plus one.
    pub(crate) fn slots(&self) -> usize {
        self.iter().map(|id| id.index() + 1).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn config(names: &str) -> Config {
        let mut text = String::new();
        for name in names.chars() {
            let vif = name as u32 - 'a' as u32;
            text += &format!("[interface.{name}]\nvif = {vif}\n");
        }
        config::from_toml(&text).unwrap()
    }

    fn numbers(ids: &InterfaceIds) -> Vec<u8> {
        ids.iter().map(|id| id.0).collect()
    }

    #[test]
    fn interfaces_keep_their_numbers() {
        let none = Config::empty();
        let (first, second) = (config("bdf"), config("abcf"));
        let ids = InterfaceIds::default().after(&none, &first, |_| true);
        let order = |ids: &InterfaceIds, config: &Config| {
            let names = config.interfaces.iter().map(|i| i.name.clone());
            names.zip(numbers(ids)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&ids), [0, 1, 2]);
        let next = ids.after(&first, &second, |_| true);
        let number = |name: &str| {
            let all = order(&next, &second);
            all.iter().find(|(n, _)| n == name).map(|&(_, id)| id)
        };
        assert_eq!((number("b"), number("f")), (Some(0), Some(2)));
        // The number of one that is gone is the last to be given away.
        let mut new = [number("a").unwrap(), number("c").unwrap()];
        new.sort_unstable();
        assert_eq!(new, [3, 4]);
        assert_eq!(next.slots(), 5);
        assert_eq!(next.index_of(InterfaceId(1)), None);
        // Nor is one given away that something still leads to.
        let third = config("bf");
        let fewer = next.after(&second, &third, |_| true);
        let again = fewer.after(&third, &second, |id| id.0 != 1);
        assert!(!numbers(&again).contains(&1));
    }
}
