//! Every combination of what backends can and what frames come: what arrives is what was sent.
//!
//! The packets are made and judged by code of this file alone.

mod packets;

use data_plane::egress::{self, Output, Refused, Segmenter};
use netfront_rs::Queue;
use netif::Features;
use netif::fakes::{Backend, Delivery, Sent};
use netif::messages::{Extra, RxFlags};
use netif::{Checksum, Gso, GsoKind};
use page_pool::Account;
use page_pool::{Frame, HomeId, PagePool};
use xen_hal::fake::FakeHal;
use xen_hal::{DomId, PAGE_SIZE};

use packets::{Kind, Packet, Transport, judge};

const OFFLOADS: [Features; 5] = [
    Features::SG,
    Features::GSO_TCPV4,
    Features::GSO_TCPV6,
    Features::CSUM_IPV4,
    Features::CSUM_IPV6,
];

/// A vif with its backend.
struct Vif {
    queue: Queue<FakeHal>,
    back: Backend,
    copies: HomeId,
    segments: HomeId,
}

impl Vif {
    fn new(pool: &mut PagePool<FakeHal>, number: u8, pages: usize, features: Features) -> Self {
        let home = HomeId::vif(number).expect("few vifs");
        let copies = HomeId::copies(number).expect("few vifs");
        let segments = HomeId::segments(number).expect("few vifs");
        for (home, pages) in [
            (home, pages / 2),
            (copies, pages / 4),
            (segments, pages / 4),
        ] {
            pool.add_home(home, pages).expect("pages");
        }
        let (mut queue, info) = Queue::new(pool, home, features).expect("a queue");
        queue.refill(pool);
        queue.publish();
        let back = Backend::connect(pool.hal(), pool.peer(), info);
        Self {
            queue,
            back,
            copies,
            segments,
        }
    }

    /// Where frames leave by it.
    fn output<'a>(&'a mut self, pool: &'a mut PagePool<FakeHal>) -> Output<'a, FakeHal> {
        Output {
            queue: &mut self.queue,
            pool,
            copies: self.copies,
            segments: self.segments,
        }
    }
}

/// The sides of a router: where frames come in and where they leave, with backends in the same
/// domain or in two.
struct Bed {
    input: PagePool<FakeHal>,
    /// The pool of the way out, if it is another.
    output: Option<PagePool<FakeHal>>,
    from: Vif,
    to: Vif,
}

impl Bed {
    fn new(features: Features, one_domain: bool, pages: usize) -> Self {
        let hal = FakeHal::new();
        let mut input = PagePool::new(hal, DomId(0));
        let from = Vif::new(&mut input, 0, 128, Features::all());
        let mut output = (!one_domain).then(|| PagePool::new(hal, DomId(7)));
        let to = Vif::new(output.as_mut().unwrap_or(&mut input), 1, pages, features);
        Self {
            input,
            output,
            from,
            to,
        }
    }

    /// Receives one packet.
    fn receive(&mut self, packet: &Packet, fragment: usize) -> Frame {
        let mut flags = RxFlags::empty();
        flags.set(RxFlags::CSUM_BLANK, packet.blank);
        flags.set(RxFlags::DATA_VALIDATED, packet.blank);
        let kind = match packet.kind {
            Kind::V4 => GsoKind::TcpV4,
            Kind::V6 => GsoKind::TcpV6,
        };
        let gso = packet.gso.map(|size| Extra::Gso(Gso { kind, size }));
        let how = Delivery {
            fragment,
            flags,
            extras: gso.into_iter().collect(),
            ..Delivery::default()
        };
        self.from.queue.refill(&mut self.input);
        self.from.queue.publish();
        assert!(self.from.back.deliver_as(&packet.bytes, &how));
        self.from.back.publish();
        let mut frames = Vec::new();
        let received = self
            .from
            .queue
            .receive(&mut self.input, 64, |frame, _, _| frames.push(frame));
        assert_eq!(received, Ok(1));
        frames.pop().expect("one frame")
    }

