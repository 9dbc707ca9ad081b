//! Fuzz targets. Under plain `cargo test` each runs its corpus, `__fuzz__/NAME/corpus`, and a
//! fixed number of inputs made up; `make fuzz` looks for more with coverage.

mod allocations;

use bolero::{TypeGenerator, check};
use router::{
    Egress, FrameMeta, HEADER_LEN, Header, Instant, InterfaceId, NoRoom, REWRITTEN, Router,
    Verdict, Verdicts, config, snapshot,
};

const CONFIG: &str = r#"
hostname = "fuzz"
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
mtu = 1280
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "10.0.2.1/31", "2001:db8:1::1/64"]
rpf = "loose"
directed_broadcast = true
redirects = true
source_route = true
proxy_arp = true
[interface.lan7]
parent = "lan"
vlan = 7
address = ["10.0.7.1/24", "2001:db8:7::1/64"]
[interface.lan7q9]
parent = "lan7"
vlan = 9
address = ["10.0.79.1/24"]
[interface.lan.advertise]
dns = ["2001:db8::53"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254", "10.0.0.253@3"]
[[route]]
prefix = "10.0.64.0/18"
interface = "lan"
[[route]]
prefix = "10.9.0.0/16"
action = "prohibit"
[[neighbor]]
interface = "wan"
address = "10.0.0.254"
mac = "02:00:00:00:00:fe"
[[route]]
prefix = "::/0"
via = ["fe80::fe%wan", "2001:db8::fd@3"]
[[neighbor]]
interface = "wan"
address = "fe80::fe"
mac = "02:00:00:00:00:fe"
"#;

/// Of lan7, lan7q9, with a priority only, and of nobody.
const TAGS: [&[u8]; 4] = [
    &[0x81, 0, 0, 7],
    &[0x81, 0, 0, 7, 0x81, 0, 0x20, 9],
    &[0x88, 0xa8, 0xe0, 0],
    &[0x81, 0, 0, 8],
];

const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa0], [2, 0, 0, 0, 0, 0xa1]];

/// A frame that is nearly right: random bytes alone would seldom pass the first check.
#[derive(Debug, TypeGenerator)]
struct Step {
    interface: bool,
    /// Below 4: which tags it has.
    tags: u8,
    arp: u8,
    destination: u8,
    network: u8,
    protocol: u8,
    header_words: u8,
    fragment: u16,
    ttl: u8,
    tail: Vec<u8>,
    stretch: u16,
    /// Positions and values that are then changed.
    changes: Vec<(u8, u8)>,
    damage: u8,
    broken: u8,
    flags: u8,
    segment_len: u16,
    millis: u16,
    no_room: bool,
    link: u8,
    six: Option<Six>,
}

/// What makes the frame one of IPv6.
#[derive(Debug, TypeGenerator)]
struct Six {
    source: u8,
    destination: u8,
    target: u8,
    /// Extension headers: which, and what is in them.
    extensions: Vec<(u8, [u8; 6])>,
    kind: u8,
    code: u8,
    flags: u8,
    options: Vec<(u8, u8)>,
    sum: u8,
}

const ADDRESSES: [&str; 16] = [
    "2001:db8::1",
    "2001:db8:1::1",
    "fe80::ff:fe00:a0",
    "fe80::ff:fe00:a1",
    "2001:db8::9",
    "2001:db8:1::9",
    "2001:db8:1::a",
    "fe80::9",
    "fe80::fe",
    "::",
    "ff02::1",
    "ff02::2",
    "ff02::1:ff00:1",
    "2001:db8:1::",
    "2a00::1",
    "ff0e::1",
];

fn address(at: u8) -> [u8; 16] {
    let text = ADDRESSES[usize::from(at % 16)];
    text.parse::<std::net::Ipv6Addr>()
        .expect("it is good")
        .octets()
}

