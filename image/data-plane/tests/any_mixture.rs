//! Any mixture of vifs, backends, flows, sizes and hangs: a flow whose output drains loses nothing,
//! and every frame is accounted for.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use netif::Features;
use netif::fakes::{Delivery, Sent};
use netif::messages::RxFlags;
use sim::{MS, Machine, Rate, Sim, US, VifPlan, large, tcp, udp};

const STEP: u64 = 25 * US;
/// How long each mixture lasts, in ns.
const TIME: u64 = 40 * MS;
/// Mixtures that are tried.
const SEEDS: u64 = 120;
/// Frames that wait in a backend if it finds no page.
const QUEUE: usize = 64;

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// What a backend does with what is sent to it.
#[derive(Clone, Copy, Debug)]
enum Drain {
    /// It takes all, always.
    All,
    /// So many slots a second.
    Slots(u64),
    /// Nothing, ever.
    Hangs,
    /// All, but with pauses of this many ns.
    Pauses(u64),
}

/// What a flow's frames are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Payload of the first number of bytes, in slots of the second.
    Udp { payload: usize, fragment: usize },
    /// The same in TCP, with a blank checksum.
    Blank { payload: usize },
    /// A large frame.
    Large { payload: usize, gso_size: u16 },
}

struct Flow {
    from: usize,
    to: usize,
    tagged: bool,
    queue: usize,
    kind: Kind,
    rate: Rate,
    /// Frames that were delivered to the router, and their bytes of payload.
    delivered: u64,
    payload: usize,
    /// Frames that were lost in their backend.
    lost_before: u64,
    /// Bytes of payload that arrived of each.
    arrived: BTreeMap<u16, usize>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            tagged,
            queue,
            kind,
            rate,
            delivered,
            lost_before,
            ..
        } = self;
        let lost = self.lost();
        write!(
            f,
            "{from} (queue {queue}) to {to}, tagged: {tagged}, {kind:?}, {rate:?}: "
        )?;
        write!(f, "{lost} of {delivered} lost, {lost_before} before")
    }
}

impl Flow {
    /// The next frame, which says in its ports whose it is.
    fn frame(&self, number: usize) -> (Vec<u8>, Delivery) {
        let (mut frame, how) = match self.kind {
            Kind::Udp { payload, fragment } => {
                let how = Delivery {
                    fragment,
                    ..Delivery::default()
                };
                (udp(self.from, self.to, self.tagged, &vec![1; payload]), how)
            }
            Kind::Blank { payload } => {
                let how = Delivery {
                    flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
                    ..Delivery::default()
                };
                (tcp(self.from, self.to, self.tagged, &vec![1; payload]), how)
            }
            Kind::Large { payload, gso_size } => (
                tcp(self.from, self.to, self.tagged, &vec![1; payload]),
                large(gso_size),
            ),
        };
        frame[34..36].copy_from_slice(&(number as u16).to_be_bytes());
        frame[36..38].copy_from_slice(&(self.delivered as u16).to_be_bytes());
        (frame, how)
    }

    /// Frames of which something is missing.
    fn lost(&self) -> u64 {
        let whole = self
            .arrived
            .values()
            .filter(|&&bytes| bytes == self.payload);
        self.delivered - whole.count() as u64
    }
}

/// A frame that waits in a backend.
struct Offered {
    flow: usize,
}