    /// Receives one packet with tags, which are taken off.
    fn receive_tagged(&mut self, packet: &Packet, fragment: usize, tags: &[u8]) -> Frame {
        let mut bytes = packet.bytes.clone();
        bytes.splice(12..12, tags.iter().copied());
        let tagged = Packet { bytes, ..*packet };
        let mut frame = self.receive(&tagged, fragment);
        assert!(self.input.trim_front(&mut frame, tags.len()));
        self.input.copy_in(&mut frame, 0, &packet.bytes[..12]);
        frame
    }

    fn send(&mut self, frame: Frame) -> (Vec<Sent>, bool) {
        self.send_tagged(frame, &[])
    }

    /// Sends the frame as a router does, and returns what the backend got; `false` if it or a
    /// part of it was lost.
    fn send_tagged(&mut self, frame: Frame, tags: &[u8]) -> (Vec<Sent>, bool) {
        let Self {
            input, output, to, ..
        } = self;
        let mut got = Vec::new();
        let header = input.header(&frame);
        let refused = match output {
            Some(pool) => match to.output(pool).send_copy(input, &frame, &header, tags) {
                Ok(()) => {
                    input.free(frame);
                    None
                }
                Err(refused) => Some((frame, refused)),
            },
            None => to.output(input).send(frame, &header, tags).err(),
        };
        let whole = match refused {
            None => true,
            Some((frame, Refused::Never | Refused::NoRoom)) => {
                input.free(frame);
                false
            }
            Some((frame, Refused::NeedsSegmentation)) => {
                let mut segmenter = Segmenter::new(input, frame, &header, tags).expect("TCP");
                let whole = loop {
                    let sent = match output {
                        Some(pool) => segmenter.send(&mut to.output(pool), Some(input), 20),
                        None => segmenter.send(&mut to.output(input), None, 20),
                    };
                    let sent = sent.unwrap_or(0);
                    assert!(sent <= 20);
                    if segmenter.is_done() || sent == 0 {
                        break segmenter.is_done();
                    }
                    got.extend(flush(to, output.as_mut().unwrap_or(input)));
                };
                assert_eq!(segmenter.remaining_bytes() == 0, whole);
                input.free(segmenter.into_frame());
                whole
            }
        };
        got.extend(flush(to, output.as_mut().unwrap_or(input)));
        (got, whole)
    }

    /// All pages are free or posted again.
    fn is_idle(&mut self) -> bool {
        self.from.queue.refill(&mut self.input);
        let all = [Some(&self.input), self.output.as_ref()];
        all.into_iter().flatten().all(|pool| {
            let Account { sending, held, .. } = pool.stats().sum();
            (sending, held) == (0, 0) && pool.stats().sum().total() == pool.stats().total
        })
    }
}

/// Lets the backend take what was sent.
fn flush(to: &mut Vif, pool: &mut PagePool<FakeHal>) -> Vec<Sent> {
    to.queue.publish();
    let sent = to.back.transmit();
    to.back.publish();
    to.queue.reap(pool).expect("an honest backend");
    sent
}

/// The features that are bits of `bits`.
fn features(bits: usize) -> Features {
    let base = Features::RX_COPY | Features::RX_NOTIFY;
    OFFLOADS
        .into_iter()
        .enumerate()
        .filter(|(at, _)| bits >> at & 1 != 0)
        .fold(base, |all, (_, one)| all | one)
}

/// Asserts that the backend was asked for nothing that it doesn't do.
fn assert_taken(sent: &Sent, features: Features, kind: Kind) {
    let (gso, csum) = match kind {
        Kind::V4 => (Features::GSO_TCPV4, Features::CSUM_IPV4),
        Kind::V6 => (Features::GSO_TCPV6, Features::CSUM_IPV6),
    };
    assert!(sent.ids.len() == 1 || features.contains(Features::SG));
    assert!(sent.gso.is_none() || features.contains(gso | Features::SG));
    assert!(!sent.checksum.contains(Checksum::BLANK) || features.contains(csum));
}

