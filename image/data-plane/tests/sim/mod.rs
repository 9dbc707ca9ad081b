//! Routers of several vifs with backends in memory, and the loop of the guest, in virtual time.
//!
//! The CPU is infinitely quick: whatever is lost is lost for want of room.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_plane::{Control, Resting, Worker};
use heapless::Vec as Bounded;
use netif::Features;
use netif::fakes::{Backend, Delivery, Sent};
use netif::messages::{Extra, RSP_OKAY, RxFlags};
use netif::{Gso, GsoKind};
use router::{DropReason, Instant, InterfaceId, Router};
use xen_hal::fake::FakeHal;
use xen_hal::{DomId, GrantRef, Hal, Port};

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000 * US;
pub(crate) const SECOND: u64 = 1_000 * MS;
/// Bytes of the headers in front of what a UDP packet carries, and a TCP packet without options.
pub(crate) const UDP_HEADERS: usize = 14 + 20 + 8;
pub(crate) const TCP_HEADERS: usize = 14 + 20 + 20;
/// More turns than these at one moment are a loop without end.
const TURNS: usize = 20_000;

/// A vif.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VifPlan {
    /// The domain of its backend.
    pub(crate) domain: u16,
    /// What that takes.
    pub(crate) features: Features,
    /// Queues, at most one for each worker.
    pub(crate) queues: usize,
    /// It also has a sub-interface with a tag.
    pub(crate) tagged: bool,
    /// The largest IP packet that it carries.
    pub(crate) mtu: u16,
}

impl Default for VifPlan {
    fn default() -> Self {
        Self {
            domain: 0,
            features: Features::all(),
            queues: usize::MAX,
            tagged: false,
            mtu: 1500,
        }
    }
}

/// A machine of its own for a router.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) workers: usize,
    /// Pages that are free when it starts.
    pub(crate) pages: usize,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            workers: 1,
            pages: 16_384,
        }
    }
}

/// A router with its vifs and their backends.
pub(crate) struct Sim {
    pub(crate) hal: FakeHal,
    pub(crate) router: Router,
    pub(crate) workers: Vec<Worker<FakeHal>>,
    /// Of each vif, one for each queue.
    pub(crate) backends: Vec<Vec<Backend>>,
    pub(crate) now: u64,
    /// Frames that were delivered, and bytes of them that the next has in front.
    pub(crate) delivered: u64,
    /// The pages of all rings.
    pub(crate) rings: Vec<GrantRef>,
    sleeps: Vec<Option<Sleep>>,
    /// Longest that a worker was awake, in turns.
    pub(crate) most_turns: usize,
}

/// What a worker that sleeps waits for.
struct Sleep {
    ports: Vec<u32>,
    deadline: Option<u64>,
}

pub(crate) fn mac(vif: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, 0xa0 + vif as u8]
}

pub(crate) fn host(vif: usize) -> [u8; 6] {
    [2, 0, 0, 0, 1, vif as u8]
}

/// The configuration of a router with these vifs.
pub(crate) fn config(vifs: &[VifPlan]) -> String {
    let mut text = String::new();
    for (n, vif) in vifs.iter().enumerate() {
        let _ = write!(
            text,
            "[interface.v{n}]\nvif = {n}\naddress = [\"10.0.{n}.1/24\"]\n\
             [[neighbor]]\ninterface = \"v{n}\"\naddress = \"10.0.{n}.9\"\nmac = \"02:00:00:00:01:{n:02x}\"\n"
        );
        if vif.tagged {
            let _ = write!(
                text,
                "[interface.t{n}]\nparent = \"v{n}\"\nvlan = 100\naddress = [\"10.1.{n}.1/24\"]\n\
                 [[neighbor]]\ninterface = \"t{n}\"\naddress = \"10.1.{n}.9\"\nmac = \"02:00:00:00:01:{n:02x}\"\n"
            );
        }
    }
    text
}

impl Sim {
    pub(crate) fn new(machine: Machine, vifs: &[VifPlan]) -> Self {
        Self::with(machine, vifs, &config(vifs))
    }

