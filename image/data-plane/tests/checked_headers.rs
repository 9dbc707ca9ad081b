//! What was checked is what leaves: a backend that rewrites its pages between every two accesses of
//! the router changes nothing in headers of frames for another domain.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use netif::Features;
use netif::fakes::{Delivery, Sent};
use netif::messages::{Extra, RxFlags};
use xen_hal::fake;
use xen_hal::{DomId, GrantRef, PAGE_SIZE};

use sim::{MS, Machine, Sim, VifPlan, fill_checksum, host, large, mac, tcp, udp};

/// The domain that rewrites, and one that trusts the router.
const EVIL: u16 = 0;
const OTHER: u16 = 7;
/// Bytes of a frame that the router has a private copy of.
const CHECKED: usize = 64;
const FORGED: [u8; 6] = [0x66; 6];
const MTU: u16 = 9000;
const TAG: [u8; 4] = [0x81, 0, 0, 100];

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

/// Accesses by which the first bytes of a frame are copied.
fn first_accesses(frame: &[u8], how: &Delivery) -> usize {
    // Those of a frame that starts at the start of its only page are, in another way.
    let plain = frame.len() <= how.fragment && how.offset == 0 && how.extras.is_empty();
    let first = frame.len().min(CHECKED).div_ceil(how.fragment);
    if plain { 0 } else { first }
}

