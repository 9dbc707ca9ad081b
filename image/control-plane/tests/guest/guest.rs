//! A guest in that machine, and dom0 around it.

use std::collections::BTreeMap;
use std::rc::Rc;

use control_plane::fake::FakeMachine;
use control_plane::{ControlPlane, Platform, configured_router};
use netif::fakes::{Backend, ControlBackend, Hashing};
use netif::{ControlInfo, Ports, QueueInfo};
use router::Instant;
use xen_hal::{DomId, GrantRef, Port};
use xenbus::XenbusState;
use xenbus::fake::{LinuxBackend, Toolstack, backend_dir};
use xenstore::Store;
use xenstore::fake::FakeStore;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;
/// Where the guest's clock stands at its start.
pub(crate) const START: u64 = 5 * MS;

/// What Linux's netback says of itself, but for the number of queues.
pub(crate) const LINUX: [(&str, &str); 6] = [
    ("feature-rx-copy", "1"),
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-gso-tcpv6", "1"),
    ("feature-ipv6-csum-offload", "1"),
    ("feature-split-event-channels", "1"),
];

/// A vif as dom0 has it.
pub(crate) struct Vif {
    /// What it does on xenstore.
    pub(crate) linux: LinuxBackend,
    /// Its rings, one for each queue, once it has mapped them.
    pub(crate) queues: Vec<Backend>,
    /// Its control ring, if there is one.
    pub(crate) control: Option<(ControlBackend, Hashing)>,
    connects: u32,
    domain: DomId,
}

pub(crate) struct Guest {
    pub(crate) machine: Rc<FakeMachine>,
    pub(crate) server: FakeStore,
    pub(crate) control: ControlPlane,
    pub(crate) vifs: BTreeMap<u32, Vif>,
}

impl Guest {
    /// One that was started with a configuration file, and `cpus` CPUs. It hasn't done anything
    /// yet.
    pub(crate) fn start(file: &str, cpus: usize) -> Self {
        Self::start_on(file, cpus, |_| ())
    }

    /// The same on a machine that is made ready by `prepare`.
    pub(crate) fn start_on(file: &str, cpus: usize, prepare: fn(&FakeMachine)) -> Self {
        let ramdisk = Some(file.as_bytes());
        let (router, error) = configured_router(ramdisk, "", || 1 << 22, 1, Instant(START));
        let machine = Rc::new(FakeMachine::new(router, cpus, START));
        prepare(&machine);
        machine.control(|control| control.poll(START));
        let server = FakeStore::new(1);
        server.set("data/ringway", "");
        server.set("control/shutdown", "");
        let store = Store::new(server.transport());
        let platform: Rc<dyn Platform> = machine.clone();
        Self {
            control: ControlPlane::start(platform, store, error),
            machine,
            server,
            vifs: BTreeMap::new(),
        }
    }

    /// dom0 adds a vif whose backend is like Linux's.
    pub(crate) fn add_vif(&mut self, id: u32) {
        self.add_vif_with(id, 0, &LINUX);
    }

    /// dom0 adds a vif with a backend in domain `domain` that says this of itself.
    pub(crate) fn add_vif_with(&mut self, id: u32, domain: u16, keys: &[(&str, &str)]) {
        let mac = format!("00:16:3e:00:00:{:02x}", id + 1);
        self.server.set(&format!("device/vif/{id}/mac"), mac);
        let back = backend_dir("vif", id, domain);
        for (key, value) in keys {
            self.server.set(&format!("{back}/{key}"), value);
        }
        self.server.add_device("vif", id, domain);
        self.vifs.insert(
            id,
            Vif {
                linux: LinuxBackend::new(&self.server, "vif", id, domain),
                queues: Vec::new(),
                control: None,
                connects: 0,
                domain: DomId(domain),
            },
        );
    }

    /// dom0 removes a vif, backend and frontend.
    pub(crate) fn remove_vif(&mut self, id: u32) {
        self.server.remove(&backend_dir("vif", id, 0));
        self.server.remove(&format!("device/vif/{id}"));
        self.vifs.remove(&id);
    }

    /// Lets all take turns until nobody has anything to do, while no time passes.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// The guest's loop, once, and those who answer it.
    pub(crate) fn turn(&mut self) -> bool {
        let now = self.machine.now_ns.get();
        let mut busy = false;
        let mut wanted = self.machine.service_requested.replace(false);
        {
            let router = self.machine.router.borrow();
            for worker in self.machine.workers.borrow_mut().iter_mut() {
                busy |= worker.turn(router.tables(), now);
                wanted |= worker.needs_service(now) | worker.has_fault();
            }
        }
        if wanted {
            busy |= self.control.serve(now);
        }
        self.control.poll_rss();
        busy |= self.control.turn();
        if !self.machine.typed.borrow().is_empty() {
            self.control.read_console();
            busy = true;
        }
        for (&id, vif) in &mut self.vifs {
            busy |= vif.linux.step();
            if vif.connects != vif.linux.connects {
                vif.connects = vif.linux.connects;
                vif.map_rings(&self.server, self.machine.hal, id);
            }
            if let Some((control, hashing)) = &mut vif.control {
                busy |= control.serve(hashing) > 0;
            }
        }
        busy
    }

