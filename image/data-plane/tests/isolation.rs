//! A full output costs only frames for that output.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::slice;

use data_plane::event_moderation::MAX_WAIT_NS;
use netif::Features;
use netif::fakes::Sent;
use sim::{MS, Machine, Rate, SECOND, Sim, TCP_HEADERS, UDP_HEADERS, US, VifPlan, large, tcp, udp};

/// From one look at the world to the next, in ns.
const STEP: u64 = 25 * US;
/// What a machine whose vifs have the fewest pages has for three of them.
const SMALL: Machine = Machine {
    workers: 1,
    pages: 200,
};

/// A flow of small frames from one vif to another.
struct Flow {
    from: usize,
    to: usize,
    /// The queue that they come by.
    queue: usize,
    rate: Rate,
    offered: u64,
    arrived: u64,
    /// Longest that one took, in ns.
    delay: u64,
    /// Frames that find no page wait at the backend, as many as come.
    backlog: Option<VecDeque<Vec<u8>>>,
}

impl Flow {
    fn new(from: usize, to: usize, per_second: u64) -> Self {
        Self {
            from,
            to,
            queue: 0,
            rate: Rate::new(per_second),
            offered: 0,
            arrived: 0,
            delay: 0,
            backlog: None,
        }
    }

    /// Offers what is due after a step. What finds no page at the backend is lost there, unless it waits.
    fn offer(&mut self, sim: &mut Sim) {
        for _ in 0..self.rate.after(STEP) {
            let mut payload = vec![self.from as u8, self.to as u8];
            payload.extend(sim.now.to_le_bytes());
            let frame = udp(self.from, self.to, false, &payload);
            self.offered += 1;
            match &mut self.backlog {
                Some(backlog) => backlog.push_back(frame),
                None => drop(sim.deliver(self.from, self.queue, &frame)),
            }
        }
    }

    /// Delivers what waits at the backend, as far as there are pages.
    fn deliver(&mut self, sim: &mut Sim) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        while let Some(frame) = backlog.front()
            && sim.deliver(self.from, self.queue, frame)
        {
            backlog.pop_front();
        }
    }

    /// Counts what arrived of it at `now`.
    fn count(&mut self, sent: &[Sent], now: u64) {
        for one in sent {
            let payload = one.bytes.get(UDP_HEADERS..).unwrap_or(&[]);
            if payload.get(..2) != Some(&[self.from as u8, self.to as u8]) {
                continue;
            }
            if let Some(time) = payload.get(2..10) {
                let sent = u64::from_le_bytes(time.try_into().expect("eight bytes"));
                self.arrived += 1;
                self.delay = self.delay.max(now - sent);
            }
        }
    }

    fn share(&self) -> f64 {
        self.arrived as f64 / self.offered as f64
    }
}

/// Lets flows flow for `time` ns, while vif `n` completes `drains[n]` slots a second, and for some
/// ms more without them.
fn run(sim: &mut Sim, flows: &mut [Flow], drains: &[u64], time: u64) {
    let mut rates: Vec<_> = drains.iter().map(|&slots| Rate::new(slots)).collect();
    let end = sim.now + time;
    while sim.now < end + 5 * MS {
        sim.now += STEP;
        if sim.now < end {
            flows.iter_mut().for_each(|flow| flow.offer(sim));
        }
        flows.iter_mut().for_each(|flow| flow.deliver(sim));
        sim.turn();
        for (vif, rate) in rates.iter_mut().enumerate() {
            let sent = sim.complete(vif, rate.after(STEP));
            let flows = flows.iter_mut().filter(|flow| flow.to == vif);
            flows.for_each(|flow| flow.count(&sent, sim.now));
        }
    }
}

/// Longest that a frame may take, in ns: it is left unread for so long at a time, may wait for others
/// before a CPU wakes, and for the next step.
const LONGEST: u64 = MS + MAX_WAIT_NS + 2 * STEP;
/// A rate at which a backend takes all.
const ALL: u64 = 100_000_000;

/// What arrives, of all that was offered, where a overloads c and nobody overloads anything else.
struct Shares {
    b_to_a: f64,
    a_to_b: f64,
    /// Frames a second.
    a_to_c: u64,
    /// Longest that a frame from a to b took, in ns.
    delay: u64,
}