impl Six {
    fn frame(&self, step: &Step) -> Vec<u8> {
        let destination = address(self.destination);
        let mut f = match destination {
            [0xff, .., a, b, c, d] => vec![0x33, 0x33, a, b, c, d],
            _ => MACS[usize::from(step.interface)].to_vec(),
        };
        let source = address(self.source);
        f.extend([2, 0, 0, 0, 1, self.source]);
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 0, 0]);
        f.extend(source);
        f.extend(destination);
        let mut link = 20;
        for &(kind, data) in self.extensions.iter().take(3) {
            let kind = [0, 43, 44, 60][usize::from(kind % 4)];
            f[link] = kind;
            link = f.len();
            f.extend([59, if kind == 44 { 0 } else { data[0] & 1 }]);
            f.extend(if data[5] % 4 == 0 {
                data
            } else {
                [1, 4, 0, 0, 0, 0]
            });
        }
        let upper = f.len();
        match step.protocol % 4 {
            0 => {
                f[link] = 17;
                f.extend(&step.tail);
            }
            other => {
                f[link] = 58;
                let kinds = [128, 129, 1, 2, 4, 130, 131, 133, 134, 135, 136, 137, 143];
                let kind = kinds[usize::from(self.kind) % kinds.len()];
                f.extend([
                    kind,
                    if self.code.is_multiple_of(8) {
                        self.code
                    } else {
                        0
                    },
                    0,
                    0,
                ]);
                f.extend([self.flags, 0, 0, 0]);
                f.extend(address(self.target));
                for &(kind, value) in self.options.iter().take(2) {
                    f.extend([kind % 4, 1, 2, value, value, 0, 0, value]);
                }
                if other == 1 {
                    f.extend(&step.tail);
                }
            }
        }
        f.resize(
            f.len()
                + usize::from(if step.stretch.is_multiple_of(4) {
                    step.stretch % 2000
                } else {
                    0
                }),
            0,
        );
        let len = (f.len() - 54) as u16;
        f[18..20].copy_from_slice(&len.to_be_bytes());
        f[21] = if step.ttl.is_multiple_of(2) {
            255
        } else {
            step.ttl
        };
        if f[link] == 58 && !self.sum.is_multiple_of(8) {
            let message = f[upper..].to_vec();
            let mut sum: u32 = 58 + message.len() as u32;
            for pair in f[22..54].chunks(2).chain(message.chunks(2)) {
                sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            }
            while sum >> 16 != 0 {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            if let Some(field) = f.get_mut(upper + 2..upper + 4) {
                field.copy_from_slice(&(!(sum as u16)).to_be_bytes());
            }
        }
        let changes = if step.damage.is_multiple_of(4) { 3 } else { 0 };
        for &(at, value) in step.changes.iter().take(changes) {
            if let Some(byte) = f.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        f
    }
}

impl Step {
    fn frame(&self) -> Vec<u8> {
        if let Some(six) = &self.six {
            return six.frame(self);
        }
        let own = MACS[usize::from(self.interface)];
        let mut f = if self.destination % 8 == 7 {
            vec![0xff; 6]
        } else {
            own.to_vec()
        };
        f.extend([2, 0, 0, 0, 1, self.ttl]);
        let network = [0, 1, 2, 9, 70][usize::from(self.network % 5)];
        let arp = self.arp.is_multiple_of(8);
        if arp {
            f.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + (self.protocol & 1)]);
            f.extend([
                2,
                0,
                0,
                0,
                1,
                self.ttl,
                10,
                0,
                u8::from(self.interface),
                self.ttl,
            ]);
            f.extend([0; 6]);
            f.extend([10, 0, network, self.destination & 3]);
        } else {
            let words = 5 + if self.header_words.is_multiple_of(8) {
                self.header_words / 8 % 4
            } else {
                0
            };
            f.extend([8, 0, 0x40 | words, 0, 0, 0, 1, 1]);
            let fragment = if self.fragment.is_multiple_of(4) {
                self.fragment / 4
            } else {
                self.fragment & 0x4000
            };
            f.extend(fragment.to_be_bytes());
            f.extend([
                self.ttl,
                [1, 6, 17][usize::from(self.protocol % 3)],
                0,
                0,
                10,
                0,
            ]);
            f.extend([
                u8::from(self.interface),
                9,
                10,
                0,
                network,
                self.destination,
            ]);
            f.extend(self.tail.iter().copied().chain([0; 12]));
            f.resize(
                f.len()
                    + usize::from(if self.stretch.is_multiple_of(4) {
                        self.stretch % 2000
                    } else {
                        0
                    }),
                0,
            );
            let total = (f.len() - 14) as u16;
            f[16..18].copy_from_slice(&total.to_be_bytes());
        }
        let changes = if self.damage.is_multiple_of(4) { 3 } else { 0 };
        for &(at, value) in self.changes.iter().take(changes) {
            if let Some(byte) = f.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        if !self.broken.is_multiple_of(8) && !arp {
            let len = usize::from(f[14] & 15) * 4;
            if let Some(header) = f.get_mut(14..14 + len).filter(|h| h.len() >= 20) {
                header[10..12].fill(0);
                let sum: u32 = header
                    .chunks(2)
                    .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
                    .sum();
                let sum = (sum & 0xffff) + (sum >> 16);
                let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        }
        f
    }
}

