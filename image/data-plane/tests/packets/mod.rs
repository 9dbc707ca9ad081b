//! Packets of every kind, and a judge of what became of them.

use std::fmt;

use netif::Checksum;
use netif::fakes::Sent;

/// Which IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V4,
    V6,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// A packet as it comes from a backend.
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    pub(crate) blank: bool,
    pub(crate) gso: Option<u16>,
    pub(crate) bytes: Vec<u8>,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            transport,
            blank,
            gso,
            bytes,
        } = self;
        let len = bytes.len();
        write!(
            f,
            "{transport:?} in {kind:?}, {len} bytes, blank: {blank}, gso: {gso:?}"
        )
    }
}

const ETHERNET: usize = 14;
/// TCP with timestamps.
const TCP: usize = 32;
const UDP: usize = 8;
const IDENT: u16 = 0xfffe;
const SEQUENCE: u32 = 0xffff_f000;
/// CWR, PSH, ACK and FIN.
const FLAGS: u8 = 0x80 | 0x08 | 0x10 | 0x01;
const FIRST_ONLY: u8 = 0x80;
const LAST_ONLY: u8 = 0x08 | 0x01;

fn ip_len(kind: Kind) -> usize {
    match kind {
        Kind::V4 => 20,
        // With a hop-by-hop header.
        Kind::V6 => 48,
    }
}

fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// Bytes of all headers.
pub(crate) fn headers_len(kind: Kind, transport: Transport) -> usize {
    let transport = match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    };
    ETHERNET + ip_len(kind) + transport
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn pseudo(bytes: &[u8], kind: Kind, protocol: u8) -> u32 {
    let segment = bytes.len() - ETHERNET - ip_len(kind);
    let addresses = match kind {
        Kind::V4 => &bytes[ETHERNET + 12..ETHERNET + 20],
        Kind::V6 => &bytes[ETHERNET + 8..ETHERNET + 40],
    };
    let mut all = addresses.to_vec();
    all.extend((segment as u32).to_be_bytes());
    all.extend([0, 0, 0, protocol]);
    sum(&all)
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

impl Packet {
    /// A packet with `payload` bytes of payload, whose checksum is blank or complete.
    pub(crate) fn new(
        kind: Kind,
        transport: Transport,
        payload: usize,
        blank: bool,
        gso: Option<u16>,
    ) -> Self {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let headers = headers_len(kind, transport);
        let total = headers - ETHERNET + payload;
        match kind {
            Kind::V4 => {
                bytes.extend([8, 0, 0x45, 0]);
                bytes.extend((total as u16).to_be_bytes());
                bytes.extend(IDENT.to_be_bytes());
                bytes.extend([
                    0x40,
                    0,
                    64,
                    protocol(transport),
                    0,
                    0,
                    10,
                    0,
                    0,
                    2,
                    10,
                    0,
                    1,
                    2,
                ]);
                let check = !fold(sum(&bytes[ETHERNET..]));
                bytes[ETHERNET + 10..][..2].copy_from_slice(&check.to_be_bytes());
            }
            Kind::V6 => {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                bytes.extend(((total - 40) as u16).to_be_bytes());
                bytes.extend([0, 64]);
                bytes.extend((0..32).map(|i| 0x20 + i));
                bytes.extend([protocol(transport), 0, 1, 4, 0, 0, 0, 0]);
            }
        }
        let start = bytes.len();
        bytes.extend([0x14, 0x51, 0x00, 0x50]);
        let check_at = start
            + match transport {
                Transport::Tcp => {
                    bytes.extend(SEQUENCE.to_be_bytes());
                    bytes.extend([
                        1,
                        2,
                        3,
                        4,
                        ((TCP / 4) << 4) as u8,
                        FLAGS,
                        0x20,
                        0,
                        0,
                        0,
                        0,
                        0,
                    ]);
                    bytes.extend([1, 1, 8, 10, 9, 9, 9, 9, 7, 7, 7, 7]);
                    16
                }
                Transport::Udp => {
                    bytes.extend(((UDP + payload) as u16).to_be_bytes());
                    bytes.extend([0, 0]);
                    6
                }
            };
        assert_eq!(bytes.len(), headers);
        bytes.extend((0..payload).map(|i| (i as u8).wrapping_mul(29) ^ (i >> 8) as u8));
        let mut value = pseudo(&bytes, kind, protocol(transport));
        if !blank {
            value = u32::from(!fold(value + sum(&bytes[start..])));
            if value == 0 && transport == Transport::Udp {
                value = 0xffff;
            }
        }
        bytes[check_at..][..2].copy_from_slice(&fold(value).to_be_bytes());
        Self {
            kind,
            transport,
            blank,
            gso,
            bytes,
        }
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[headers_len(self.kind, self.transport)..]
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Asserts that what was sent is the packet: as it was, or in segments as TCP would have sent
/// them, with checksums that hold or are said not to be there.
pub(crate) fn judge(packet: &Packet, sent: &[Sent], what: &str) {
    let headers = headers_len(packet.kind, packet.transport);
    let start = ETHERNET + ip_len(packet.kind);
    let mut payload = Vec::new();
    for (index, one) in sent.iter().enumerate() {
        let bytes = &one.bytes;
        let what = format!("{what}, piece {index} of {}", sent.len());
        // Lengths and the header's checksum.
        match packet.kind {
            Kind::V4 => {
                assert_eq!(
                    usize::from(be16(bytes, ETHERNET + 2)),
                    bytes.len() - ETHERNET,
                    "{what}"
                );
                assert_eq!(fold(sum(&bytes[ETHERNET..start])), 0xffff, "{what}");
                assert_eq!(
                    be16(bytes, ETHERNET + 4),
                    IDENT.wrapping_add(index as u16),
                    "{what}"
                );
            }
            Kind::V6 => {
                assert_eq!(
                    usize::from(be16(bytes, ETHERNET + 4)),
                    bytes.len() - ETHERNET - 40,
                    "{what}"
                );
            }
        }
        // The transport's checksum.
        let expected = pseudo(bytes, packet.kind, protocol(packet.transport));
        if one.checksum.contains(Checksum::BLANK) {
            let at = start
                + if packet.transport == Transport::Tcp {
                    16
                } else {
                    6
                };
            assert_eq!(be16(bytes, at), fold(expected), "{what}");
        } else if one.gso.is_none() {
            assert_eq!(fold(expected + sum(&bytes[start..])), 0xffff, "{what}");
        }
        // TCP's own.
        if packet.transport == Transport::Tcp {
            assert_eq!(
                be32(bytes, start + 4),
                SEQUENCE.wrapping_add(payload.len() as u32),
                "{what}"
            );
            let mut flags = FLAGS;
            if index > 0 {
                flags &= !FIRST_ONLY;
            }
            if index + 1 < sent.len() {
                flags &= !LAST_ONLY;
            }
            assert_eq!(bytes[start + 13], flags, "{what}");
            // All else is as in the large frame.
            assert_eq!(
                bytes[start + 14..start + 16],
                packet.bytes[start + 14..start + 16],
                "{what}"
            );
            assert_eq!(
                bytes[start + 18..headers],
                packet.bytes[start + 18..headers],
                "{what}"
            );
        }
        assert_eq!(bytes[..ETHERNET], packet.bytes[..ETHERNET], "{what}");
        if one.gso.is_none()
            && let Some(size) = packet.gso
        {
            let rest = packet.payload().len() - payload.len();
            assert_eq!(bytes.len() - headers, rest.min(size.into()), "{what}");
        }
        payload.extend_from_slice(&bytes[headers..]);
    }
    assert!(payload == packet.payload(), "{what}: payload");
}