/// Vif `c`, which `a` sends 40,000 frames a second, completes `slots` slots a second.
fn overload(machine: Machine, [a, b, c]: [usize; 3], slots: u64) -> Shares {
    const TIME: u64 = SECOND / 4;
    let mut sim = Sim::new(machine, &[VifPlan::default(); 3]);
    let mut flows = [
        Flow::new(a, c, 40_000),
        Flow::new(b, a, 10_000),
        Flow::new(a, b, 1_000),
    ];
    let mut drains = [ALL; 3];
    drains[c] = slots;
    run(&mut sim, &mut flows, &drains, TIME);
    Shares {
        b_to_a: flows[1].share(),
        a_to_b: flows[2].share(),
        a_to_c: flows[0].arrived * SECOND / TIME,
        delay: flows[2].delay,
    }
}

const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Overloads c at each rate and in each order of the vifs.
fn overload_all(machine: Machine, rates: &[u64], orders: &[[usize; 3]]) {
    let mut table = String::new();
    let mut good = true;
    for &slots in rates {
        for &order in orders {
            let it = overload(machine, order, slots);
            let _ = writeln!(
                table,
                "c takes {slots:6}/s, a b c are {order:?}: b to a {:5.1} %, a to b {:5.1} % within {} us, a to c {}/s",
                100.0 * it.b_to_a,
                100.0 * it.a_to_b,
                it.delay / 1000,
                it.a_to_c,
            );
            good &= it.b_to_a == 1.0 && it.a_to_b == 1.0;
            good &= it.delay <= LONGEST;
            // The rate is what c takes, however much there is for it.
            good &= it.a_to_c * 100 >= slots.min(40_000) * 99;
        }
    }
    println!("{table}");
    assert!(good, "{table}");
}

#[test]
fn an_overloaded_output_costs_nobody_else_a_frame() {
    let rates = [0, 300, 700, 2_000, 20_000, 39_000, 60_000];
    overload_all(Machine::default(), &rates, &ORDERS);
}

#[test]
fn an_output_that_pauses_loses_nothing_that_its_share_holds() {
    // Vif 1 takes nothing for 8 ms, in which 320 frames come for it: more than its ring has slots.
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let mut flows = [Flow::new(0, 1, 40_000), Flow::new(1, 0, 10_000)];
    for drain in [ALL, 0, ALL, 0, ALL] {
        run(&mut sim, &mut flows, &[ALL, drain], 8 * MS);
    }
    for flow in &flows {
        assert_eq!(flow.arrived, flow.offered, "to {}", flow.to);
    }
    sim.wake_all();
    sim.assert_idle();
}

#[test]
fn nothing_waits_for_an_output_that_hangs() {
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let mut flows = [Flow::new(0, 1, 40_000), Flow::new(1, 0, 10_000)];
    let held = |sim: &Sim| {
        let pools = sim.workers[0].pools();
        pools.map(|(_, stats)| stats.sum().held).sum::<usize>()
    };
    run(&mut sim, &mut flows, &[ALL, 0], 50 * MS);
    assert!(held(&sim) > 0);
    run(&mut sim, &mut flows, &[ALL, 0], 250 * MS);
    assert_eq!(held(&sim), 0);
    assert_eq!(flows[1].arrived, flows[1].offered);
}

#[test]
fn frames_are_left_unread_for_longer_where_they_can_go_nowhere_else() {
    // 600 frames in 15 ms: more than fit on a ring and may wait beside it.
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let mut flow = Flow::new(0, 1, 40_000);
    flow.backlog = Some(VecDeque::new());
    for drain in [ALL, 0, ALL, 0, ALL] {
        run(&mut sim, slice::from_mut(&mut flow), &[ALL, drain], 15 * MS);
    }
    assert_eq!(flow.arrived, flow.offered);
    sim.wake_all();
    sim.assert_idle();
}

