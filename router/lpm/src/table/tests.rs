use super::*;
use crate::cell::SharedOnce;
use crate::flat::Flat;
use crate::node::{INDEXED, NO_CODE};
use alloc::vec;
use prefix_trie::PrefixMap;
use proptest::prelude::*;
use std::collections::BTreeMap as Map;

const NO_ROUTE: u32 = 0;

/// What a table has in use, and has to have given back when it is as before.
pub(super) fn used<A: Address>(table: &Table<A>) -> [usize; 4] {
    let nodes = table.nodes.used();
    let (leaves, values) = (table.leaves.used(), table.values.used());
    [nodes, leaves, values, table.interner.used()]
}

/// How many of its blocks have an index.
fn indexes<A>(table: &Table<A>) -> usize {
    table
        .nodes
        .indexes
        .iter()
        .filter_map(SharedOnce::get)
        .count()
}

#[derive(Clone, Debug)]
struct Step<A> {
    remove: bool,
    prefix: A,
    len: u8,
    value: u32,
}

fn steps<A: Address>(
    address: impl Strategy<Value = A> + Clone,
    most: usize,
) -> impl Strategy<Value = Vec<Step<A>>> {
    let step = (prop::bool::weighted(0.3), address, 0..=A::BITS, 1u32..6);
    prop::collection::vec(
        step.prop_map(|(remove, prefix, len, value)| Step {
            remove,
            prefix,
            len,
            value,
        }),
        1..most,
    )
}

fn v4() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![
        any::<u32>(),
        (0u32..1 << 14).prop_map(|low| 0x0a00_0000 | low),
        (0u32..1 << 8).prop_map(|low| 0x0a00_0000 | low << 24 | low),
    ]
}

fn v6() -> impl Strategy<Value = u128> + Clone {
    let top = 0x2a00_u128 << 112;
    prop_oneof![
        any::<u128>(),
        any::<u32>().prop_map(move |bits| top | u128::from(bits) << 80),
        any::<u16>().prop_map(move |bits| top | u128::from(bits) << 56),
        any::<u16>().prop_map(move |bits| top | u128::from(bits)),
    ]
}

/// Does the steps to a table and to an oracle, and compares all that can be asked.
fn agree<A, P>(
    mut table: Table<A>,
    steps: &[Step<A>],
    probes: &[A],
    oracle_lookup: impl Fn(&PrefixMap<P, u32>, A) -> Option<u32>,
    oracle_prefix: impl Fn(A, u8) -> P,
) -> Result<(), TestCaseError>
where
    A: Address + std::ops::Not<Output = A> + std::ops::BitOr<Output = A>,
    P: prefix_trie::Prefix,
{
    let before = (indexes(&table), used(&table));
    let mut oracle: PrefixMap<P, u32> = PrefixMap::new();
    let mut held: Map<(A, u8), u32> = Map::new();
    for step in steps {
        let prefix = step.prefix.masked(step.len);
        let (found, wanted) = if step.remove {
            // Most removals hit: the oracle says what there is near it.
            let near = held.range((prefix, step.len)..).next();
            let (prefix, len) = near.map_or((prefix, step.len), |(&key, _)| key);
            held.remove(&(prefix, len));
            (
                table.remove(prefix, len),
                oracle.remove(&oracle_prefix(prefix, len)),
            )
        } else {
            held.insert((prefix, step.len), step.value);
            let old = oracle.insert(oracle_prefix(prefix, step.len), step.value);
            (table.insert(step.prefix, step.len, step.value), old)
        };
        prop_assert_eq!(found, wanted);
        prop_assert_eq!(
            table.get(step.prefix, step.len),
            held.get(&(prefix, step.len)).copied()
        );
    }
    prop_assert_eq!(table.len(), held.len());
    let ends = held
        .keys()
        .flat_map(|&(first, len)| [first, first | !(!A::ZERO).masked(len)]);
    let addresses: Vec<A> = ends.chain(probes.iter().copied()).collect();
    let mut values = vec![9; addresses.len()];
    table.lookup_batch(&addresses, &mut values);
    for (&address, value) in addresses.iter().zip(values) {
        let wanted = oracle_lookup(&oracle, address).unwrap_or(NO_ROUTE);
        prop_assert_eq!(table.lookup(address), wanted, "{:?}", address);
        prop_assert_eq!(value, wanted);
    }
    let mut listed: Vec<((A, u8), u32)> = Vec::new();
    table.for_each(|prefix, len, value| listed.push(((prefix, len), value)));
    listed.sort();
    prop_assert!(
        listed
            .iter()
            .copied()
            .eq(held.iter().map(|(&k, &v)| (k, v)))
    );
    // Values 1 and 3 are hidden, and shown again.
    for hidden in [[1, 3], [9, 9]] {
        table.hide(|value| hidden.contains(&value));
        let shown = held.iter().filter(|(_, value)| !hidden.contains(value));
        let shown = shown.map(|(&(prefix, len), &value)| (oracle_prefix(prefix, len), value));
        let shown: PrefixMap<P, u32> = shown.collect();
        let mut values = vec![9; addresses.len()];
        table.lookup_batch(&addresses, &mut values);
        for (&address, value) in addresses.iter().zip(values) {
            let wanted = oracle_lookup(&shown, address).unwrap_or(NO_ROUTE);
            prop_assert_eq!(table.lookup(address), wanted, "{:?}", address);
            prop_assert_eq!(value, wanted);
        }
    }
    for (&(prefix, len), &value) in &held {
        prop_assert_eq!(table.remove(prefix, len), Some(value));
    }
    prop_assert!(table.is_empty());
    if indexes(&table) == before.0 {
        prop_assert_eq!(used(&table), before.1);
    }
    Ok(())
}

