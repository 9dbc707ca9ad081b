//! The forwarding table at the size of the Internet's, beside other tables in Rust.
//!
//! ```text
//! table dump DIR       writes the tables and addresses for programs in other languages
//! table serve          for each line "FAMILY PATTERN CONTENDER" on stdin, looks all addresses
//!                      up and prints ns a lookup and the sum of the answers
//! table updates        fills tables and changes them: `name,value,unit` lines
//! table count ...      looks some up, for callgrind to count instructions in `measured`
//! ```
//!
//! `tests/bench/run.py` drives it.

use std::cell::RefCell;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant as Clock;

use lpm::epochs::Epochs;
use lpm::{Address, Table};
use poptrie::Poptrie;
use prefix_trie::PrefixMap;

mod cpu;
mod internet;
use internet::{Random, Route};

const V4_PREFIXES: usize = 1_000_000;
const V6_PREFIXES: usize = 230_000;
const ADDRESSES: usize = 1 << 20;
const BURST: usize = 64;
/// Changes of a full table.
const CHANGES: usize = 200_000;
/// Addresses that are timed together.
const PART: usize = 4096;

/// The tables of one family, and the addresses to look up.
struct Family<A> {
    routes: Vec<Route<A>>,
    uniform: Vec<A>,
    mix: Vec<A>,
}

impl<A> Family<A> {
    fn pattern(&self, name: &str) -> &[A] {
        if name == "uniform" {
            &self.uniform
        } else {
            &self.mix
        }
    }
}

fn v4(prefixes: usize) -> Family<u32> {
    let routes = internet::v4(prefixes, 4);
    let mut random = Random(44);
    Family {
        uniform: (0..ADDRESSES).map(|_| random.next() as u32).collect(),
        mix: internet::mix(&routes, ADDRESSES, 444, internet::within4),
        routes,
    }
}

fn v6(prefixes: usize) -> Family<u128> {
    let routes = internet::v6(prefixes, 6);
    let mut random = Random(66);
    let mut any = |_| internet::within6(routes[random.below(prefixes)], &mut random);
    Family {
        // Hardly any of all addresses has a route: uniform over the prefixes.
        uniform: (0..ADDRESSES).map(&mut any).collect(),
        mix: internet::mix(&routes, ADDRESSES, 666, internet::within6),
        routes,
    }
}

fn filled<A: Address>(routes: &[Route<A>]) -> Table<A> {
    let mut table = Table::new(0);
    for &(prefix, len, value) in routes {
        table.insert(prefix, len, value);
    }
    table
}

#[inline(never)]
fn measured<A>(addresses: &[A], values: &mut [u32; BURST], lookup: &dyn Fn(&[A], &mut [u32])) {
    lookup(addresses, values);
}

/// Looks up all addresses. The median of nanoseconds a lookup over parts that are short
/// enough to be seldom interrupted, and the sum of the answers.
fn pass<A>(addresses: &[A], lookup: &dyn Fn(&[A], &mut [u32])) -> (f64, u64) {
    let mut values = [0; BURST];
    let mut sum = 0;
    let mut nanos: Vec<u128> = Vec::with_capacity(addresses.len() / PART);
    for part in addresses.chunks_exact(PART) {
        let start = Clock::now();
        for burst in part.chunks_exact(BURST) {
            measured(burst, &mut values, lookup);
            sum += values.iter().map(|&v| u64::from(v)).sum::<u64>();
        }
        nanos.push(start.elapsed().as_nanos());
    }
    nanos.sort_unstable();
    (nanos[nanos.len() / 2] as f64 / PART as f64, sum)
}

type Lookup<'a, A> = Box<dyn Fn(&[A], &mut [u32]) + 'a>;

/// One lookup after another, for tables that have no other way.
fn each<'a, A: Copy>(one: impl Fn(A) -> u32 + 'a) -> Lookup<'a, A> {
    Box::new(move |addresses, values| {
        for (&address, value) in addresses.iter().zip(values) {
            *value = one(address);
        }
    })
}

/// The tables in Rust.
struct Contenders<A>
where
    (A, u8): prefix_trie::Prefix + poptrie::Prefix,
{
    ringway: Table<A>,
    poptrie: Poptrie<(A, u8), u32>,
    prefix_trie: PrefixMap<(A, u8), u32>,
}

