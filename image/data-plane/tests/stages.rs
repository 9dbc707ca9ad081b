//! What a stage changes of a header leaves, however the frame came and however it leaves.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use netif::Features;
use netif::fakes::{Delivery, Sent};
use router::stages::{Burst, Stages};
use router::{HEADER_LEN, REWRITTEN};

use sim::{MS, Machine, Sim, VifPlan, large, tcp, udp};

/// Where a TCP packet has its window, and a UDP packet something that it carries: behind what
/// plain forwarding rewrites.
const WINDOW: core::ops::Range<usize> = 48..50;
const CHANGED: [u8; 2] = [0xbe, 0xef];
const _: () = assert!(WINDOW.start >= REWRITTEN);

/// Changes the window of all packets, before or after the lookup.
struct Windows {
    after: bool,
}

impl Windows {
    fn change(burst: &mut Burst<'_>, which: u64) -> u64 {
        for (at, header) in burst.headers.iter_mut().enumerate() {
            if which >> at & 1 != 0 {
                header.0[WINDOW].copy_from_slice(&CHANGED);
            }
        }
        0
    }
}

impl Stages for Windows {
    const ACTIVE: bool = true;
    const WRITTEN_BACK: usize = HEADER_LEN;

    fn before_lookup(&mut self, burst: &mut Burst<'_>, which: u64) -> u64 {
        Self::change(burst, if self.after { 0 } else { which })
    }

    fn after_lookup(&mut self, burst: &mut Burst<'_>, _: &dyn Fn(usize) -> u32, which: u64) -> u64 {
        Self::change(burst, if self.after { which } else { 0 })
    }
}

/// How a frame comes, and how it leaves.
struct Case {
    name: &'static str,
    frame: Vec<u8>,
    how: Delivery,
    out: VifPlan,
}

fn cases() -> Vec<Case> {
    let payload = [7; 6000];
    let own = VifPlan::default();
    let other = VifPlan { domain: 7, ..own };
    let none = Features::RX_COPY | Features::RX_NOTIFY;
    let one_slot = VifPlan {
        features: none,
        ..own
    };
    let tagged = VifPlan {
        tagged: true,
        ..own
    };
    let in_parts = || Delivery {
        fragment: 200,
        ..Delivery::default()
    };
    let behind = || Delivery {
        offset: 100,
        ..Delivery::default()
    };
    let small = |tagged| udp(0, 1, tagged, &payload[..100]);
    let big = |tagged| tcp(0, 1, tagged, &payload);
    // From the sub-interface of vif 0.
    let mut with_tag = small(false);
    with_tag.splice(12..12, [0x81, 0, 0, 100]);
    let case = |name, frame, how, out| Case {
        name,
        frame,
        how,
        out,
    };
    vec![
        case("plain", small(false), Delivery::default(), own),
        case("with an offset", small(false), behind(), own),
        case("in several slots", small(false), in_parts(), own),
        case("into one slot", small(false), in_parts(), one_slot),
        case("large", big(false), large(1400), own),
        case("in segments", big(false), large(1400), one_slot),
        case("copied", small(false), Delivery::default(), other),
        case("large, copied", big(false), large(1400), other),
        case("with a tag", small(true), Delivery::default(), tagged),
        case("in segments with a tag", big(true), large(1400), tagged),
        case("from a tag", with_tag, Delivery::default(), own),
    ]
}

fn assert_changed(case: &Case, sent: &[Sent]) {
    assert!(!sent.is_empty(), "{}: nothing left", case.name);
    let untagged = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if bytes[12..14] == [0x81, 0] {
            bytes.drain(12..16);
        }
        bytes
    };
    let came = untagged(&case.frame);
    for sent in sent {
        let left = untagged(&sent.bytes);
        assert_eq!(left[WINDOW], CHANGED, "{}", case.name);
        assert_eq!(left[34..38], came[34..38], "{}", case.name);
        assert_eq!(left[60..], came[60..left.len()], "{}", case.name);
    }
}

#[test]
fn what_a_stage_changes_leaves() {
    for after in [false, true] {
        for case in cases() {
            let from = VifPlan {
                tagged: case.frame[12..14] == [0x81, 0],
                ..VifPlan::default()
            };
            let mut sim = Sim::new(Machine::default(), &[from, case.out]);
            assert!(sim.deliver_as(0, 0, &case.frame, &case.how));
            let mut sent = Vec::new();
            for _ in 0..4 {
                sim.now += MS;
                let worker = &mut sim.workers[0];
                let _ = worker.turn_in(&mut Windows { after }, sim.router.tables(), sim.now);
                sent.extend(sim.complete(1, usize::MAX));
            }
            assert_changed(&case, &sent);
        }
    }
}