fn agree4(table: Table<u32>, steps: &[Step<u32>], probes: &[u32]) -> Result<(), TestCaseError> {
    let lookup = |oracle: &PrefixMap<(u32, u8), u32>, address| {
        oracle.get_lpm(&(address, 32)).map(|(_, &value)| value)
    };
    agree(table, steps, probes, lookup, |prefix, len| (prefix, len))
}

fn agree6(table: Table<u128>, steps: &[Step<u128>], probes: &[u128]) -> Result<(), TestCaseError> {
    let lookup = |oracle: &PrefixMap<(u128, u8), u32>, address| {
        oracle.get_lpm(&(address, 128)).map(|(_, &value)| value)
    };
    agree(table, steps, probes, lookup, |prefix, len| (prefix, len))
}

/// A table whose blocks that begin with `first` are indexed from the start.
pub(super) fn indexed<A: Address>(first: A) -> Table<A> {
    let mut table = Table::new(NO_ROUTE);
    table.counts = vec![0; 1 << A::INDEX];
    table.make_index(first, first.bits(0, A::INDEX));
    table
}

/// The same table with codes, which all nodes but some have already.
pub(super) fn flat(mut table: Table<u32>) -> Table<u32> {
    table.use_codes(Flat::new().unwrap());
    for _ in 0..INDEXED / AT_ONCE - 40 {
        table.give_codes(AT_ONCE);
    }
    table
}