struct World {
    machine: Machine,
    plans: Vec<VifPlan>,
    sim: Sim,
    drains: Vec<Drain>,
    flows: Vec<Flow>,
    /// By vif and queue.
    backlogs: BTreeMap<(usize, usize), VecDeque<Offered>>,
    rates: Vec<Rate>,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let workers = 1 + random.below(2) as usize;
        let vifs: Vec<_> = (0..2 + random.below(4))
            .map(|_| VifPlan {
                domain: random.one_of(&[0, 0, 0, 7]),
                features: random.one_of(&[
                    Features::all(),
                    Features::all(),
                    Features::SG,
                    Features::SG | Features::CSUM_IPV4,
                    Features::all() - Features::SPLIT_EVENT_CHANNELS,
                ]),
                queues: random.one_of(&[1, 2, 2]),
                tagged: random.below(4) == 0,
                ..VifPlan::default()
            })
            .collect();
        let each = random.one_of(&[60, 150, 250, 400, 700]);
        let machine = Machine {
            workers,
            pages: each * vifs.len() * workers,
        };
        let sim = Sim::new(machine, &vifs);
        let drains: Vec<_> = vifs
            .iter()
            .map(|_| match random.below(8) {
                0 => Drain::Hangs,
                1 => Drain::Slots(random.below(60_000)),
                2 => Drain::Slots(random.below(1_000)),
                3 => Drain::Pauses(random.below(5 * MS)),
                _ => Drain::All,
            })
            .collect();
        let rates = drains.iter().map(|drain| match drain {
            Drain::Slots(slots) => Rate::new(*slots),
            _ => Rate::new(0),
        });
        let rates = rates.collect();
        let mut world = Self {
            machine,
            plans: vifs.clone(),
            drains,
            flows: Vec::new(),
            backlogs: BTreeMap::new(),
            rates,
            sim,
        };
        for _ in 0..2 + random.below(6) {
            let flow = world.flow(random, &vifs);
            world.flows.push(flow);
        }
        world
    }

    fn flow(&self, random: &mut Random, vifs: &[VifPlan]) -> Flow {
        let vif = |random: &mut Random| random.below(vifs.len() as u64) as usize;
        let from = vif(random);
        // By the interface that it came from, the router would tell its sender of a better way.
        let (to, tagged) = loop {
            let to = vif(random);
            let tagged = vifs[to].tagged && random.below(2) == 0;
            if to != from || tagged {
                break (to, tagged);
            }
        };
        // What hangs anyway may be flooded; what drains isn't: with the fewest pages, it takes 8
        // frames at once.
        let others = self.flows.iter().filter(|flow| flow.to == to);
        let others: u64 = others.map(|flow| flow.rate.per_second()).sum();
        let most = match self.drains[to] {
            Drain::All => 20_000_u64.saturating_sub(others).max(1),
            _ => 40_000,
        };
        let kind = match random.below(4) {
            0 if self.sim.workers[0].takes_large() => Kind::Large {
                payload: 1 + random.below(64_000) as usize,
                gso_size: random.one_of(&[1, 36, 48, 100, 536, 1448, 1460]),
            },
            1 => Kind::Blank {
                payload: 10 + random.below(1400) as usize,
            },
            2 => Kind::Udp {
                payload: 10 + random.below(1400) as usize,
                fragment: 400 + random.below(1100) as usize,
            },
            _ => Kind::Udp {
                payload: 18,
                fragment: 4096,
            },
        };
        let rate = match kind {
            // At most as many segments as a lane hands to another one.
            Kind::Large { gso_size, .. } => 20 + random.below(u64::from(gso_size.clamp(40, 300))),
            _ => random.below(most),
        };
        let payload = match kind {
            Kind::Udp { payload, .. } | Kind::Blank { payload } | Kind::Large { payload, .. } => {
                payload
            }
        };
        let queues = self.sim.backends[from].len();
        Flow {
            from,
            to,
            tagged,
            queue: random.below(queues as u64) as usize,
            kind,
            rate: Rate::new(rate),
            delivered: 0,
            payload,
            lost_before: 0,
            arrived: BTreeMap::new(),
        }
    }

    /// Offers what is due, as far as backends find pages; the rest waits there, or is lost.
    fn offer(&mut self) {
        for (number, flow) in self.flows.iter_mut().enumerate() {
            for _ in 0..flow.rate.after(STEP) {
                let backlog = self.backlogs.entry((flow.from, flow.queue)).or_default();
                if backlog.len() < QUEUE {
                    backlog.push_back(Offered { flow: number });
                } else {
                    flow.lost_before += 1;
                }
            }
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        for (&(vif, queue), backlog) in &mut self.backlogs {
            while let Some(next) = backlog.front() {
                let (frame, how) = self.flows[next.flow].frame(next.flow);
                if !self.sim.deliver_as(vif, queue, &frame, &how) {
                    break;
                }
                self.flows[next.flow].delivered += 1;
                backlog.pop_front();
            }
        }
    }

    fn drain(&mut self, all: bool) {
        for vif in 0..self.drains.len() {
            let slots = match self.drains[vif] {
                _ if all => usize::MAX,
                Drain::All => usize::MAX,
                Drain::Slots(_) => self.rates[vif].after(STEP),
                Drain::Hangs => 0,
                Drain::Pauses(pause) => {
                    let phase = self.sim.now % (2 * pause + 1);
                    if phase < pause { 0 } else { usize::MAX }
                }
            };
            for sent in self.sim.complete(vif, slots) {
                self.arrived(&sent);
            }
        }
    }

    fn arrived(&mut self, sent: &Sent) {
        let mut bytes = sent.bytes.clone();
        if bytes[12..14] == [0x81, 0] {
            bytes.drain(12..16);
        }
        // What the router says by itself.
        if bytes[12..14] != [8, 0]
            || bytes[26..29] == [10, 0, 0] && bytes[29] == 1
            || bytes[29] != 9
        {
            return;
        }
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let headers = if bytes[23] == 6 { 54 } else { 42 };
        let flow = &mut self.flows[usize::from(port(34))];
        *flow.arrived.entry(port(36)).or_default() += bytes.len() - headers;
    }

    /// Frames that an interface has dropped for those reasons that concern it as an output.
    fn dropped(&mut self, to: usize, tagged: bool) -> u64 {
        let name = format!("{}{to}", if tagged { "t" } else { "v" });
        let interfaces = &self.sim.router.config().interfaces;
        let index = interfaces.iter().position(|it| it.name == name);
        let drops = self.sim.drops(index.expect("an interface") as u8);
        let of = |reason| drops.get(reason).copied().unwrap_or(0);
        of("tx_full") + of("bad_gso")
    }
}