    /// One with a configuration of its own for these vifs.
    pub(crate) fn with(machine: Machine, vifs: &[VifPlan], config: &str) -> Self {
        let hal = FakeHal::new();
        let now = SECOND;
        let config = router::config::from_toml(config).expect("a configuration");
        let mut router = Router::new(&config, 1, Instant(now));
        let Machine { workers, pages } = machine;
        let workers: Vec<_> = (0..workers)
            .map(|_| Worker::new(hal, &mut router, pages, workers))
            .collect();
        let sleeps = workers.iter().map(|_| None).collect();
        let mut sim = Self {
            hal,
            router,
            workers,
            backends: Vec::new(),
            now,
            delivered: 0,
            rings: Vec::new(),
            sleeps,
            most_turns: 0,
        };
        for (n, vif) in vifs.iter().enumerate() {
            let id = InterfaceId(n as u8);
            let domain = DomId(vif.domain);
            let queues = vif.queues.min(sim.workers.len());
            let workers = Resting::new(&mut sim.workers);
            let mut control = Control::new(&mut sim.router, &workers);
            let infos = control.attach(now, id, domain, vif.features, queues);
            let infos = infos.expect("a vif");
            control.link_up(now, id, mac(n), vif.mtu);
            let rings = infos.iter().flat_map(|info| [info.tx_ring, info.rx_ring]);
            sim.rings.extend(rings);
            let connect = |&info| Backend::connect(hal, domain, info);
            sim.backends.push(infos.iter().map(connect).collect());
        }
        for _ in 0..20 {
            sim.now += 100 * MS;
            sim.wake_all();
            sim.complete_all();
        }
        sim.wake_all();
        sim
    }

    pub(crate) fn control<T>(&mut self, f: impl FnOnce(&mut Control<'_, FakeHal>) -> T) -> T {
        f(&mut Control::new(
            &mut self.router,
            &Resting::new(&mut self.workers),
        ))
    }

    /// Wakes workers whether something came for them or not.
    pub(crate) fn wake_all(&mut self) {
        self.sleeps.fill_with(|| None);
        self.turn();
    }

    /// Lets workers do what they have to until all sleep.
    pub(crate) fn turn(&mut self) {
        for at in 0..self.workers.len() {
            let due = match &self.sleeps[at] {
                None => true,
                Some(sleep) => {
                    let came = sleep.ports.iter().fold(false, |came, &port| {
                        // An event that is seen is gone.
                        came | self.hal.take_pending(Port(port))
                    });
                    came || sleep.deadline.is_some_and(|at| at <= self.now)
                }
            };
            if due {
                self.work(at);
            }
        }
    }

    fn work(&mut self, at: usize) {
        let now = self.now;
        for turns in 0.. {
            assert!(turns < TURNS, "worker {at} finds no end");
            self.most_turns = self.most_turns.max(turns);
            let mut busy = self.workers[at].turn(self.router.tables(), now);
            if self.workers[at].needs_service(now) {
                busy |= self.control(|control| control.serve(now));
            }
            if self.workers[at].has_handoff() {
                busy |= self.hand_over(at);
            }
            if busy {
                continue;
            }
            let mut ports = Bounded::<u32, 64>::new();
            let worker = &mut self.workers[at];
            worker.take_events(&mut ports);
            if !worker.arm(now, now / 4) {
                let deadline = worker.deadline();
                self.sleeps[at] = Some(Sleep {
                    ports: ports.to_vec(),
                    deadline,
                });
                return;
            }
        }
    }

    /// Has worker `at` hand over what it has for others, as the guest does.
    fn hand_over(&mut self, at: usize) -> bool {
        let now = self.now;
        let (mut any, mut which) = (false, 0);
        while let Some(to) = self.workers[at].handoff_target(which, at) {
            let [source, target] = self.workers.get_disjoint_mut([at, to]).expect("two");
            any |= source.hand_over(which, target, now);
            which += 1;
        }
        any
    }

    /// Delivers a frame to a queue of a vif; `false` if there is no page for it.
    pub(crate) fn deliver(&mut self, vif: usize, queue: usize, frame: &[u8]) -> bool {
        self.deliver_as(vif, queue, frame, &Delivery::default())
    }

    pub(crate) fn deliver_as(
        &mut self,
        vif: usize,
        queue: usize,
        frame: &[u8],
        how: &Delivery,
    ) -> bool {
        let queue = &mut self.backends[vif][queue];
        let delivered = queue.deliver_as(frame, how);
        queue.publish();
        self.delivered += u64::from(delivered);
        delivered
    }

    /// Lets the backend of a vif take up to `slots` slots of what was sent.
    pub(crate) fn complete(&mut self, vif: usize, slots: usize) -> Vec<Sent> {
        let mut all = Vec::new();
        for backend in &mut self.backends[vif] {
            let mut left = slots;
            while left > 0
                && let Some(sent) = backend.take_sent()
            {
                backend.complete(&sent, RSP_OKAY);
                left = left.saturating_sub(sent.ids.len() + usize::from(sent.gso.is_some()));
                all.push(sent);
            }
            backend.publish();
        }
        all
    }

    /// Lets all backends take all that was sent.
    pub(crate) fn complete_all(&mut self) -> Vec<Vec<Sent>> {
        let vifs = 0..self.backends.len();
        vifs.map(|vif| self.complete(vif, usize::MAX)).collect()
    }

    /// Frames that an interface counted as dropped, by reason.
    pub(crate) fn drops(&mut self, interface: u8) -> BTreeMap<&'static str, u64> {
        self.control(|control| control.gather_counters());
        let counters = self.router.counters(InterfaceId(interface));
        let counters = counters.expect("an interface");
        let reasons = DropReason::ALL.iter();
        reasons
            .map(|&reason| (reason.name(), counters.dropped(reason)))
            .filter(|&(_, count)| count > 0)
            .collect()
    }