#[test]
fn who_comes_then_waits_once() {
    // Vif 0 takes few of the frames; then come others, which go back by the vif that they come by.
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let mut flows = [Flow::new(1, 0, 10_000), Flow::new(1, 1, 1_000)];
    let drains = [300, ALL];
    run(&mut sim, &mut flows[..1], &drains, 22 * MS);
    run(&mut sim, &mut flows, &drains, 50 * MS);
    let first = flows[1].delay;
    assert!((LONGEST..16 * MS).contains(&first), "{first} ns");
    flows[1].delay = 0;
    run(&mut sim, &mut flows, &drains, 250 * MS);
    let later = flows[1].delay;
    assert!(later <= LONGEST, "{later} ns");
    assert_eq!(flows[1].arrived, flows[1].offered);
}

#[test]
fn frames_are_left_unread_for_longer_only_once_in_a_while() {
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let mut flows = [Flow::new(1, 0, 10_000), Flow::new(1, 1, 1_000)];
    let drains = [300, ALL];
    run(&mut sim, &mut flows[..1], &drains, 100 * MS);
    run(&mut sim, &mut flows, &drains, 100 * MS);
    assert!(flows[1].delay <= LONGEST, "{} ns", flows[1].delay);
    assert_eq!(flows[1].arrived, flows[1].offered);
}

#[test]
fn nor_where_pages_are_few() {
    overload_all(SMALL, &[0, 2_000, 39_000, 60_000], &ORDERS[..1]);
}

#[test]
fn several_outputs_that_hang_cost_nobody_else_a_frame() {
    for others in 1..=14 {
        let vifs = others + 2;
        let machine = Machine {
            workers: 1,
            pages: 20_000,
        };
        let mut sim = Sim::new(machine, &vec![VifPlan::default(); vifs]);
        // From vif 0 to all but vif 1, which hang.
        let mut flows = vec![Flow::new(0, 1, 5_000), Flow::new(1, 0, 5_000)];
        flows.extend((2..vifs).map(|to| Flow::new(0, to, 40_000 / others as u64)));
        let mut drains = vec![0; vifs];
        drains[..2].fill(ALL);
        run(&mut sim, &mut flows, &drains, 200 * MS);
        for flow in &flows[..2] {
            assert_eq!(flow.arrived, flow.offered, "{others} hang");
        }
    }
}

#[test]
fn a_vif_that_hangs_leaves_its_sibling_pages_for_copies() {
    // A backend domain has vifs 0 and 1, another one vif 2. Vif 1 hangs with what vif 0 sent it.
    let other = VifPlan {
        domain: 7,
        ..VifPlan::default()
    };
    let mut sim = Sim::new(
        Machine::default(),
        &[VifPlan::default(), VifPlan::default(), other],
    );
    let mut flows = [
        Flow::new(0, 1, 40_000),
        Flow::new(2, 1, 40_000),
        Flow::new(2, 0, 40_000),
        Flow::new(0, 2, 4_000),
    ];
    run(&mut sim, &mut flows, &[ALL, 0, ALL], 100 * MS);
    for flow in &flows[2..] {
        assert_eq!(flow.arrived, flow.offered, "{} to {}", flow.from, flow.to);
    }
}

#[test]
fn frames_for_another_cpu_stop_no_lane() {
    // Vif 2 has a queue on the first CPU only, and takes what it likes.
    let few = VifPlan {
        queues: 1,
        ..VifPlan::default()
    };
    let machine = Machine {
        workers: 2,
        ..Machine::default()
    };
    for slots in [0, 300, 2_000, 20_000, ALL] {
        let mut sim = Sim::new(machine, &[VifPlan::default(), VifPlan::default(), few]);
        let mut flows = [
            Flow::new(0, 2, 20_000),
            Flow::new(0, 1, 5_000),
            Flow::new(1, 0, 5_000),
        ];
        flows.iter_mut().for_each(|flow| flow.queue = 1);
        run(&mut sim, &mut flows, &[ALL, ALL, slots], 600 * MS);
        for flow in &flows[1..] {
            assert_eq!(flow.arrived, flow.offered, "{slots}/s");
            assert!(flow.delay <= LONGEST, "{slots}/s: {} ns", flow.delay);
        }
        if slots == ALL {
            assert_eq!(flows[0].arrived, flows[0].offered);
        }
        // What is lost is lost there, and counted.
        let lost = sim.drops(2).get("tx_full").copied().unwrap_or(0);
        assert!(flows[0].offered - flows[0].arrived >= lost);
    }
}