macro_rules! contenders {
    ($address:ty, $bits:expr) => {
        impl Contenders<$address> {
            fn new(routes: &[Route<$address>], only: Option<&str>) -> Self {
                let wanted = |name| only.is_none_or(|only| only.starts_with(name));
                let pairs = |name| {
                    let routes = if wanted(name) { routes } else { &[] };
                    routes
                        .iter()
                        .map(|&(prefix, len, value)| ((prefix, len), value))
                };
                Self {
                    ringway: filled(if wanted("ringway") { routes } else { &[] }),
                    poptrie: pairs("poptrie").collect(),
                    prefix_trie: pairs("prefix-trie").collect(),
                }
            }

            fn lookup(&self, contender: &str) -> Lookup<'_, $address> {
                match contender {
                    "ringway" => Box::new(|a, v| self.ringway.lookup_batch(a, v)),
                    "ringway-single" => each(|a| self.ringway.lookup(a)),
                    "poptrie" => each(|a| self.poptrie.lookup(a).copied().unwrap_or(0)),
                    "prefix-trie" => each(|a| {
                        self.prefix_trie
                            .get_lpm(&(a, $bits))
                            .map_or(0, |(_, &value)| value)
                    }),
                    other => panic!("no contender {other}"),
                }
            }
        }
    };
}

contenders!(u32, 32);
contenders!(u128, 128);

fn serve() {
    let (v4, v6) = (v4(V4_PREFIXES), v6(V6_PREFIXES));
    let four = Contenders::<u32>::new(&v4.routes, None);
    let six = Contenders::<u128>::new(&v6.routes, None);
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[family, pattern, contender] = &words[..] else {
            break;
        };
        let (nanos, sum) = match family {
            "v4" => twice(v4.pattern(pattern), &four.lookup(contender)),
            _ => twice(v6.pattern(pattern), &six.lookup(contender)),
        };
        println!("{nanos:.3} {sum}");
    }
}

/// One pass to warm the caches, one that counts.
fn twice<A>(addresses: &[A], lookup: &Lookup<'_, A>) -> (f64, u64) {
    pass(addresses, lookup);
    pass(addresses, lookup)
}

fn count(words: &[String]) {
    let [family, pattern, contender, rest @ ..] = words else {
        panic!("count FAMILY PATTERN CONTENDER [PREFIXES]");
    };
    let prefixes = rest.first().and_then(|n| n.parse().ok());
    let addresses = 1 << 14;
    if family == "v4" {
        let v4 = v4(prefixes.unwrap_or(V4_PREFIXES));
        let table = Contenders::<u32>::new(&v4.routes, Some(contender));
        pass(&v4.pattern(pattern)[..addresses], &table.lookup(contender));
    } else {
        let v6 = v6(prefixes.unwrap_or(V6_PREFIXES));
        let table = Contenders::<u128>::new(&v6.routes, Some(contender));
        pass(&v6.pattern(pattern)[..addresses], &table.lookup(contender));
    }
    eprintln!("{addresses} lookups");
}

fn dump(folder: &str) {
    let file =
        |name: &str| BufWriter::new(File::create(format!("{folder}/{name}")).expect("a new file"));
    let (v4, v6) = (v4(V4_PREFIXES), v6(V6_PREFIXES));
    let mut out = file("v4.routes");
    for (prefix, len, value) in &v4.routes {
        for word in [*prefix, u32::from(*len), *value] {
            out.write_all(&word.to_le_bytes()).expect("room");
        }
    }
    let mut out = file("v6.routes");
    for (prefix, len, value) in &v6.routes {
        out.write_all(&prefix.to_be_bytes()).expect("room");
        for word in [u32::from(*len), *value] {
            out.write_all(&word.to_le_bytes()).expect("room");
        }
    }
    for (name, addresses) in [("v4.uniform", &v4.uniform), ("v4.mix", &v4.mix)] {
        let mut out = file(name);
        for address in addresses {
            out.write_all(&address.to_le_bytes()).expect("room");
        }
    }
    for (name, addresses) in [("v6.uniform", &v6.uniform), ("v6.mix", &v6.mix)] {
        let mut out = file(name);
        for address in addresses {
            out.write_all(&address.to_be_bytes()).expect("room");
        }
    }
}

/// Inserts a second from empty to full, single changes a second on the full table, bytes.
fn updates() {
    println!("name,value,unit");
    let (v4, v6) = (v4(V4_PREFIXES), v6(V6_PREFIXES));
    updates_of("v4", &v4);
    updates_of("v6", &v6);
}

