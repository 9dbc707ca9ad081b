//! A router on the guest's allocator in the smallest domain, under everything that others can send at
//! once: it lives, and answers who is there when that is over.

use std::sync::Mutex;

use guest_heap::{GuestHeap, inside, outside};
use router::{
    DropReason, Egress, FrameMeta, HEADER_LEN, Header, Instant, InterfaceId, NoRoom, Router,
    Verdict, config,
};
use testkit::bed::{arp, checksum, echo, edit, host_mac, router_mac, udp, with_options};
use testkit::bed6::{a6, echo6, ns, udp6};

/// Bytes of the heap: what a domain of 4 MB with two vifs has for it.
const ARENA: usize = 640 * 1024;

#[global_allocator]
static HEAP: GuestHeap = GuestHeap::new(ARENA);

/// What the router sent, if that is of interest.
struct Sent {
    frames: Vec<(u8, Vec<u8>)>,
    keep: bool,
}

impl Egress for Sent {
    fn room(&self, _: InterfaceId) -> usize {
        64
    }

    fn send(&mut self, out: InterfaceId, frame: &[u8], _: FrameMeta) -> Result<(), NoRoom> {
        if self.keep {
            outside(|| self.frames.push((out.0, frame.to_vec())));
        }
        Ok(())
    }
}

struct Bed {
    router: Router,
    now: Instant,
    sent: Sent,
}

impl Bed {
    fn new(text: &str) -> Self {
        let now = Instant::from_secs(1);
        let config = inside(|| config::from_toml(text)).unwrap();
        let mut router = inside(|| Router::new(&config, 0x5eed, now));
        for at in 0..2 {
            inside(|| router.link_up(now, InterfaceId(at), router_mac(0, at), 1500));
        }
        router.fit_memory(ARENA).unwrap();
        let sent = Sent {
            frames: Vec::new(),
            keep: false,
        };
        Self { router, now, sent }
    }

    fn receive(&mut self, interface: u8, frame: &[u8]) {
        let input = InterfaceId(interface);
        let mut headers = [Header([0; HEADER_LEN])];
        let len = frame.len().min(HEADER_LEN);
        headers[0].0[..len].copy_from_slice(&frame[..len]);
        let metas = [FrameMeta::plain(frame.len())];
        let mut verdicts = [Verdict::Drop];
        let (router, now) = (&mut self.router, self.now);
        inside(|| {
            router.process(now, input, &mut headers, &metas, &mut verdicts);
            if verdicts[0] == Verdict::Punt {
                router.punt(input, metas[0], |to| to.copy_from_slice(frame));
            }
        });
    }

    fn pass(&mut self, millis: u64) {
        self.now = Instant(self.now.0 + millis * 1_000_000);
        let (router, sent, now) = (&mut self.router, &mut self.sent, self.now);
        inside(|| router.poll(now, 16, sent));
    }
}

