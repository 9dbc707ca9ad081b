//! Stages before and after the lookup, in which a filter, address translation or an encapsulation
//! hooks in.
//!
//! The stages of a burst are selected once and known at compile time, so that [`Plain`] bursts pay
//! nothing for the others. The caller writes [`Stages::WRITTEN_BACK`] bytes of each header back to
//! its frame.

use crate::frame::{FrameMeta, Header, Verdict};

/// The number of bytes of a header that plain forwarding may change, from the Ethernet destination
/// on. An IPv4 header without options ends at byte 34; the rest is unchanged and fills up whole
/// words.
pub const REWRITTEN: usize = 40;

/// The frames of a burst, in slices of one length.
pub struct Burst<'a> {
    /// Private copies of their headers. Changes affect the lookup and the frame that is sent.
    pub headers: &'a mut [Header],
    /// What else is known of each.
    pub metas: &'a [FrameMeta],
    /// Their verdicts, which stages may set.
    pub verdicts: &'a mut [Verdict],
}

/// Stages before and after the lookup. They see packets of both families with valid headers: those
/// to be forwarded, and those whose destination turns out to be the router's.
pub trait Stages {
    /// `true` if any stage does anything.
    const ACTIVE: bool;
    /// The number of bytes of a header that the stages and forwarding may change, from the Ethernet
    /// destination on: [`REWRITTEN`] at least, [`HEADER_LEN`](crate::HEADER_LEN) at most.
    const WRITTEN_BACK: usize;

    /// Called with the frames in `which`, a bit for each, before their destinations are looked up.
    /// Returns the frames whose verdict it has set.
    fn before_lookup(&mut self, burst: &mut Burst<'_>, which: u64) -> u64;

    /// Called with the frames in `which` after the lookup; `target` has the number of each frame's
    /// target. MAC addresses and hop limits are still those received. Returns the frames whose
    /// verdict it has set.
    fn after_lookup(
        &mut self,
        burst: &mut Burst<'_>,
        target: &dyn Fn(usize) -> u32,
        which: u64,
    ) -> u64;
}

/// No stages.
pub struct Plain;

impl Stages for Plain {
    const ACTIVE: bool = false;
    const WRITTEN_BACK: usize = REWRITTEN;

    #[inline(always)]
    fn before_lookup(&mut self, _: &mut Burst<'_>, _: u64) -> u64 {
        0
    }

    #[inline(always)]
    fn after_lookup(&mut self, _: &mut Burst<'_>, _: &dyn Fn(usize) -> u32, _: u64) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HEADER_LEN;
    use crate::{FrameMeta, Instant, InterfaceId, Router, Verdicts};
    use std::vec::Vec;
    use wire::{be16, be32, checksum, put};

    const CONFIG: &str = r#"
        [interface.wan]
        vif = 0
        address = ["10.0.0.1/24", "2001:db8::1/64"]
        [interface.lan]
        vif = 1
        address = ["10.0.1.1/24", "2001:db8:1::1/64"]
        [[neighbor]]
        interface = "lan"
        address = "10.0.1.9"
        mac = "02:00:00:00:00:09"
        [[neighbor]]
        interface = "lan"
        address = "2001:db8:1::9"
        mac = "02:00:00:00:00:09"
    "#;
    const DESTINATION: usize = 30;
    const TCP_CHECKSUM: usize = 50;

    /// A translation of one destination address to another, and a filter by destination port.
    struct Firewall {
        from: u32,
        to: u32,
        refused_port: u16,
        targets: Vec<u32>,
    }

    impl Stages for Firewall {
        const ACTIVE: bool = true;
        const WRITTEN_BACK: usize = HEADER_LEN;

        fn before_lookup(&mut self, burst: &mut Burst<'_>, which: u64) -> u64 {
            let mut decided = 0;
            let frames = burst.headers.iter_mut().zip(burst.verdicts.iter_mut());
            for (at, (header, verdict)) in frames.enumerate() {
                if which >> at & 1 == 0 {
                    continue;
                }
                let ipv6 = header.0[14] >> 4 == 6;
                if be16(&header.0, if ipv6 { 56 } else { 36 }) == self.refused_port {
                    *verdict = Verdict::Drop;
                    decided |= 1 << at;
                } else if !ipv6 && be32(&header.0, DESTINATION) == self.from {
                    put(&mut header.0, DESTINATION, &self.to.to_be_bytes());
                    put(&mut header.0, TCP_CHECKSUM, &[0xab, 0xcd]);
                    checksum::fill(&mut header.0[14..34], 10);
                }
            }
            decided
        }

        fn after_lookup(
            &mut self,
            _: &mut Burst<'_>,
            target: &dyn Fn(usize) -> u32,
            which: u64,
        ) -> u64 {
            let all = (0..64).filter(|at| which >> at & 1 != 0);
            self.targets.extend(all.map(target));
            0
        }
    }

    fn router() -> Router {
        let config = config::from_toml(CONFIG).unwrap();
        let mut router = Router::new(&config, 1, Instant(0));
        for vif in 0..2 {
            router.link_up(Instant(0), InterfaceId(vif), [2, 0, 0, 0, 0, vif], 1500);
        }
        router
    }

    fn header(packet: &[u8]) -> (Header, FrameMeta) {
        let mut frame = std::vec![2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0x99];
        let kind: u16 = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        frame.extend(kind.to_be_bytes());
        frame.extend(packet);
        let meta = FrameMeta::plain(frame.len());
        frame.resize(HEADER_LEN, 0);
        (Header(frame.try_into().unwrap()), meta)
    }

    fn tcp4(destination: [u8; 4], port: u16) -> (Header, FrameMeta) {
        let mut packet = std::vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1];
        packet.extend(destination);
        packet.resize(40, 0);
        put(&mut packet, 22, &port.to_be_bytes());
        checksum::fill(&mut packet[..20], 10);
        header(&packet)
    }