struct Out(bool);

impl Egress for Out {
    fn room(&self, _: InterfaceId) -> usize {
        if self.0 { 0 } else { usize::MAX }
    }

    fn send(&mut self, out: InterfaceId, frame: &[u8], meta: FrameMeta) -> Result<(), NoRoom> {
        assert!(out.0 < 4 && frame.len() == meta.len as usize);
        let ip = frame[12..14] == [8, 0] || frame[12..14] == [0x86, 0xdd];
        let whole = !ip || frame.len() <= 14 + 1500 || meta.segment_len != 0;
        assert!(whole, "too long a frame of {} bytes", frame.len());
        if self.0 { Err(NoRoom) } else { Ok(()) }
    }
}

fn balance(router: &Router) {
    let (mut sources, mut sinks) = (0, 0);
    for at in 0..4 {
        let c = router.counters(InterfaceId(at)).expect("four interfaces");
        sources += c.rx_packets + c.originated;
        sinks += c.tx_packets + c.consumed + c.dropped_total();
    }
    assert_eq!(sources, sinks + router.pending() as u64);
}

#[test]
fn ethernet_to_verdict() {
    let config = config::from_toml(CONFIG).expect("it is good");
    check!()
        .with_iterations(1000)
        .with_type::<Vec<Step>>()
        .for_each(|steps| {
            let mut now = Instant::from_secs(1);
            let mut router = Router::new(&config, 7, now);
            for at in 0..2 {
                router.link_up(now, InterfaceId(at), MACS[usize::from(at)], 1500);
            }
            for step in steps {
                let mut frame = step.frame();
                let vif = InterfaceId(u8::from(step.interface));
                let mut input = vif;
                if let Some(tags) = TAGS.get(usize::from(step.tags % 8))
                    && frame.len() >= 12
                {
                    frame.splice(12..12, tags.iter().copied());
                }
                let mut meta = FrameMeta {
                    len: frame.len() as u32,
                    segment_len: if step.segment_len.is_multiple_of(16) {
                        step.segment_len
                    } else {
                        0
                    },
                    // No frame comes as a segment of another.
                    flags: router::FrameFlags::from_bits_truncate(step.flags & 3),
                };
                let mut header = [Header([step.ttl; HEADER_LEN])];
                let len = frame.len().min(HEADER_LEN);
                header[0].0[..len].copy_from_slice(&frame[..len]);
                let mut verdict = [Verdict::Drop];
                let before = header[0];
                // Whatever it is, it takes no memory.
                let found = allocations::none(|| {
                    router.process(now, input, &mut header, &[meta], &mut verdict)
                });
                match found {
                    Verdicts::AllTo(out) => assert_eq!(verdict[0], Verdict::Forward(out)),
                    found => assert_eq!(
                        found == Verdicts::Tagged,
                        matches!(verdict[0], Verdict::Tagged(_))
                    ),
                }
                if let Verdict::Tagged(interface) = verdict[0] {
                    let mut next = [0; 8];
                    let rest = frame.get(HEADER_LEN..).unwrap_or(&[]);
                    let len = rest.len().min(8);
                    next[..len].copy_from_slice(&rest[..len]);
                    let tags = before.tags_len();
                    frame.drain(12..12 + tags);
                    header[0].untag(next);
                    assert_eq!(
                        header[0].0[..frame.len().min(HEADER_LEN)],
                        frame[..frame.len().min(HEADER_LEN)]
                    );
                    meta.len -= tags as u32;
                    input = interface;
                    allocations::none(|| {
                        router.process(now, input, &mut header, &[meta], &mut verdict)
                    });
                }
                match verdict[0] {
                    Verdict::Punt => router.punt(input, meta, |to| to.copy_from_slice(&frame)),
                    Verdict::Forward(out) => {
                        assert!(out.0 < 4 && frame.len() >= 34);
                        let (hops, sum) = if frame[14] >> 4 == 6 {
                            (21, 22)
                        } else {
                            (22, 26)
                        };
                        assert_eq!(header[0].0[12..hops], frame[12..hops]);
                        assert_eq!(header[0].0[hops], frame[hops] - 1);
                        let rest = REWRITTEN.min(frame.len());
                        assert_eq!(header[0].0[sum..rest], frame[sum..rest]);
                    }
                    Verdict::Drop => {}
                    Verdict::Tagged(_) => panic!("it has no more tags"),
                }
                balance(&router);
                now = Instant(now.0 + u64::from(step.millis) * 1_000_000);
                router.poll(now, 4, &mut Out(step.no_room));
                balance(&router);
                match step.link {
                    0 => router.link_down(vif),
                    1 => router.link_up(now, vif, MACS[usize::from(vif.0)], 1400),
                    2 => router.apply(now, &config).unwrap(),
                    _ => {}
                }
                balance(&router);
            }
        });
}