    /// Lets `duration_ns` pass, a millisecond at a time.
    pub(crate) fn run_for(&mut self, duration_ns: u64) {
        let end = self.machine.now_ns.get() + duration_ns;
        self.run();
        while self.machine.now_ns.get() < end {
            let next = (self.machine.now_ns.get() + MS).min(end);
            self.machine.now_ns.set(next);
            self.run();
        }
    }

    /// The value of one of the guest's keys.
    pub(crate) fn key(&self, key: &str) -> Option<String> {
        self.server.get(&format!("data/ringway/{key}"))
    }

    /// What `data/ringway/state` says.
    pub(crate) fn state(&self) -> String {
        self.key("state").unwrap_or_default()
    }

    /// The state of a vif's frontend.
    pub(crate) fn frontend(&self, id: u32) -> XenbusState {
        let state = self.server.get(&format!("device/vif/{id}/state"));
        XenbusState::parse(state.unwrap_or_default().as_bytes())
    }

    /// A key of a vif's frontend.
    pub(crate) fn vif_key(&self, id: u32, key: &str) -> Option<String> {
        self.server.get(&format!("device/vif/{id}/{key}"))
    }

    /// What was printed on the console since this was last asked.
    pub(crate) fn printed(&self) -> String {
        self.machine.printed.take()
    }

    /// Somebody types on the console.
    pub(crate) fn type_keys(&mut self, keys: &str) -> String {
        self.printed();
        self.machine.typed.borrow_mut().extend(keys.bytes());
        self.run();
        self.printed()
    }

    /// dom0 gives a command. Returns the parts of the reply.
    pub(crate) fn command(&mut self, line: &str) -> Vec<String> {
        self.server.remove("data/ringway/reply");
        self.server.set("data/ringway/command", line);
        self.run();
        let count = self.key("reply/done").expect("a reply");
        let count: usize = count.parse().expect("a number");
        let part = |at| self.key(&format!("reply/{at}")).expect("a part");
        (0..count).map(part).collect()
    }

    /// The frames that the first queue of a vif's backend gets.
    pub(crate) fn sent(&mut self, id: u32) -> Vec<Vec<u8>> {
        let queue = &mut self.vifs.get_mut(&id).expect("a vif").queues[0];
        let sent = queue.transmit();
        queue.publish();
        sent.into_iter().map(|sent| sent.bytes).collect()
    }

    /// A frame comes in on the first queue of a vif.
    pub(crate) fn deliver(&mut self, id: u32, frame: &[u8]) {
        let queue = &mut self.vifs.get_mut(&id).expect("a vif").queues[0];
        assert!(queue.deliver(frame), "no page on the receive ring");
        queue.publish();
        self.run();
    }
}

impl Vif {
    /// The backend maps what the frontend announces.
    fn map_rings(&mut self, server: &FakeStore, hal: xen_hal::fake::FakeHal, id: u32) {
        let domain = self.domain;
        let key = |name: &str| -> Option<u32> {
            let value = server.get(&format!("device/vif/{id}/{name}"))?;
            value.parse().ok()
        };
        let queue = |folder: &str| {
            let key = |name: &str| key(&format!("{folder}{name}"));
            let port = |name: &str| key(name).map(Port);
            let ports = match port("event-channel") {
                Some(port) => Ports::Shared(port),
                None => Ports::Split {
                    tx: port("event-channel-tx").expect("a port"),
                    rx: port("event-channel-rx").expect("a port"),
                },
            };
            let info = QueueInfo {
                tx_ring: GrantRef(key("tx-ring-ref").expect("a ring")),
                rx_ring: GrantRef(key("rx-ring-ref").expect("a ring")),
                ports,
            };
            Backend::connect(hal, domain, info)
        };
        self.queues = match key("multi-queue-num-queues") {
            None => vec![queue("")],
            Some(count) => (0..count)
                .map(|at| queue(&format!("queue-{at}/")))
                .collect(),
        };
        self.control = key("ctrl-ring-ref").map(|ring| {
            let info = ControlInfo {
                ring: GrantRef(ring),
                port: Port(key("event-channel-ctrl").expect("a port")),
            };
            let hashing = Hashing::new(self.queues.len() as u32);
            (ControlBackend::connect(hal, domain, info), hashing)
        });
    }
}