    fn tcp6(port: u16) -> (Header, FrameMeta) {
        let mut packet = std::vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        packet.extend(u128::to_be_bytes(0x2a00 << 112 | 1));
        packet.extend(u128::to_be_bytes(0x2001_0db8_0001 << 80 | 9));
        packet.resize(60, 0);
        put(&mut packet, 42, &port.to_be_bytes());
        header(&packet)
    }

    #[test]
    fn stages_see_what_is_forwarded_and_decide_and_translate() {
        let mut router = router();
        let frames = [
            tcp4([198, 51, 100, 7], 80),
            tcp4([10, 0, 1, 9], 25),
            tcp4([10, 0, 1, 9], 80),
            // For the router, which only the lookup tells.
            tcp4([10, 0, 0, 1], 25),
            tcp6(80),
            tcp6(25),
        ];
        let (mut headers, metas): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        let mut firewall = Firewall {
            from: u32::from_be_bytes([198, 51, 100, 7]),
            to: u32::from_be_bytes([10, 0, 1, 9]),
            refused_port: 25,
            targets: Vec::new(),
        };
        let mut verdicts = [Verdict::Punt; 6];
        let mut lane = router.new_lane();
        let (now, wan) = (Instant(0), InterfaceId(0));
        let tables = router.tables();
        let common = lane.process_in(
            &mut firewall,
            tables,
            now,
            wan,
            &mut headers,
            &metas,
            &mut verdicts,
        );
        let lan = Verdict::Forward(InterfaceId(1));
        assert_eq!(common, Verdicts::Mixed);
        let (drop, punt) = (Verdict::Drop, Verdict::Punt);
        assert_eq!(verdicts, [lan, drop, lan, drop, lan, drop]);
        assert_eq!(be32(&headers[0].0, DESTINATION), firewall.to);
        assert_eq!(be16(&headers[0].0, TCP_CHECKSUM), 0xabcd);
        assert_eq!(checksum::sum(&headers[0].0[14..34]), 0xffff);
        assert_eq!(firewall.targets.len(), 3);
        // Without stages the first has no route, and the last is forwarded.
        let again = [tcp4([198, 51, 100, 7], 80), tcp6(25)];
        let (mut headers, metas): (Vec<_>, Vec<_>) = again.into_iter().unzip();
        router.process(now, wan, &mut headers, &metas, &mut verdicts);
        assert_eq!(verdicts[..2], [punt, lan]);
    }
}