/// Frames of every kind: what they are, and the length of the slots that they come in.
fn kinds() -> Vec<(Packet, usize)> {
    let mut all = Vec::new();
    for kind in [Kind::V4, Kind::V6] {
        for blank in [false, true] {
            for len in [0, 1, 17, 1400] {
                for transport in [Transport::Tcp, Transport::Udp] {
                    all.push((Packet::new(kind, transport, len, blank, None), PAGE_SIZE));
                }
            }
            // Jumbo frames, and small ones in several slots.
            all.push((
                Packet::new(kind, Transport::Udp, 8000, blank, None),
                PAGE_SIZE,
            ));
            all.push((Packet::new(kind, Transport::Tcp, 1001, blank, None), 200));
            for (len, size) in [
                (2800, 1400),
                (2801, 1400),
                (30_000, 1399),
                (65_000, 1448),
                (65_000, 536),
                (65_000, 8948),
                (1000, 1448),
            ] {
                let packet = Packet::new(kind, Transport::Tcp, len, blank, Some(size));
                all.push((packet, PAGE_SIZE));
            }
            // In more slots than a backend must take.
            let packet = Packet::new(kind, Transport::Tcp, 64_900, blank, Some(1448));
            all.push((packet, 3450));
            // Longer than may be sent in one piece.
            let longest = 65_535 - packets::headers_len(kind, Transport::Tcp) + 14;
            let packet = Packet::new(kind, Transport::Tcp, longest, blank, Some(1448));
            all.push((packet, PAGE_SIZE));
        }
    }
    all
}

#[test]
fn all_that_can_arrive_arrives() {
    for bits in 0..1 << OFFLOADS.len() {
        let features = features(bits);
        for one_domain in [true, false] {
            let mut bed = Bed::new(features, one_domain, 256);
            for (packet, fragment) in kinds() {
                let what = format!("{features:?}, one domain: {one_domain}, {packet}");
                let frame = bed.receive(&packet, fragment);
                let (sent, whole) = bed.send(frame);
                for one in &sent {
                    assert_taken(one, features, packet.kind);
                }
                // Without scatter-gather what doesn't fit a page can't be sent: the router
                // doesn't know a larger MTU there.
                let piece = packet.gso.map_or(packet.bytes.len(), |size| {
                    packets::headers_len(packet.kind, Transport::Tcp) + usize::from(size)
                });
                let fits =
                    features.contains(Features::SG) || piece.min(packet.bytes.len()) <= PAGE_SIZE;
                assert_eq!(whole, fits, "{what}");
                if whole {
                    judge(&packet, &sent, &what);
                } else {
                    assert!(sent.is_empty(), "{what}");
                }
                assert!(bed.is_idle(), "{what}");
            }
        }
    }
}

#[test]
fn tagged_frames_arrive_without_anything_left_to_do() {
    let one = [0x81, 0, 0, 100];
    let two = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 100];
    let pairs: [(&[u8], &[u8]); 8] = [
        (&[], &one),
        (&[], &two),
        (&one, &[]),
        (&two, &[]),
        (&one, &one),
        (&two, &one),
        (&one, &two),
        (&two, &two),
    ];
    for features in [features(0), features(1), Features::all()] {
        for (one_domain, (came, go)) in [true, false]
            .into_iter()
            .flat_map(|o| pairs.map(|p| (o, p)))
        {
            let mut bed = Bed::new(features, one_domain, 256);
            for (packet, fragment) in kinds() {
                // The longest with tags are longer than a backend's packet.
                if packet.bytes.len() > 65_535 && !came.is_empty() {
                    continue;
                }
                let what = format!("{features:?}, {one_domain}, {came:?} to {go:?}, {packet}");
                let frame = bed.receive_tagged(&packet, fragment, came);
                let (mut sent, whole) = bed.send_tagged(frame, go);
                let piece = packet.gso.map_or(packet.bytes.len(), |size| {
                    packets::headers_len(packet.kind, Transport::Tcp) + usize::from(size)
                });
                let piece = piece.min(packet.bytes.len()) + go.len();
                let fits = features.contains(Features::SG) || piece <= PAGE_SIZE;
                assert_eq!(whole, fits, "{what}");
                for one in &mut sent {
                    assert_taken(one, features, packet.kind);
                    if !go.is_empty() {
                        assert!(!one.checksum.contains(Checksum::BLANK) && one.gso.is_none());
                        let tags: Vec<u8> = one.bytes.splice(12..12 + go.len(), []).collect();
                        assert_eq!(tags, go, "{what}");
                    }
                }
                if whole {
                    judge(&packet, &sent, &what);
                }
                assert!(bed.is_idle(), "{what}");
            }
        }
    }
}

