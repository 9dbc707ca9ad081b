//! What was checked is what leaves: a backend that rewrites its pages between every two accesses of
//! the router changes nothing in headers of frames for another domain.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use netif::Features;
use netif::fakes::{Delivery, Sent};
use netif::messages::RxFlags;
use xen_hal::fake::{self, FakeHal};
use xen_hal::{DomId, GrantRef, PAGE_SIZE};

use sim::{MS, Machine, Sim, VifPlan, fill_checksum, host, large, mac, tcp, udp};

/// The domain that rewrites, and one that trusts the router.
const EVIL: u16 = 0;
const OTHER: u16 = 7;
/// Bytes of a frame that the router has a private copy of.
const CHECKED: usize = 64;
const FORGED: [u8; 6] = [0x66; 6];

/// What a page begins with after it was rewritten.
type Forgery = fn(&mut [u8; CHECKED], u64);

const FORGERIES: [Forgery; 4] = [
    // Addresses and TTL of the sender's choice.
    |bytes, _| {
        bytes[..6].copy_from_slice(&FORGED);
        bytes[6..12].copy_from_slice(&FORGED);
        bytes[22] = 255;
        bytes[26..34].copy_from_slice(&[0x66; 8]);
    },
    // Lengths of all headers, and another protocol.
    |bytes, count| {
        bytes[12] ^= (count as u8) & 0x86;
        bytes[14] = 0x40 | (count as u8 & 0xf);
        bytes[16..18].copy_from_slice(&(count as u16).to_be_bytes());
        bytes[23] = if count & 1 == 0 { 6 } else { 17 };
        bytes[46] = (count as u8) << 4;
    },
    // Fragments, and an IPv6 packet.
    |bytes, count| {
        bytes[20..22].copy_from_slice(&(count as u16).to_be_bytes());
        bytes[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        bytes[20] = [0, 43, 44, 60][count as usize & 3];
    },
    // Anything.
    |bytes, count| {
        let mut state = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
    },
];

/// From now on, all packet pages of the evil domain are rewritten before each access, from where its
/// frames begin. What it delivers is only what the router copies first: that is let through.
fn rewrite_pages(hal: FakeHal, rings: Vec<GrantRef>, forgery: Forgery, how: &Delivery) {
    let offset = how.offset;
    // A frame that starts at the start of its only page is copied without such an access.
    let plain = how.fragment == PAGE_SIZE && offset == 0 && how.extras.is_empty();
    let first = if plain {
        0
    } else {
        CHECKED.div_ceil(how.fragment)
    };
    let grefs: Vec<_> = (0..hal.grants_ever() as u32 + 64)
        .map(GrantRef)
        .filter(|gref| hal.grant_of(*gref).is_some_and(|it| it.peer == DomId(EVIL)))
        .filter(|gref| !rings.contains(gref))
        .collect();
    let mut count = 0;
    fake::on_access(Some(Box::new(move || {
        count += 1;
        if count <= first as u64 {
            return;
        }
        for &gref in &grefs {
            let Some(page) = hal.peer_page(DomId(EVIL), gref) else {
                continue;
            };
            let mut bytes = [0; CHECKED];
            page.get().read(offset, &mut bytes);
            forgery(&mut bytes, count);
            page.get_mut().write(offset, &bytes);
        }
    })));
}

/// How frames are delivered, and which.
struct Case {
    name: &'static str,
    frame: Vec<u8>,
    how: Delivery,
}

fn cases(tagged: bool) -> Vec<Case> {
    let payload: Vec<u8> = (0..60_000u32).map(|at| (at % 251) as u8).collect();
    let blank = Delivery {
        flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
        ..Delivery::default()
    };
    let in_parts = |fragment| Delivery {
        fragment,
        ..Delivery::default()
    };
    let case = |name, frame, how| Case { name, frame, how };
    vec![
        case(
            "small",
            udp(0, 1, tagged, &payload[..18]),
            Delivery::default(),
        ),
        case(
            "shorter than is checked",
            udp(0, 1, tagged, &[]),
            Delivery::default(),
        ),
        case(
            "long",
            udp(0, 1, tagged, &payload[..1400]),
            Delivery::default(),
        ),
        case("blank checksum", tcp(0, 1, tagged, &payload[..1400]), blank),
        case(
            "several slots",
            udp(0, 1, tagged, &payload[..1400]),
            in_parts(200),
        ),
        case(
            "tiny slots",
            udp(0, 1, tagged, &payload[..100]),
            in_parts(12),
        ),
        case("large", tcp(0, 1, tagged, &payload), large(1400)),
        case(
            "large in small segments",
            tcp(0, 1, tagged, &payload[..20_000]),
            large(100),
        ),
    ]
}

/// The frame without tags.
fn untagged(sent: &Sent) -> Vec<u8> {
    let mut bytes = sent.bytes.clone();
    if bytes[12..14] == [0x81, 0] {
        assert_eq!(bytes[14..16], [0, 100]);
        bytes.drain(12..16);
    }
    bytes
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    (sum & 0xffff) + (sum >> 16)
}

/// Asserts that the headers of what left are those of `frame`, which came from vif 0, on their way
/// to the host behind vif 1.
fn judge(case: &Case, sent: &[Sent], what: &str) {
    let frame = &case.frame;
    let segments = sent.len() > 1;
    let mut total = 0;
    assert!(!sent.is_empty(), "{what}: nothing left");
    for (at, one) in sent.iter().enumerate() {
        let bytes = untagged(one);
        let what = format!("{what}, frame {at} of {}: {bytes:02x?}", sent.len());
        assert_eq!(bytes[..12], *[host(1), mac(1)].as_flattened(), "{what}");
        // EtherType, version and length of IP's header, type of service.
        assert_eq!(bytes[12..16], frame[12..16], "{what}");
        let len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        assert_eq!(14 + len, bytes.len(), "{what}");
        // Not a fragment, TTL, protocol, addresses.
        assert_eq!(bytes[20..24], [0x40, 0, 63, frame[23]], "{what}");
        assert_eq!(bytes[26..34], frame[26..34], "{what}");
        assert_eq!(sum(&bytes[14..34]), 0xffff, "{what}");
        // Ports, and TCP's header but for what differs in segments.
        assert_eq!(bytes[34..38], frame[34..38], "{what}");
        if frame[23] == 6 {
            assert_eq!(
                (bytes[46], bytes[48..50].to_vec()),
                (frame[46], frame[48..50].to_vec())
            );
            let sequence = u32::from_be_bytes(bytes[38..42].try_into().expect("four bytes"));
            assert_eq!(sequence, 1 + total as u32, "{what}");
            total += bytes.len() - 54;
        }
        if !segments && one.gso.is_none() && one.checksum.is_empty() {
            let checked = bytes.len().min(CHECKED);
            assert_eq!(bytes[34..checked], frame[34..checked], "{what}");
        }
    }
    if frame[23] == 6 {
        assert_eq!(total, frame.len() - 54, "{what}");
    } else {
        assert_eq!(sent.len(), 1, "{what}");
    }
}

/// Sends every case through a router whose second vif has these `features`, by way of another CPU
/// if there are two, while pages are rewritten.
fn forward_all(features: Features, tagged: bool, workers: usize, input: usize) {
    for (kind, forgery) in FORGERIES.into_iter().enumerate() {
        for case in cases(tagged) {
            let evil = VifPlan {
                domain: EVIL,
                ..VifPlan::default()
            };
            let other = VifPlan {
                domain: OTHER,
                features,
                queues: 1,
                tagged,
            };
            // Few pages, since all are rewritten again and again.
            let machine = Machine {
                workers,
                pages: 432 * workers,
            };
            let mut sim = Sim::new(machine, &[evil, other]);
            let delivered = sim.deliver_as(0, input, &case.frame, &case.how);
            assert!(delivered, "{}", case.name);
            rewrite_pages(sim.hal, sim.rings.clone(), forgery, &case.how);
            let mut sent = Vec::new();
            for _ in 0..40 {
                sim.now += MS;
                sim.turn();
                // The other domain's backend is honest, and nobody else reads its pages.
                sent.extend(sim.complete(1, usize::MAX));
            }
            fake::on_access(None);
            let what = format!(
                "{}, forgery {kind}, {features:?}, tagged: {tagged}, CPUs: {workers}",
                case.name
            );
            judge(&case, &sent, &what);
        }
    }
}

fn features() -> [Features; 4] {
    let base = Features::RX_COPY | Features::RX_NOTIFY;
    [
        Features::all(),
        base | Features::SG,
        base | Features::SG | Features::CSUM_IPV4,
        Features::all() - Features::CSUM_IPV4,
    ]
}

#[test]
fn copies_for_another_domain_have_the_headers_that_were_checked() {
    for features in features() {
        forward_all(features, false, 1, 0);
    }
}

#[test]
fn with_tags_too() {
    forward_all(Features::all(), true, 1, 0);
    forward_all(Features::RX_COPY | Features::SG, true, 1, 0);
}

#[test]
fn by_another_cpu_too() {
    for features in features() {
        forward_all(features, false, 2, 1);
    }
    forward_all(Features::all(), true, 2, 1);
}

#[test]
fn what_the_router_answers_quotes_what_was_checked() {
    for forgery in FORGERIES {
        let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
        let mut frame = udp(0, 1, false, &[7; 100]);
        frame[22] = 1;
        fill_checksum(&mut frame);
        assert!(sim.deliver(0, 0, &frame));
        // Until the answer is there, which the same domain could change as it likes.
        rewrite_pages(sim.hal, sim.rings.clone(), forgery, &Delivery::default());
        let worker = &mut sim.workers[0];
        let _ = worker.turn(sim.router.tables(), sim.now);
        fake::on_access(None);
        sim.wake_all();
        let sent = sim.complete(0, usize::MAX);
        assert_eq!(sent.len(), 1);
        // Time exceeded (11), with the packet from byte 8 on.
        assert_eq!(sent[0].bytes[34], 11);
        assert_eq!(sent[0].bytes[42..42 + CHECKED - 14], frame[14..CHECKED]);
    }
}

#[test]
fn frames_that_do_not_start_at_the_start_of_their_page() {
    for forgery in FORGERIES {
        let evil = VifPlan::default();
        let other = VifPlan {
            domain: OTHER,
            ..VifPlan::default()
        };
        let mut sim = Sim::new(Machine::default(), &[evil, other]);
        let case = Case {
            name: "with an offset",
            frame: udp(0, 1, false, &[3; 1000]),
            how: Delivery {
                offset: PAGE_SIZE - 2000,
                ..Delivery::default()
            },
        };
        assert!(sim.deliver_as(0, 0, &case.frame, &case.how));
        rewrite_pages(sim.hal, sim.rings.clone(), forgery, &case.how);
        sim.turn();
        let sent = sim.complete(1, usize::MAX);
        fake::on_access(None);
        judge(&case, &sent, case.name);
    }
}