#[test]
fn configuration_file() {
    let lines: Vec<&str> = CONFIG.lines().collect();
    check!()
        .with_iterations(3000)
        .with_type::<(Vec<(u8, u8)>, Vec<(u16, u8)>)>()
        .for_each(|(moves, changes)| {
            // Lines in another order and with other bytes, then anything at all.
            let mut picked: Vec<&str> = lines.clone();
            for &(from, to) in moves.iter().take(4) {
                let line = picked.remove(usize::from(from) % picked.len());
                picked.insert(usize::from(to) % (picked.len() + 1), line);
            }
            let mut bytes = picked.join("\n").into_bytes();
            for &(at, value) in changes.iter().take(6) {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            if let Ok(config) = config::from_ramdisk(&bytes) {
                let mut router = Router::new(&config, 1, Instant(0));
                for at in 0..config.vifs() {
                    router.link_up(Instant(0), InterfaceId(at as u8), MACS[0], 1500);
                }
                assert_eq!(snapshot::interfaces(&router).len(), config.interfaces.len());
                for vrf in 0..config.vrfs.len() {
                    assert!(snapshot::routes(&router, vrf).is_some());
                }
                drop(snapshot::neighbors(&router));
                drop(snapshot::counters(&router));
            }
        });
}

#[test]
fn configuration_text() {
    check!().with_iterations(3000).for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Err(error) = config::from_toml(&text) {
            assert!(!error.text.is_empty());
        }
    });
}

#[test]
fn extra_text() {
    const WORDS: [&str; 12] = [
        "ip=0:10.0.0.1/24",
        "ip=1:10.0.1.1/24",
        "route=0.0.0.0/0,10.0.0.254",
        "mtu=0:1500",
        "hostname=a",
        "log=info",
        "route=",
        ",",
        "@3",
        "ip=",
        " ",
        "=",
    ];
    check!()
        .with_iterations(3000)
        .with_type::<Vec<(u8, bool, u8)>>()
        .for_each(|parts| {
            let mut text = String::new();
            for &(word, space, letter) in parts {
                text += WORDS[usize::from(word) % WORDS.len()];
                text.push(if space { ' ' } else { char::from(letter) });
            }
            let _ = config::from_extra(&text);
        });
}