fn is_cut(gso_size: u16) -> bool {
    gso_size >= 48
}

#[test]
fn what_drains_loses_nothing_and_every_frame_is_accounted_for() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut world = World::new(&mut random);
        let end = world.sim.now + TIME;
        while world.sim.now < end {
            world.sim.now += STEP;
            world.offer();
            world.sim.turn();
            world.drain(false);
        }
        // All that is under way arrives, or is given up.
        for _ in 0..150 {
            world.sim.now += MS;
            world.deliver();
            world.sim.wake_all();
            world.drain(true);
        }
        world.sim.wake_all();
        let what = |world: &World| {
            let (plans, machine) = (&world.plans, world.machine);
            format!(
                "seed {seed}: {machine:?}\n{plans:#?}\n{:?}\n{:#?}",
                world.drains, world.flows
            )
        };
        let mut lost: BTreeMap<(usize, bool), u64> = BTreeMap::new();
        for flow in &world.flows {
            *lost.entry((flow.to, flow.tagged)).or_default() += flow.lost();
            let drains = matches!(world.drains[flow.to], Drain::All);
            let odd = matches!(flow.kind, Kind::Large { gso_size, .. } if !is_cut(gso_size));
            if drains && !odd {
                let lost = (flow.lost_before, flow.lost());
                assert_eq!(lost, (0, 0), "{flow:?}, {}", what(&world));
            }
        }
        for ((to, tagged), lost) in lost {
            assert_eq!(lost, world.dropped(to, tagged), "to {to}, {}", what(&world));
        }
        world.sim.assert_idle();
        world.sim.finish();
    }
}