const CONFIG: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/16", "2001:db8::1/64"]
[interface.lan]
vif = 1
address = ["10.1.0.1/16", "2001:db8:1::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
"#;

/// A frame with the 32 bits at `at` replaced, and its IPv4 header's checksum right again.
fn vary(frame: &mut [u8], at: usize, value: u32) {
    frame[at..at + 4].copy_from_slice(&value.to_be_bytes());
    if frame[12..14] == [8, 0] {
        let len = 14 + usize::from(frame[14] & 15) * 4;
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..len]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The fragments of a ping of 65,000 bytes from off the link.
fn fragments() -> Vec<Vec<u8>> {
    let whole = echo(0, [192, 0, 2, 9], [10, 0, 0, 1], 65_000);
    let payload = &whole[34..];
    let cut = payload.chunks(1480).enumerate().map(|(at, piece)| {
        let frame = [&whole[..34], piece].concat();
        let more = (at + 1) * 1480 < payload.len();
        edit(frame, |ip| {
            ip[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            let field = (at * 185) as u16 | if more { 0x2000 } else { 0 };
            ip[6..8].copy_from_slice(&field.to_be_bytes());
        })
    });
    cut.collect()
}

const SOURCE: usize = 26;
const DESTINATION: usize = 30;

#[test]
fn the_smallest_guest_survives_a_million_packets() {
    survive(0, 1_000_000);
}

/// What has less than it needs forgets what waits, and goes on.
#[test]
fn less_memory_than_that_ends_nothing() {
    for taken in (64..=384).step_by(64) {
        survive(taken << 10, 100_000);
    }
}

/// Lets a router live through floods of `packets` packets, with `taken` bytes less than its heap has.
fn survive(taken: usize, packets: u32) {
    // One heap, so one at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap();
    let taken = inside(|| Vec::<u8>::with_capacity(taken));
    let mut bed = Bed::new(CONFIG);
    bed.pass(3000);
    let host = [10, 0, 0, 9];
    let known = arp(1, host_mac(host), host, [0; 6], [10, 0, 0, 1]);
    bed.receive(0, &known);
    bed.pass(1);

    let pings = fragments();
    let mut half = pings[3].clone();
    let mut unknown = udp(0, [192, 0, 2, 1], [10, 1, 0, 0], 1400);
    let mut expired = edit(udp(0, [192, 0, 2, 1], [10, 1, 0, 9], 1400), |ip| ip[8] = 1);
    let mut options = with_options(udp(0, [192, 0, 2, 1], [10, 0, 0, 1], 1400), &[7, 39, 4]);
    let mut asks = known.clone();
    let mut unknown6 = udp6(0, a6("2001:db8:9::1"), a6("2001:db8:1::9"), 1400);
    let mut solicits = ns(
        1,
        a6("2001:db8:1::9"),
        a6("2001:db8:1::1"),
        a6("2001:db8:1::1"),
    );
    for i in 0..packets {
        let random = i.wrapping_mul(0x9e37_79b9);
        let any = 0x0a01_0000 | random >> 16;
        match i % 8 {
            0 => bed.receive(0, &pings[(i / 8) as usize % pings.len()]),
            1 => {
                vary(&mut unknown, DESTINATION, any);
                bed.receive(0, &unknown);
            }
            2 => {
                vary(&mut asks, 28, 0x0a00_0100 | random >> 16);
                bed.receive(0, &asks);
            }
            3 => {
                vary(&mut half, SOURCE, random);
                bed.receive(0, &half);
            }
            4 => {
                vary(&mut expired, SOURCE, 0xc000_0000 | random >> 8);
                bed.receive(0, &expired);
            }
            5 => {
                vary(&mut options, SOURCE, 0xc000_0000 | random >> 8);
                bed.receive(0, &options);
            }
            6 => {
                vary(&mut unknown6, 14 + 36, random);
                bed.receive(0, &unknown6);
            }
            _ => {
                vary(&mut solicits, 14 + 20, random);
                bed.receive(1, &solicits);
            }
        }
        if i % 16 == 15 {
            bed.pass(1);
        }
    }
    let dropped = |reason| {
        let of = |at| {
            bed.router
                .counters(InterfaceId(at))
                .unwrap()
                .dropped(reason)
        };
        of(0) + of(1)
    };
    // It came to its bounds.
    assert!(dropped(DropReason::ReassemblyFull) > 0);
    assert!(HEAP.refused() > 0);
    let what = format!("with {} bytes less", taken.capacity());

    // When it is over, hosts are served: one that the router has to look for itself, in a table that is
    // full of others who were heard of, and one of IPv6 that makes itself known.
    for _ in 0..300 {
        bed.pass(100);
    }
    bed.sent.keep = true;
    let host = [10, 0, 0, 8];
    bed.receive(0, &echo(0, host, [10, 0, 0, 1], 1400));
    bed.pass(1);
    let asked = |(out, frame): &(u8, Vec<u8>)| *out == 0 && frame[12..14] == [8, 6];
    assert!(bed.sent.frames.iter().any(asked), "{what}");
    let answer = arp(2, host_mac(host), host, router_mac(0, 0), [10, 0, 0, 1]);
    bed.receive(0, &answer);
    bed.pass(1);
    let replied = |(out, frame): &(u8, Vec<u8>)| *out == 0 && frame[23] == 1 && frame[34] == 0;
    assert!(bed.sent.frames.iter().any(replied), "{what}");
    let host6 = a6("2001:db8:1::9");
    bed.receive(1, &ns(1, host6, a6("2001:db8:1::1"), a6("2001:db8:1::1")));
    bed.receive(1, &echo6(1, host6, a6("2001:db8:1::1"), 1400));
    bed.pass(1);
    let replied = |(out, frame): &(u8, Vec<u8>)| *out == 1 && frame[20] == 58 && frame[54] == 129;
    assert!(bed.sent.frames.iter().any(replied), "{what}");
}