/// Ten large frames a second with this `gso_size`, for a vif whose backend takes none or that they
/// leave with tags, beside other flows. Returns the number of segments that left.
fn large_frames(gso_size: u16, tagged: bool) -> usize {
    let cuts = VifPlan {
        features: if tagged {
            Features::all()
        } else {
            Features::SG
        },
        tagged,
        ..VifPlan::default()
    };
    let mut sim = Sim::new(
        Machine::default(),
        &[VifPlan::default(), VifPlan::default(), cuts],
    );
    let mut flows = [
        Flow::new(0, 1, 5_000),
        Flow::new(1, 0, 5_000),
        Flow::new(0, 2, 5_000),
        Flow::new(1, 2, 5_000),
    ];
    let frame = tcp(0, 2, tagged, &vec![7; 64_000]);
    let (mut segments, mut rate) = (0, Rate::new(10));
    let end = sim.now + SECOND;
    while sim.now < end {
        sim.now += STEP;
        flows.iter_mut().for_each(|flow| flow.offer(&mut sim));
        for _ in 0..rate.after(STEP) {
            assert!(sim.deliver_as(0, 0, &frame, &large(gso_size)));
        }
        sim.turn();
        for vif in 0..3 {
            let sent = sim.complete(vif, usize::MAX);
            segments += sent.iter().filter(|one| is_tcp(one)).count();
            flows
                .iter_mut()
                .filter(|flow| flow.to == vif)
                .for_each(|flow| flow.count(&sent, sim.now));
        }
    }
    run(&mut sim, &mut flows, &[ALL; 3], 0);
    for flow in &flows {
        assert_eq!(
            flow.arrived, flow.offered,
            "{gso_size}, {} to {}",
            flow.from, flow.to
        );
        assert!(flow.delay <= LONGEST, "{gso_size}: {} ns", flow.delay);
    }
    let lost = sim.drops(if tagged { 3 } else { 2 });
    let expected = if segments == 0 { 9..=10 } else { 0..=0 };
    let bad = lost.get("bad_gso").copied().unwrap_or(0);
    assert!(expected.contains(&bad), "{gso_size}: {lost:?}");
    segments
}

fn is_tcp(sent: &Sent) -> bool {
    let ip = if sent.bytes[12..14] == [0x81, 0] {
        18
    } else {
        14
    };
    sent.bytes[ip + 9] == 6
}

#[test]
fn a_large_frame_of_tiny_segments_holds_up_nobody() {
    for tagged in [false, true] {
        for gso_size in [1, 8, 47] {
            assert_eq!(large_frames(gso_size, tagged), 0, "{gso_size}");
        }
        for gso_size in [48, 100, 536, 1448] {
            let each = 64_000_usize.div_ceil(gso_size.into());
            let segments = large_frames(gso_size, tagged);
            assert!(
                (9 * each..=10 * each).contains(&segments),
                "{gso_size}: {segments}"
            );
        }
    }
}

#[test]
fn segments_wait_only_for_so_long() {
    let cuts = VifPlan {
        features: Features::SG,
        ..VifPlan::default()
    };
    let mut sim = Sim::new(
        Machine::default(),
        &[VifPlan::default(), VifPlan::default(), cuts],
    );
    let frame = tcp(0, 2, false, &vec![7; 60_000]);
    let mut flows = [Flow::new(0, 1, 5_000)];
    for _ in 0..20 {
        sim.deliver_as(0, 0, &frame, &large(100));
    }
    // Nobody takes them, and they give their pages back.
    run(&mut sim, &mut flows, &[ALL, ALL, 0], 90 * MS);
    assert!(
        sim.workers[0]
            .pools()
            .any(|(_, stats)| stats.sum().held > 0)
    );
    run(&mut sim, &mut flows, &[ALL, ALL, 0], 20 * MS);
    assert!(
        sim.workers[0]
            .pools()
            .all(|(_, stats)| stats.sum().held == 0)
    );
    assert_eq!(flows[0].arrived, flows[0].offered);
    let taken = sim.complete(2, usize::MAX);
    let segment = |one: &Sent| !is_tcp(one) || one.bytes.len() == TCP_HEADERS + 100;
    assert!(taken.iter().all(segment));
    sim.wake_all();
    sim.assert_idle();
}
