//! The routers and frames that benchmarks of the data plane use.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use data_plane::{Control, Resting, Worker};
use heapless::Vec as Bounded;
use netif::Features;
use netif::fakes::Backend;
use router::addr::Network;
use router::config::{RouteConfig, RouteTarget, Via};
use router::{Config, InterfaceId, Router, Tables};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

const PEER: DomId = DomId(0);
const ROUTES: [u32; 4] = [1, 1_000, 10_000, 1_000_000];
/// Gateways on the way out, which routes take in turn.
pub(crate) const GATEWAYS: u32 = 16;
/// Bytes of a frame: the shortest on Ethernet, without its check sequence.
pub(crate) const LEN: usize = 60;
/// From burst to burst, in ns.
pub(crate) const PERIOD: u64 = 64 * 2_000;
pub(crate) const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa0], [2, 0, 0, 0, 0, 0xa1]];
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// How many routes there are.
    pub(crate) routes: u32,
    /// Sources are filtered by reverse path.
    pub(crate) strict: bool,
    /// Every frame has another source and destination than the one before.
    pub(crate) many: bool,
}

impl Case {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ROUTES.into_iter().flat_map(|routes| {
            [(true, false), (true, true), (false, false), (false, true)].map(|(strict, many)| {
                Self {
                    routes,
                    strict,
                    many,
                }
            })
        })
    }

    pub(crate) fn traffic(self) -> String {
        let flows = if self.many { "many_flows" } else { "one_flow" };
        let plural = if self.routes == 1 { "" } else { "s" };
        format!("{flows}_{}_route{plural}", self.routes)
    }

    pub(crate) fn name(self) -> String {
        let traffic = self.traffic();
        let traffic = traffic.trim_end_matches("_10000_routes");
        format!("{traffic}{}", if self.strict { "" } else { "_plain" })
    }

    /// With a million routes more than a cache of the processor holds.
    pub(crate) fn flows(self) -> u32 {
        match (self.many, self.routes) {
            (false, _) => 1,
            (true, 1_000_000) => 1 << 18,
            (true, _) => 4096,
        }
    }

    fn config(self) -> Config {
        let rpf = if self.strict {
            "rpf = \"strict\"\n"
        } else {
            ""
        };
        let mut text = format!(
            "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n{rpf}\
             [interface.lan]\nvif = 1\naddress = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n{rpf}\
             [[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.0.254\"\nmac = \"02:00:00:00:00:99\"\n\
             [[route]]\nprefix = \"172.16.0.0/12\"\nvia = [\"10.0.0.254\"]\n",
        );
        for gateway in 0..GATEWAYS {
            let _ = write!(
                text,
                "[[neighbor]]\ninterface = \"lan\"\naddress = \"10.0.1.{}\"\nmac = \"02:00:00:00:01:{gateway:02x}\"\n",
                gateway + 100
            );
        }
        router::config::from_toml(&text).expect("the benchmark's configuration")
    }

    /// The router with all its routes, which as text would take long to read.
    pub(crate) fn router(self, now: u64) -> Router {
        let mut router = Router::new(&self.config(), 1, router::Instant(now));
        for i in 0..self.routes {
            let via = Via {
                address: Ipv4Addr::from_bits(0x0a00_0164 + i % GATEWAYS).into(),
                interface: 1,
                weight: 1,
            };
            let route = RouteConfig {
                prefix: Network {
                    address: Ipv4Addr::from_bits(prefix(i)).into(),
                    len: 24,
                },
                vrf: 0,
                target: RouteTarget::Via(vec![via]),
                mtu: None,
            };
            router.insert_route(&route).expect("a route");
        }
        router
    }

    /// The route that a flow takes.
    pub(crate) fn route(self, flow: u32) -> u32 {
        flow.wrapping_mul(2_654_435_761) % self.routes
    }

    /// The frames of all flows as they come.
    pub(crate) fn frames(self) -> Vec<[u8; LEN]> {
        let flows = 0..self.flows();
        flows
            .map(|flow| frame(flow, self.route(flow), [MACS[0], HOST_MAC], 64))
            .collect()
    }
}

/// The prefixes, spread over the address space like those of many origins.
pub(crate) fn prefix(i: u32) -> u32 {
    const ALL: u32 = 100 * 256;
    let second = ((i % ALL).wrapping_mul(0x9e37_79b1) >> 24) + i / ALL;
    (20 + i % 100) << 24 | (second & 0xff) << 16 | ((i / 100) & 0xff) << 8
}

/// A frame; flows differ in source and destination.
pub(crate) fn frame(flow: u32, route: u32, macs: [[u8; 6]; 2], ttl: u8) -> [u8; LEN] {
    let source = 0xac10_0000 | flow.wrapping_mul(0x9e37_79b1) >> 12;
    let destination = prefix(route) | 7;
    let mut f = [0; LEN];
    f[..12].copy_from_slice(macs.as_flattened());
    f[12..15].copy_from_slice(&[8, 0, 0x45]);
    f[16..18].copy_from_slice(&(LEN as u16 - 14).to_be_bytes());
    f[22..24].copy_from_slice(&[ttl, 17]);
    f[26..30].copy_from_slice(&source.to_be_bytes());
    f[30..34].copy_from_slice(&destination.to_be_bytes());
    let words = f[14..34].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    f[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    f
}

/// Makes a queue of both vifs of a plane, for backends in this process.
pub(crate) fn attach(
    hal: FakeHal,
    router: &mut Router,
    plane: &mut Worker<FakeHal>,
    now: u64,
) -> [Backend; 2] {
    [0, 1].map(|n| {
        let id = InterfaceId(n);
        let lanes = Resting::new([&mut *plane]);
        let mut control = Control::new(router, &lanes);
        let infos = control.attach(now, id, PEER, Features::all(), 1);
        let backend = Backend::connect(hal, PEER, infos.expect("a vif")[0]);
        control.link_up(now, id, MACS[usize::from(n)], 1500);
        backend
    })
}

/// The loop of the guest, until it would sleep.
#[inline(never)]
pub(crate) fn measured(
    plane: &mut Worker<FakeHal>,
    tables: &Tables,
    now: u64,
    ran: u64,
) -> Option<u64> {
    let mut ports = Bounded::<u32, 64>::new();
    loop {
        if plane.turn(tables, now) {
            continue;
        }
        ports.clear();
        plane.take_events(&mut ports);
        if !plane.arm(now, ran) {
            return plane.deadline();
        }
    }
}