    /// Takes all vifs away, and asserts that nothing is left of them.
    pub(crate) fn finish(mut self) {
        let now = self.now;
        for vif in 0..self.backends.len() {
            self.control(|control| control.detach(now, InterfaceId(vif as u8)));
        }
        let left = (self.hal.grants(), self.hal.pages(), self.hal.ports());
        assert_eq!(left, (0, 0, 0));
    }

    /// Asserts that all pages are free or posted.
    pub(crate) fn assert_idle(&self) {
        for worker in &self.workers {
            for (peer, stats) in worker.pools() {
                let sum = stats.sum();
                assert_eq!((sum.held, sum.sending), (0, 0), "pages for {peer:?}");
                assert_eq!(sum.total(), stats.total, "pages for {peer:?}");
            }
        }
    }
}

/// The address behind a vif, or behind its sub-interface.
fn address(vif: usize, tagged: bool) -> [u8; 4] {
    [10, u8::from(tagged), vif as u8, 9]
}

fn ipv4(from: usize, to: usize, tagged: bool, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = [mac(from), host(from)].as_flattened().to_vec();
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((20 + rest.len() as u16).to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    bytes.extend(address(from, false));
    bytes.extend(address(to, tagged));
    fill_checksum(&mut bytes);
    bytes.extend(rest);
    bytes
}

/// Fills in the checksum of the IPv4 header of a frame.
pub(crate) fn fill_checksum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let end = 14 + usize::from(frame[14] & 0xf) * 4;
    let words = frame[14..end].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
}

/// A UDP packet without a checksum.
pub(crate) fn udp(from: usize, to: usize, tagged: bool, payload: &[u8]) -> Vec<u8> {
    let mut rest = vec![4, 0, 0, 80];
    rest.extend((8 + payload.len() as u16).to_be_bytes());
    rest.extend([0, 0]);
    rest.extend(payload);
    ipv4(from, to, tagged, 17, &rest)
}

/// A TCP packet.
pub(crate) fn tcp(from: usize, to: usize, tagged: bool, payload: &[u8]) -> Vec<u8> {
    let mut rest = vec![
        4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
    ];
    rest.extend(payload);
    ipv4(from, to, tagged, 6, &rest)
}

/// How a large TCP packet is delivered.
pub(crate) fn large(gso_size: u16) -> Delivery {
    Delivery {
        flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
        extras: vec![Extra::Gso(Gso {
            kind: GsoKind::TcpV4,
            size: gso_size,
        })],
        ..Delivery::default()
    }
}

/// Something that happens this many times a second, on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_second: u64,
    /// Parts of a second that wait for the next.
    waiting: u64,
}

impl Rate {
    pub(crate) fn new(per_second: u64) -> Self {
        Self {
            per_second,
            waiting: 0,
        }
    }

    pub(crate) fn per_second(&self) -> u64 {
        self.per_second
    }

    /// How many are due after this many ns more.
    pub(crate) fn after(&mut self, ns: u64) -> usize {
        self.waiting += self.per_second * ns;
        let due = self.waiting / SECOND;
        self.waiting %= SECOND;
        due as usize
    }
}
