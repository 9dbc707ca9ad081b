//! What a router with many routes takes of the guest's heap, as `name,value,unit` lines.
//!
//! The routes are read from a ramdisk as the guest reads them, and everything that the router
//! allocates comes from a heap like the guest's: first-fit, grown at its end in the same steps.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use guest_heap::{GuestHeap, inside};
use router::{Egress, FrameMeta, Instant, InterfaceId, NoRoom, Router};

#[expect(dead_code, reason = "addresses to look up are for another benchmark")]
mod internet;

#[global_allocator]
static HEAP: GuestHeap = GuestHeap::new(256 << 20);

const CONFIG: &str = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/16\", \"2001:db8::1/64\"]\n\
                      [interface.lan]\nvif = 1\naddress = [\"10.1.0.1/24\"]\n\
                      [[route_file]]\npath = \"routes\"\n";

/// A file with this many routes of each family, in order of their prefixes or in none.
fn file(four: usize, six: usize, shuffled: bool) -> String {
    let mut lines = Vec::with_capacity(four + six);
    for (prefix, len, hop) in internet::v4(four, 4) {
        let prefix = Ipv4Addr::from_bits(prefix);
        lines.push(format!(
            "{prefix}/{len} 10.0.{}.{}\n",
            1 + hop / 250,
            hop % 250
        ));
    }
    for (prefix, len, hop) in internet::v6(six, 6) {
        let prefix = Ipv6Addr::from_bits(prefix);
        lines.push(format!("{prefix}/{len} 2001:db8::1:{hop:x}\n"));
    }
    if shuffled {
        internet::Random(9).shuffle(&mut lines);
    }
    lines.concat()
}

/// A tar archive of files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, data) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..262].copy_from_slice(b"ustar");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(data.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive
}

/// A link that takes nothing.
struct Nowhere;

impl Egress for Nowhere {
    fn room(&self, _: InterfaceId) -> usize {
        0
    }

    fn send(&mut self, _: InterfaceId, _: &[u8], _: FrameMeta) -> Result<(), NoRoom> {
        Err(NoRoom)
    }
}

fn measure(name: &str, four: usize, six: usize, shuffled: bool) {
    let ramdisk = archive(&[
        ("ringway.toml", CONFIG),
        ("routes", &file(four, six, shuffled)),
    ]);
    let mut out = String::with_capacity(1 << 16);
    let _ = writeln!(out, "memory_{name}_ramdisk,{},bytes", ramdisk.len());
    let clock = std::time::Instant::now();
    let mut report = |what: &str, value: u128, unit: &str| {
        // There is room: nothing of this comes from the measured heap.
        let _ = writeln!(out, "memory_{name}_{what},{value},{unit}");
    };
    HEAP.renew();
    let (config, mut router) = inside(|| {
        let config = config::from_ramdisk(&ramdisk).expect("it is good");
        let mut router = Router::new(&config, 1, Instant(0));
        router.read_route_files(&ramdisk).expect("they are good");
        (config, router)
    });
    let read = clock.elapsed();
    let before = std::time::Instant::now();
    inside(|| {
        for at in 0..2 {
            router.link_up(Instant(0), InterfaceId(at), [2, 0, 0, 0, 0, at], 1500);
        }
    });
    let shown = before.elapsed() / 2;
    let (used, size) = (HEAP.used(), HEAP.size());
    drop(config);
    assert_eq!(router.route_counts(), (four, six));
    // All gateways are on the first link, so that no other has lanes wait longer.
    let mut timed = |change: &mut dyn FnMut(&mut Router)| {
        let before = std::time::Instant::now();
        change(&mut router);
        before.elapsed()
    };
    let down = timed(&mut |router| router.link_down(InterfaceId(0)));
    let up = timed(&mut |router| router.link_up(Instant(0), InterfaceId(0), [2; 6], 1500));
    report("used", used as u128, "bytes");
    report("heap", size as u128, "bytes");
    report("read", read.as_millis(), "ms");
    report("link_change", shown.as_micros(), "us");
    report("link_change_longest", down.max(up).as_micros(), "us");
    // Beside a lane a link change is done in parts, between which that lane has a turn.
    let mut view = router.new_view();
    let (mut longest, mut parts) = (Duration::ZERO, 0u32);
    for up in [false, true] {
        let mut part = |change: &mut dyn FnMut(&mut Router) -> bool| {
            let before = std::time::Instant::now();
            let more = change(&mut router);
            longest = longest.max(before.elapsed());
            parts += 1;
            assert!(view.tables().is_some());
            more
        };
        part(&mut |router| {
            match up {
                true => router.link_up(Instant(0), InterfaceId(0), [2; 6], 1500),
                false => router.link_down(InterfaceId(0)),
            }
            true
        });
        while part(&mut |router| router.poll(Instant(0), 16, &mut Nowhere).more) {}
    }
    report("link_change_parts", (parts / 2).into(), "parts");
    report("link_change_longest_part", longest.as_micros(), "us");
    print!("{out}");
}

fn main() {
    // Cargo passes --bench.
    let only: Option<String> = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    println!("name,value,unit");
    for (name, shuffled) in [("sorted", false), ("shuffled", true)] {
        for (four, six) in [(8130, 1870), (1_000_000, 230_000)] {
            let name = format!("{}_{name}", four + six);
            if only.as_ref().is_none_or(|only| *only == name) {
                measure(&name, four, six, shuffled);
            }
        }
    }
}