/// From now on, all packet pages of the evil domain are rewritten before each access, from `offset`
/// on, where its frames begin. What it delivers is only what the router copies first: as many
/// accesses are let through.
fn rewrite_pages(sim: &Sim, forgery: Forgery, offset: usize, first: usize) {
    let (hal, rings) = (sim.hal, sim.rings.clone());
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
        case(
            "jumbo",
            udp(0, 1, tagged, &payload[..8000]),
            Delivery::default(),
        ),
        case(
            "jumbo, blank checksum",
            tcp(0, 1, tagged, &payload[..8000]),
            Delivery {
                flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
                ..Delivery::default()
            },
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
    if bytes[12..16] == TAG {
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

/// Delivers frames to a queue of the evil domain's vif, rewrites pages from then on, and returns
/// what leaves for the other domain.
fn attack(
    sim: &mut Sim,
    queue: usize,
    frames: &[(&[u8], &Delivery)],
    forgery: Forgery,
) -> Vec<Sent> {
    let mut first = 0;
    for (frame, how) in frames {
        assert!(sim.deliver_as(0, queue, frame, how));
        first += first_accesses(frame, how);
    }
    rewrite_pages(sim, forgery, frames[0].1.offset, first);
    let mut sent = Vec::new();
    for _ in 0..40 {
        sim.now += MS;
        sim.turn();
        // The other domain's backend is honest, and nobody else reads its pages.
        sent.extend(sim.complete(1, usize::MAX));
    }
    fake::on_access(None);
    sent
}

/// Sends every case through a router whose second vif has these `features`, by way of another CPU
/// if there are two, while pages are rewritten.
fn forward_all(features: Features, tagged: bool, workers: usize, input: usize) {
    for (kind, forgery) in FORGERIES.into_iter().enumerate() {
        for case in cases(tagged) {
            let evil = VifPlan {
                domain: EVIL,
                mtu: MTU,
                ..VifPlan::default()
            };
            let other = VifPlan {
                domain: OTHER,
                features,
                queues: 1,
                tagged,
                mtu: MTU,
            };
            // Few pages, since all are rewritten again and again.
            let machine = Machine {
                workers,
                pages: 432 * workers,
            };
            let mut sim = Sim::new(machine, &[evil, other]);
            let sent = attack(&mut sim, input, &[(&case.frame, &case.how)], forgery);
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
        rewrite_pages(&sim, forgery, 0, 0);
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
        let sent = attack(&mut sim, 0, &[(&case.frame, &case.how)], forgery);
        judge(&case, &sent, case.name);
    }
}

/// A router between the evil domain and the other, which takes large frames or not.
fn between(features: Features) -> Sim {
    let evil = VifPlan {
        domain: EVIL,
        tagged: true,
        mtu: MTU,
        ..VifPlan::default()
    };
    let other = VifPlan {
        domain: OTHER,
        features,
        tagged: true,
        ..VifPlan::default()
    };
    let machine = Machine {
        workers: 1,
        pages: 432,
    };
    Sim::new(machine, &[evil, other])
}

#[test]
fn frames_whose_tags_are_taken_off() {
    for forgery in FORGERIES {
        for case in cases(false) {
            let mut tagged = case.frame.clone();
            tagged.splice(12..12, TAG);
            // What is behind the checked bytes comes into reach, and is read once.
            for features in [Features::all(), Features::SG] {
                let mut sim = between(features);
                let how = Delivery {
                    fragment: case.how.fragment.max(CHECKED + TAG.len()),
                    ..case.how.clone()
                };
                if case.frame.len() > 1514 && how.extras.is_empty() {
                    continue;
                }
                let sent = attack(&mut sim, 0, &[(&tagged, &how)], forgery);
                judge(&case, &sent, case.name);
            }
        }
    }
}

#[test]
fn frames_that_wait_behind_segments() {
    let payload: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
    for forgery in FORGERIES {
        for tagged in [false, true] {
            let cut = Case {
                name: "in segments",
                frame: tcp(0, 1, tagged, &payload),
                how: large(200),
            };
            let behind = Case {
                name: "behind them",
                frame: udp(0, 1, tagged, &payload[..1000]),
                how: Delivery::default(),
            };
            let mut sim = between(Features::SG);
            let frames = [&cut, &behind].map(|case| (&case.frame[..], &case.how));
            let sent = attack(&mut sim, 0, &frames, forgery);
            let (last, segments) = sent.split_last().expect("frames");
            assert_eq!(segments.len(), 100);
            judge(&cut, segments, cut.name);
            judge(&behind, core::slice::from_ref(last), behind.name);
        }
    }
}

#[test]
fn frames_with_a_hash() {
    let hashed = Delivery {
        extras: vec![Extra::Hash {
            kind: 1,
            algorithm: 1,
            value: 7,
        }],
        ..Delivery::default()
    };
    for forgery in FORGERIES {
        let mut sim = between(Features::all());
        let case = Case {
            name: "with a hash",
            frame: udp(0, 1, false, &[3; 1000]),
            how: Delivery::default(),
        };
        // From the second one on they are received in their own way, which copies as it does
        // for plain ones.
        assert!(sim.deliver_as(0, 0, &case.frame, &hashed));
        sim.turn();
        assert_eq!(sim.complete(1, usize::MAX).len(), 1);
        assert!(sim.deliver_as(0, 0, &case.frame, &hashed));
        let sent = attack(&mut sim, 0, &[(&case.frame, &case.how)], forgery);
        assert_eq!(sent.len(), 2);
        for sent in &sent {
            judge(&case, core::slice::from_ref(sent), case.name);
        }
    }
}

/// A frame whose IP header has options that do nothing.
fn with_options(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(34..34, [1, 1, 1, 0]);
    frame[14] = 0x46;
    let len = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    fill_checksum(&mut frame);
    frame
}

/// Asserts that the headers of what left for vif 1 by way of the slow path are those of `frame`. It
/// is for the host with this MAC address.
fn judge_detoured(frame: &[u8], to: [u8; 6], sent: &[Sent], what: &str) {
    let packets: Vec<_> = sent.iter().map(untagged).collect();
    let packets = packets.iter().filter(|bytes| bytes[12..14] == [8, 0]);
    let ip = 14 + usize::from(frame[14] & 0xf) * 4;
    let transport = if frame[23] == 6 { 20 } else { 8 };
    let mut payload = 0;
    for bytes in packets {
        let what = format!("{what}: {bytes:02x?}");
        assert_eq!(bytes[..12], *[to, mac(1)].as_flattened(), "{what}");
        assert_eq!(bytes[14..16], frame[14..16], "{what}");
        let len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        assert_eq!(14 + len, bytes.len(), "{what}");
        assert_eq!(bytes[22..24], [63, frame[23]], "{what}");
        assert_eq!(bytes[26..ip], frame[26..ip], "{what}");
        assert_eq!(sum(&bytes[14..ip]), 0xffff, "{what}");
        let first = bytes[20] & 0x1f == 0 && bytes[21] == 0;
        if first {
            assert_eq!(bytes[ip..ip + 4], frame[ip..ip + 4], "{what}");
            payload += bytes.len() - ip - transport;
        } else {
            payload += bytes.len() - ip;
        }
    }
    assert_eq!(payload, frame.len() - ip - transport, "{what}");
}

#[test]
fn frames_that_take_the_slow_path() {
    let payload: Vec<u8> = (0..8000u32).map(|at| (at % 251) as u8).collect();
    let mut fragmented = udp(0, 1, false, &payload);
    fragmented[20] = 0;
    fill_checksum(&mut fragmented);
    let blank = Delivery {
        flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
        ..Delivery::default()
    };
    let options = |frame| with_options(frame);
    let udp = |tagged| udp(0, 1, tagged, &payload[..1000]);
    let tcp = |tagged, len| tcp(0, 1, tagged, &payload[..len]);
    let plain = Delivery::default();
    let cases = [
        ("options", options(udp(false)), plain.clone()),
        ("options, to a tag", options(udp(true)), plain.clone()),
        ("options, blank", options(tcp(false, 1000)), blank.clone()),
        ("options, blank, to a tag", options(tcp(true, 1000)), blank),
        ("options, large", options(tcp(false, 8000)), large(1000)),
        ("in fragments", fragmented, plain),
    ];
    for (kind, forgery) in FORGERIES.into_iter().enumerate() {
        for features in [Features::all(), Features::SG] {
            for (name, frame, how) in &cases {
                let mut sim = between(features);
                let sent = attack(&mut sim, 0, &[(frame, how)], forgery);
                let what = format!("{name}, forgery {kind}, {features:?}");
                judge_detoured(frame, host(1), &sent, &what);
            }
        }
    }
}

#[test]
fn frames_that_wait_for_a_neighbor() {
    const HOST: [u8; 6] = [2, 0, 0, 0, 1, 77];
    for forgery in FORGERIES {
        let mut frame = udp(0, 1, false, &[3; 1000]);
        frame[33] = 77;
        fill_checksum(&mut frame);
        let mut sim = between(Features::all());
        let how = Delivery::default();
        let asked = attack(&mut sim, 0, &[(&frame, &how)], forgery);
        assert!(asked.iter().any(|sent| sent.bytes[12..14] == [8, 6]));
        let mut reply = [mac(1), HOST].as_flattened().to_vec();
        reply.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        reply.extend(HOST);
        reply.extend([10, 0, 1, 77]);
        reply.extend(mac(1));
        reply.extend([10, 0, 1, 1]);
        assert!(sim.deliver(1, 0, &reply));
        rewrite_pages(&sim, forgery, 0, 0);
        sim.turn();
        fake::on_access(None);
        let sent = sim.complete(1, usize::MAX);
        judge_detoured(&frame, HOST, &sent, "resolved");
    }
}
