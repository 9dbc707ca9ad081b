//! The fast path on bursts of 64 frames of 64 bytes, as `name,value,unit` lines.
//!
//! Under `valgrind --tool=callgrind` instructions are counted best with
//! `--toggle-collect='*measured*'`; the frames counted are printed on stderr. An argument
//! picks one case by its name.

use std::hint::black_box;
use std::net::Ipv6Addr;
use std::time::Instant as Clock;

use router::{BURST, Config, FrameMeta, HEADER_LEN, Header, Instant, InterfaceId, Router, Verdict};

/// Burst of different destinations that are cycled through.
const SETS: usize = 64;

fn config(routes: usize) -> Config {
    let mut text = String::from(
        "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n\
         [interface.lan]\nvif = 1\naddress = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n",
    );
    for gateway in 0..16 {
        for address in [
            format!("10.0.1.{}", gateway + 100),
            format!("2001:db8:1::{gateway:x}00"),
        ] {
            text += &format!(
                "[[neighbor]]\ninterface = \"lan\"\naddress = \"{address}\"\nmac = \"02:00:00:00:01:{gateway:02x}\"\n"
            );
        }
    }
    for i in 0..routes {
        let [_, b, c, d] = prefix(i).to_be_bytes();
        let [a, ..] = prefix(i).to_be_bytes();
        let len = if routes == 1 { 0 } else { 24 };
        let (a, b, c, d) = if routes == 1 {
            (0, 0, 0, 0)
        } else {
            (a, b, c, d)
        };
        text += &format!(
            "[[route]]\nprefix = \"{a}.{b}.{c}.{d}/{len}\"\nvia = [\"10.0.1.{}\"]\n",
            i % 16 + 100
        );
        let (first, len) = if routes == 1 {
            (0, 0)
        } else {
            (prefix6(i), 48)
        };
        text += &format!(
            "[[route]]\nprefix = \"{}/{len}\"\nvia = [\"2001:db8:1::{:x}00\"]\n",
            Ipv6Addr::from_bits(first),
            i % 16
        );
    }
    config::from_toml(&text).expect("the benchmark's configuration")
}

/// The prefixes, spread over the address space like those of many origins.
fn prefix(i: usize) -> u32 {
    let i = i as u32;
    (20 + i % 100) << 24
        | (i.wrapping_mul(0x9e37_79b1) >> 24 & 0xff) << 16
        | ((i / 100) & 0xff) << 8
}

/// The same for IPv6: /48 of many /32.
fn prefix6(i: usize) -> u128 {
    0x2a00 << 112 | u128::from(prefix(i)) << 80
}

fn frame6(destination: u128) -> [u8; HEADER_LEN] {
    let mut f = [0u8; HEADER_LEN];
    f[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xa0]);
    f[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
    f[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    f[18..22].copy_from_slice(&[0, 10, 17, 64]);
    f[22..38].copy_from_slice(&(0x2001_0db8_u128 << 96 | 9).to_be_bytes());
    f[38..54].copy_from_slice(&destination.to_be_bytes());
    f
}

fn frame(destination: u32) -> [u8; HEADER_LEN] {
    let mut f = [0u8; HEADER_LEN];
    f[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xa0]);
    f[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
    f[12..14].copy_from_slice(&[8, 0]);
    f[14] = 0x45;
    f[16..18].copy_from_slice(&50u16.to_be_bytes());
    f[22] = 64;
    f[23] = 17;
    f[26..30].copy_from_slice(&[10, 0, 0, 9]);
    f[30..34].copy_from_slice(&destination.to_be_bytes());
    let sum: u32 = f[14..34]
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    f[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    f
}

#[inline(never)]
fn measured(
    router: &mut Router,
    headers: &mut [Header],
    metas: &[FrameMeta],
    verdicts: &mut [Verdict],
) {
    router.process(Instant(0), InterfaceId(0), headers, metas, verdicts);
}

fn run(name: &str, router: &mut Router, frame: &dyn Fn(usize) -> [u8; HEADER_LEN], rounds: usize) {
    let sets: Vec<[Header; BURST]> = (0..SETS)
        .map(|s| std::array::from_fn(|i| Header(frame(s * BURST + i))))
        .collect();
    let metas = [FrameMeta::plain(HEADER_LEN); BURST];
    let mut verdicts = [Verdict::Drop; BURST];
    let mut nanos = 0;
    for round in 0..rounds {
        let mut headers = sets[round % SETS];
        let start = Clock::now();
        measured(
            router,
            black_box(&mut headers),
            black_box(&metas),
            black_box(&mut verdicts),
        );
        nanos += start.elapsed().as_nanos();
        assert!(
            verdicts
                .iter()
                .all(|&v| v == Verdict::Forward(InterfaceId(1))),
            "{verdicts:?}"
        );
    }
    let frames = rounds * BURST;
    eprintln!("{name}: {frames} frames");
    println!("{name},{:.2},ns/frame", nanos as f64 / frames as f64);
}

fn main() {
    // Cargo passes --bench.
    let only: Option<String> = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok())
        .unwrap_or(20_000);
    println!("name,value,unit");
    for routes in [0, 1, 1_000, 10_000] {
        let names = [
            format!("forward_{routes}_routes"),
            format!("forward6_{routes}_routes"),
        ];
        let wanted = |name: &&String| only.as_ref().is_none_or(|o| o == *name);
        if !names.iter().any(|n| wanted(&n)) {
            continue;
        }
        let mut router = Router::new(&config(routes), 1, Instant(0));
        router.link_up(Instant(0), InterfaceId(0), [2, 0, 0, 0, 0, 0xa0], 1500);
        router.link_up(Instant(0), InterfaceId(1), [2, 0, 0, 0, 0, 0xa1], 1500);
        let spread = |i: usize| i.wrapping_mul(2_654_435_761) % routes.max(1);
        let four = |i: usize| {
            frame(match routes {
                0 => 0x0a00_0164 + (i % 16) as u32,
                _ => prefix(spread(i)) | 7,
            })
        };
        let six = |i: usize| {
            frame6(match routes {
                0 => 0x2001_0db8_0001_u128 << 80 | (i as u128 % 16) << 8,
                _ => prefix6(spread(i)) | 7,
            })
        };
        let cases: [&dyn Fn(usize) -> [u8; HEADER_LEN]; 2] = [&four, &six];
        for (name, frame) in names.iter().zip(cases).filter(|(name, _)| wanted(name)) {
            run(name, &mut router, frame, rounds);
        }
    }
}