#[test]
fn a_frame_that_finds_no_page_for_a_copy_is_as_it_was() {
    let tags: [&[u8]; 2] = [&[], &[0x81, 0, 0, 100]];
    for (bits, tags) in [(0, tags[0]), (1 << 3, tags[0]), (0, tags[1]), (1, tags[1])] {
        // Many slots, of which none needs to be moved for tags, and which all backends but those
        // with scatter-gather get in one.
        let kinds = [Kind::V4, Kind::V6].into_iter();
        for (kind, blank) in kinds.flat_map(|kind| [(kind, false), (kind, true)]) {
            let mut bed = Bed::new(features(bits), true, 64);
            let packet = Packet::new(kind, Transport::Tcp, 2001, blank, None);
            let mut frame = bed.receive(&packet, if bits == 1 { 111 } else { 200 });
            let header = bed.input.header(&frame);
            let homes = [bed.to.copies, bed.to.segments];
            let pool = &mut bed.input;
            let taken = homes.map(|home| {
                let pages = core::iter::from_fn(|| pool.alloc(home, 1));
                pages.collect::<Vec<_>>()
            });
            for _ in 0..2 {
                let sent = bed.to.output(&mut bed.input).send(frame, &header, tags);
                let (unsent, why) = sent.expect_err("no page for a copy");
                assert_eq!(why, Refused::NoRoom, "{packet}");
                frame = unsent;
                assert_eq!(frame.len(), packet.bytes.len());
                let mut bytes = vec![0; frame.len()];
                bed.input.copy_out(&frame, 0, &mut bytes);
                assert_eq!(bytes, packet.bytes, "{packet}");
            }
            for page in taken.into_iter().flatten() {
                bed.input.free(page);
            }
            let sent = bed.to.output(&mut bed.input).send(frame, &header, tags);
            assert!(sent.is_ok());
            let mut sent = flush(&mut bed.to, &mut bed.input);
            for one in &mut sent {
                assert_taken(one, features(bits), kind);
                let put: Vec<u8> = one.bytes.splice(12..12 + tags.len(), []).collect();
                assert_eq!(put, tags);
            }
            judge(&packet, &sent, "after all");
            assert!(bed.is_idle());
        }
    }
}

#[test]
fn the_front_of_frames() {
    let mut bed = Bed::new(Features::all(), true, 64);
    // Slots of 3 bytes: tags reach over several.
    for fragment in [3, 8, 20, PAGE_SIZE] {
        for blank in [false, true] {
            let mut packet = Packet::new(Kind::V4, Transport::Tcp, 0, blank, Some(1448));
            packet.bytes.truncate(40);
            let mut frame = bed.receive(&packet, fragment);
            assert!(!bed.input.trim_front(&mut frame, 40));
            for (taken, len) in [(8, 32), (1, 31), (4, 27)] {
                assert!(bed.input.trim_front(&mut frame, taken));
                let mut rest = vec![0; 64];
                assert_eq!(frame.len(), len);
                assert_eq!(bed.input.copy_out(&frame, 0, &mut rest), len);
                assert_eq!(rest[..len], packet.bytes[40 - len..]);
            }
            assert!(bed.input.grow_front(&mut frame, 8));
            let mut rest = vec![0; 64];
            assert_eq!(bed.input.copy_out(&frame, 8, &mut rest), 27);
            assert_eq!(rest[..27], packet.bytes[13..]);
            assert_eq!(bed.input.gso(&frame).map(|gso| gso.size), Some(1448));
            assert_eq!(frame.checksum().contains(Checksum::BLANK), blank);
            bed.input.free(frame);
            assert!(bed.is_idle());
        }
    }
}