/// What BGP does most: routes change their next hop, go away, and come back. How many changes that
/// were, and the nanoseconds that 99 of 100 took at most.
fn churn<A: Address>(table: &mut Table<A>, routes: &[Route<A>]) -> (usize, u128) {
    let mut random = Random(8);
    let mut done = 0;
    let mut times = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES {
        let (prefix, len, value) = routes[random.below(routes.len())];
        let before = Clock::now();
        match random.below(2) {
            0 => {
                black_box(table.insert(prefix, len, value % 200 + 1));
                done += 1;
            }
            _ => {
                black_box(table.remove(prefix, len));
                black_box(table.insert(prefix, len, value));
                done += 2;
            }
        }
        times.push(before.elapsed().as_nanos());
    }
    times.sort_unstable();
    (done, times[CHANGES - CHANGES / 100])
}

/// Lookups of one thread while another one changes the table, and the changes meanwhile.
fn beside<A: Address>(name: &str, table: &mut Table<A>, routes: &[Route<A>], addresses: &[A]) {
    let epochs = Arc::new(Epochs::new(1));
    let reader = table.reader(&epochs);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (reader, epochs, done) = (&reader, &epochs, &done);
        let nanos = |done: &AtomicBool, least: usize| {
            let mut lane = epochs.lane().expect("there is one");
            lane.online();
            let lane = RefCell::new(lane);
            let lookup = |addresses: &[A], values: &mut [u32]| {
                reader.lookup_batch(addresses, values);
                lane.borrow_mut().quiescent();
            };
            let mut passes = Vec::new();
            while passes.len() < least || !done.load(Ordering::Relaxed) {
                passes.push(pass(addresses, &lookup).0);
            }
            passes.sort_by(f64::total_cmp);
            passes[passes.len() / 2]
        };
        let alone = nanos(&AtomicBool::new(true), 3);
        println!("table_{name}_lookup_alone,{alone:.2},ns");
        let looking = scope.spawn(move || nanos(done, 1));
        let start = cpu::nanos();
        let changes = churn(table, routes).0;
        let rate = changes as f64 * 1e9 / (cpu::nanos() - start) as f64;
        done.store(true, Ordering::Relaxed);
        let beside = looking.join().expect("it looks up");
        println!("table_{name}_lookup_beside_changes,{beside:.2},ns");
        println!("table_{name}_churn_beside_lookups,{rate:.0},changes/s");
    });
}

fn updates_of<A: Address>(name: &str, family: &Family<A>) {
    let routes = &family.routes[..];
    let rate = |what: &str, count: usize, start: u64| {
        let rate = count as f64 * 1e9 / (cpu::nanos() - start) as f64;
        println!("table_{name}_{what},{rate:.0},changes/s");
    };
    let start = cpu::nanos();
    let table = filled(routes);
    rate("fill_sorted", routes.len(), start);
    let bytes = table.bytes() as f64 / routes.len() as f64;
    println!("table_{name}_bytes_sorted,{bytes:.1},bytes/prefix");
    drop(table);

    let mut shuffled = routes.to_vec();
    Random(7).shuffle(&mut shuffled);
    let start = cpu::nanos();
    let mut table = filled(&shuffled);
    rate("fill_shuffled", routes.len(), start);
    let bytes = table.bytes() as f64 / routes.len() as f64;
    println!("table_{name}_bytes_shuffled,{bytes:.1},bytes/prefix");
    println!("table_{name}_bytes_total,{},bytes", table.bytes());

    let start = cpu::nanos();
    let (done, late) = churn(&mut table, &shuffled);
    rate("churn", done, start);
    println!("table_{name}_change_99th_percentile,{late},ns");
    let bytes = table.bytes() as f64 / routes.len() as f64;
    println!("table_{name}_bytes_churned,{bytes:.1},bytes/prefix");
    beside(name, &mut table, &shuffled, &family.uniform);
    let start = cpu::nanos();
    for &(prefix, len, _) in &shuffled {
        table.remove(prefix, len);
    }
    rate("empty_shuffled", routes.len(), start);
    assert!(table.is_empty());
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    match words.first().map(String::as_str) {
        Some("dump") => dump(&words[1]),
        Some("serve") => serve(),
        Some("count") => count(&words[1..]),
        Some("updates") | None => updates(),
        Some(other) => panic!("unknown word {other}"),
    }
}