/// The same table with other values, as many as leave codes for two more.
pub(super) fn crowded<A: Address>(mut table: Table<A>) -> Table<A> {
    for value in 1000..1000 + u32::from(NO_CODE) - 3 {
        table.intern(value);
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn ipv4_agrees_with_an_oracle(
        steps in steps(v4(), 400),
        probes in prop::collection::vec(v4(), 64),
    ) {
        agree4(Table::new(NO_ROUTE), &steps, &probes)?;
        agree4(indexed(0x0a00_0000), &steps, &probes)?;
        agree4(flat(indexed(0x0a00_0000)), &steps, &probes)?;
        agree4(flat(crowded(indexed(0x0a00_0000))), &steps, &probes)?;
        agree4(crowded(Table::new(NO_ROUTE)), &steps, &probes)?;
        agree4(crowded(indexed(0x0a00_0000)), &steps, &probes)?;
    }

    #[test]
    fn ipv6_agrees_with_an_oracle(
        steps in steps(v6(), 300),
        probes in prop::collection::vec(v6(), 64),
    ) {
        agree6(Table::new(NO_ROUTE), &steps, &probes)?;
        agree6(indexed(0x2a00 << 112), &steps, &probes)?;
        agree6(crowded(Table::new(NO_ROUTE)), &steps, &probes)?;
        agree6(crowded(indexed(0x2a00 << 112)), &steps, &probes)?;
    }
}

#[test]
fn an_index_appears_where_there_are_many() {
    let steps: Vec<Step<u32>> = (0..3000u32)
        .map(|i| Step {
            remove: false,
            prefix: 0x0a00_0000 | i.wrapping_mul(0x9e37_79b9) >> 8,
            len: 9 + (i % 24) as u8,
            value: 1 + i % 5,
        })
        .collect();
    let probes: Vec<u32> = (0..4000u32).map(|i| 0x0900_0000 + i * 0x2345).collect();
    agree4(Table::new(NO_ROUTE), &steps, &probes).unwrap();
    let mut table = Table::new(NO_ROUTE);
    for step in &steps {
        table.insert(step.prefix, step.len, step.value);
    }
    assert!(table.is_indexed(0x0a00_0000) && !table.is_indexed(0xe000_0000));
}

#[test]
fn a_large_table_settles_although_nothing_changes_any_more() {
    let mut table: Table<u32> = Table::new(NO_ROUTE);
    let prefixes = || (0..128 << 10).map(|i: u32| i.wrapping_mul(0x9e37_79b1) << 8);
    for prefix in prefixes() {
        table.insert(prefix, 24, 1 + (prefix >> 8) % 7);
    }
    assert!(table.nodes.flat.is_some() && !table.is_settled());
    while !table.is_settled() {
        table.settle(1000);
    }
    let flat = table.nodes.flat.as_ref().unwrap();
    assert!(prefixes().all(|prefix| flat.codes[prefix as usize >> 8].load() != NO_CODE));
}

#[test]
fn codes_come_whatever_prefix_makes_the_table_large() {
    let large = |with: &[(u32, u8)]| {
        let mut table: Table<u32> = Table::new(NO_ROUTE);
        let prefix = |i: u32| i.wrapping_mul(0x9e37_79b1) << 8;
        for i in 1..128 << 10 {
            table.insert(prefix(i), 24, 1);
        }
        for &(prefix, len) in with {
            table.insert(prefix, len, 2);
        }
        table
    };
    assert!(large(&[]).nodes.flat.is_none());
    assert!(large(&[(0, 0)]).nodes.flat.is_some());
    // One that has no room for them gets them when it has, but doesn't ask at each change.
    let mut table = large(&[]);
    table.set_limit(1 << 20);
    table.insert(0, 0, 2);
    assert!(table.nodes.flat.is_none());
    table.set_limit(usize::MAX);
    table.insert(0x0a00_0000, 32, 3);
    assert!(table.nodes.flat.is_none());
    for i in 0..128 << 8 {
        table.insert(0x0a00_0000 + i, 32, 3);
    }
    assert!(table.nodes.flat.is_some());
}

#[test]
fn bursts_of_any_length_and_only_as_far_as_both_reach() {
    let tables = [0x0a00_0000, 0].map(indexed);
    let with_codes = [0x0a00_0000, 0].map(|first| flat(indexed(first)));
    let tables = tables.into_iter().chain(with_codes);
    for mut table in tables.chain([Table::new(NO_ROUTE)]) {
        table.insert(0x0a00_0000, 8, 1);
        table.insert(0x0a00_0100, 24, 2);
        table.insert(0x0a00_0107, 32, 3);
        let addresses: Vec<u32> = (0..200).map(|i| 0x0a00_00c0 + i * 7).collect();
        for asked in [0, 1, 3, 4, 5, 63, 64, 65, 127, 200] {
            for room in [asked / 2, asked, asked + 1, asked + 70] {
                // What stands in the rest is no leaf of any table.
                let mut values = vec![u32::MAX - 1; room];
                table.lookup_batch(&addresses[..asked], &mut values);
                for (i, &value) in values.iter().enumerate() {
                    let answer = addresses[..asked].get(i).map(|&a| table.lookup(a));
                    assert_eq!(value, answer.unwrap_or(u32::MAX - 1), "{i} of {asked}");
                }
            }
        }
    }
}

#[test]
fn nested_prefixes() {
    let mut table: Table<u32> = Table::new(NO_ROUTE);
    let address = |text: &str| text.parse::<core::net::Ipv4Addr>().unwrap().to_bits();
    for (prefix, len, value) in [
        ("10.0.0.0", 8, 1),
        ("10.0.0.0", 24, 2),
        ("10.0.0.1", 32, 3),
        ("10.0.0.128", 25, 4),
        ("10.1.0.0", 16, 5),
        ("255.255.255.255", 32, 6),
        ("0.0.0.0", 32, 7),
    ] {
        assert_eq!(table.insert(address(prefix), len, value), None);
    }
    let ask = |table: &Table<u32>, text| table.lookup(address(text));
    for (text, value) in [
        ("10.0.0.0", 2),
        ("10.0.0.1", 3),
        ("10.0.0.2", 2),
        ("10.0.0.127", 2),
        ("10.0.0.128", 4),
        ("10.0.0.255", 4),
        ("10.0.1.0", 1),
        ("10.1.255.255", 5),
        ("10.255.0.0", 1),
        ("11.0.0.0", NO_ROUTE),
        ("255.255.255.255", 6),
        ("255.255.255.254", NO_ROUTE),
        ("0.0.0.0", 7),
        ("0.0.0.1", NO_ROUTE),
    ] {
        assert_eq!(ask(&table, text), value, "{text}");
    }
    assert_eq!(table.insert(0, 0, 9), None);
    assert_eq!((ask(&table, "0.0.0.1"), ask(&table, "10.2.0.0")), (9, 1));
    assert_eq!(table.remove(0, 0), Some(9));
    assert_eq!(ask(&table, "0.0.0.1"), NO_ROUTE);
}