#[test]
fn what_a_backend_takes_is_not_touched() {
    let mut bed = Bed::new(Features::all(), true, 256);
    for (packet, fragment) in kinds() {
        let frame = bed.receive(&packet, fragment);
        let (len, slots) = (frame.len(), frame.slots());
        let (sent, _) = bed.send(frame);
        if len <= 0xffff && slots <= 18 {
            assert_eq!(sent.len(), 1, "{packet}");
            assert_eq!(sent[0].bytes, packet.bytes, "{packet}");
            assert_eq!(sent[0].checksum.contains(Checksum::BLANK), packet.blank);
            assert_eq!(sent[0].gso.map(|gso| gso.size), packet.gso);
            assert_eq!(sent[0].ids.len(), slots);
        }
    }
}

#[test]
fn few_pages_cut_in_several_turns() {
    for one_domain in [true, false] {
        // 16 for segments: three turns for what is 45 segments.
        let mut bed = Bed::new(features(0), one_domain, 64);
        let packet = Packet::new(Kind::V4, Transport::Tcp, 65_000, true, Some(1448));
        for _ in 0..5 {
            let frame = bed.receive(&packet, PAGE_SIZE);
            let (sent, whole) = bed.send(frame);
            assert!(whole);
            judge(&packet, &sent, "few pages");
            assert!(bed.is_idle());
        }
    }
}

#[test]
fn segments_for_one_who_takes_no_large_frames() {
    let mut bed = Bed::new(Features::all(), true, 64);
    for kind in [Kind::V4, Kind::V6] {
        let packet = Packet::new(kind, Transport::Tcp, 20_000, true, Some(1448));
        let frame = bed.receive(&packet, PAGE_SIZE);
        let mut sent = Vec::new();
        let header = bed.input.header(&frame);
        let left = egress::each_segment(&bed.input, &frame, &header, |len, write| {
            let mut bytes = vec![0; len];
            write(&mut bytes);
            sent.push(Sent {
                bytes,
                checksum: Checksum::VALIDATED,
                gso: None,
                ids: vec![0],
                grefs: Vec::new(),
            });
            true
        });
        assert_eq!(left, Some(0));
        judge(&packet, &sent, "punted");
        // No more are made than are wanted.
        let (total, mut taken) = (sent.len(), 0);
        let left = egress::each_segment(&bed.input, &frame, &header, |_, _| {
            taken += 1;
            taken < 5
        });
        assert_eq!((taken, left), (5, Some(total - 5)));
        bed.input.free(frame);
    }
    let plain = Packet::new(Kind::V4, Transport::Tcp, 1000, true, None);
    let frame = bed.receive(&plain, PAGE_SIZE);
    let header = bed.input.header(&frame);
    let left = egress::each_segment(&bed.input, &frame, &header, |_, _| panic!("not large"));
    assert_eq!(left, None);
    bed.input.free(frame);
}

#[test]
fn what_calls_itself_large_and_is_not_tcp() {
    let mut bed = Bed::new(features(0), true, 64);
    let mut packet = Packet::new(Kind::V4, Transport::Udp, 5000, true, None);
    packet.gso = Some(1448);
    let frame = bed.receive(&packet, PAGE_SIZE);
    let header = bed.input.header(&frame);
    let left = egress::each_segment(&bed.input, &frame, &header, |_, _| panic!("not TCP"));
    assert_eq!(left, None);
    let sent = bed.to.output(&mut bed.input).send(frame, &header, &[]);
    let (frame, refused) = sent.expect_err("to be segmented");
    assert_eq!(refused, Refused::NeedsSegmentation);
    let frame = Segmenter::new(&bed.input, frame, &header, &[]).expect_err("not TCP");
    bed.input.free(frame);
    assert!(bed.is_idle());
}
