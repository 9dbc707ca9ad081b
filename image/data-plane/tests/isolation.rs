//! A full output costs only frames for that output.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use std::fmt::Write as _;

use netif::fakes::Sent;
use sim::{Machine, Rate, SECOND, Sim, UDP_HEADERS, US, VifPlan, udp};

/// From one look at the world to the next, in ns.
const STEP: u64 = 25 * US;

/// A flow of small frames from one vif to another.
struct Flow {
    from: usize,
    to: usize,
    rate: Rate,
    offered: u64,
    arrived: u64,
}

impl Flow {
    fn new(from: usize, to: usize, per_second: u64) -> Self {
        Self {
            from,
            to,
            rate: Rate::new(per_second),
            offered: 0,
            arrived: 0,
        }
    }

    /// Offers what is due after a step. What finds no page at the backend is lost there.
    fn offer(&mut self, sim: &mut Sim) {
        for _ in 0..self.rate.after(STEP) {
            let payload = [self.from as u8, self.to as u8];
            let frame = udp(self.from, self.to, false, &payload);
            sim.deliver(self.from, 0, &frame);
            self.offered += 1;
        }
    }

    fn count(&mut self, sent: &[Sent]) {
        let mine = |sent: &&Sent| {
            sent.bytes.get(UDP_HEADERS..UDP_HEADERS + 2) == Some(&[self.from as u8, self.to as u8])
        };
        self.arrived += sent.iter().filter(mine).count() as u64;
    }
}

/// What arrives, of all that was offered, where a overloads c and nobody overloads anything else.
struct Shares {
    b_to_a: f64,
    a_to_b: f64,
    /// Frames a second.
    a_to_c: u64,
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
    let mut drain = Rate::new(slots);
    let end = sim.now + TIME;
    while sim.now < end {
        sim.now += STEP;
        flows.iter_mut().for_each(|flow| flow.offer(&mut sim));
        sim.turn();
        let slots = drain.after(STEP);
        for (vif, slots) in [(a, usize::MAX), (b, usize::MAX), (c, slots)] {
            let sent = sim.complete(vif, slots);
            let flows = flows.iter_mut().filter(|flow| flow.to == vif);
            flows.for_each(|flow| flow.count(&sent));
        }
    }
    // What was left unread with the backend.
    for _ in 0..100 {
        sim.now += STEP;
        sim.turn();
        for vif in [a, b] {
            let sent = sim.complete(vif, usize::MAX);
            let flows = flows.iter_mut().filter(|flow| flow.to == vif);
            flows.for_each(|flow| flow.count(&sent));
        }
    }
    let share = |flow: &Flow| flow.arrived as f64 / flow.offered as f64;
    Shares {
        b_to_a: share(&flows[1]),
        a_to_b: share(&flows[2]),
        a_to_c: flows[0].arrived * SECOND / TIME,
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

#[test]
fn an_overloaded_output_costs_nobody_else_a_frame() {
    let mut table = String::new();
    let mut worst: f64 = 1.0;
    for slots in [0, 300, 700, 2_000, 20_000, 39_000, 60_000] {
        for order in ORDERS {
            let shares = overload(Machine::default(), order, slots);
            let _ = writeln!(
                table,
                "c takes {slots:6}/s, a b c are {order:?}: b to a {:5.1} %, a to b {:5.1} %, a to c {}/s",
                100.0 * shares.b_to_a,
                100.0 * shares.a_to_b,
                shares.a_to_c,
            );
            worst = worst.min(shares.b_to_a).min(shares.a_to_b);
        }
    }
    println!("{table}");
    assert!(worst == 1.0, "{table}");
}