#[test]
fn tar_archives() {
    let mut good = vec![0u8; 512];
    good[..12].copy_from_slice(b"ringway.toml");
    good[124..135].copy_from_slice(b"00000000024");
    good[257..262].copy_from_slice(b"ustar");
    good.extend(b"hostname = \"a\"\n# ...");
    good.resize(1024, 0);
    check!()
        .with_iterations(3000)
        .with_type::<(Vec<(u16, u8)>, bool, u16)>()
        .for_each(|(changes, repair, cut)| {
            let mut archive = [&good[..], &good[..]].concat();
            for &(at, value) in changes.iter().take(5) {
                archive[usize::from(at) % 2048] = value;
            }
            if *repair {
                for start in [0, 1024] {
                    archive[start + 148..start + 156].fill(b' ');
                    let sum: u32 = archive[start..start + 512]
                        .iter()
                        .map(|&b| u32::from(b))
                        .sum();
                    archive[start + 148..start + 154]
                        .copy_from_slice(format!("{sum:06o}").as_bytes());
                }
            }
            archive.truncate(2048 - usize::from(*cut) % 1024);
            let files = config::tar_entries(&archive).count();
            assert!(files <= 4);
            let _ = config::from_ramdisk(&archive);
        });
}

/// One change of a forwarding table. Few bits make prefixes that nest and meet again.
#[derive(Debug, TypeGenerator)]
struct Change {
    remove: bool,
    high: u8,
    low: u16,
    len: u8,
    value: u8,
}

#[test]
fn forwarding_tables() {
    use lpm::Table;
    check!()
        .with_iterations(300)
        .with_type::<(u8, Vec<Change>)>()
        .for_each(|(filled, changes)| {
            let (mut four, mut six) = (Table::<u32>::new(0), Table::<u128>::new(0));
            let mut held = std::collections::BTreeMap::new();
            if filled.is_multiple_of(16) {
                // Enough for an index.
                for i in 0..1100u32 {
                    four.insert(i << 14, 20, 7);
                    six.insert(u128::from(i) << 100, 30, 7);
                    held.insert((i << 14, 20), 7);
                }
            }
            for change in changes {
                let len = change.len % 33;
                let mask = !u32::MAX.checked_shr(len.into()).unwrap_or(0);
                let address = u32::from(change.high & 3) << 24 | u32::from(change.low) << 8;
                let (prefix, value) = (address & mask, u32::from(change.value));
                let wide = |prefix: u32, len: u8| (u128::from(prefix) << 96 >> 10, len + 10);
                let (prefix6, len6) = wide(prefix, len);
                let wanted = if change.remove {
                    assert_eq!(four.remove(prefix, len), six.remove(prefix6, len6));
                    held.remove(&(prefix, len))
                } else {
                    let old = four.insert(prefix, len, value);
                    assert_eq!(old, six.insert(prefix6, len6, value));
                    let before = held.insert((prefix, len), value);
                    assert_eq!(old, before);
                    before
                };
                let now = held.get(&(prefix, len)).copied();
                assert_eq!(four.get(prefix, len), now, "{wanted:?}");
                let longest = (0..=32u8).rev().find_map(|len| {
                    let mask = !u32::MAX.checked_shr(len.into()).unwrap_or(0);
                    held.get(&(address & mask, len)).copied()
                });
                assert_eq!(four.lookup(address), longest.unwrap_or(0));
                let mut values = [9; 2];
                six.lookup_batch(&[wide(address, 0).0; 2], &mut values);
                assert_eq!(values, [longest.unwrap_or(0); 2]);
            }
            assert_eq!((four.len(), six.len()), (held.len(), held.len()));
        });
}
