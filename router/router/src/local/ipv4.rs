//! IPv4 packets for the router itself, whole or in fragments.

use wire::ipv4::{Ipv4, MF};
use wire::ipv4_options::source_route::{self, Return};

use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::local::reassembly::Piece;
use crate::packet::Packet;
use crate::slow::ipv4_options::reply_options;
use crate::step::Step;

impl Step<'_> {
    /// Takes in a packet for one of the router's addresses.
    pub(crate) fn deliver4(&mut self, mut packet: Packet, ip: &Ipv4) {
        packet.complete_checksum();
        let input = packet.input;
        if ip.fragment & MF == 0 && !ip.is_later_fragment() {
            self.cx.count(input, |c| c.consumed += 1);
            return self.serve4(input, packet.ip_bytes(), ip);
        }
        let piece = Piece::v4(self.tables.vrf_of(input), packet.ip_bytes(), ip);
        match self.state.reassembly.add(self.cx.now, input, &piece) {
            Err(reason) => self.cx.drop_frames(input, reason, 1),
            Ok(whole) => {
                self.cx.count(input, |c| c.consumed += 1);
                if let Some(whole) = whole
                    && let Ok(ip) = Ipv4::parse(&whole, whole.len())
                {
                    self.serve4(input, &whole, &ip);
                }
            }
        }
    }

    /// Hands a whole packet to the router's own services and sends their answers.
    fn serve4(&mut self, input: InterfaceId, packet: &[u8], ip: &Ipv4) {
        let records = reply_options(self.tables, self.cx.now, input, packet, ip);
        let back = Return::of(packet.get(..ip.header_len).unwrap_or(&[]));
        let vrf = usize::from(self.tables.vrf_of(input));
        let Some(services) = self.state.services.get_mut(vrf) else {
            return;
        };
        for mut bytes in services.receive(self.cx.now, packet.to_vec()) {
            source_route::answer(&mut bytes, ETHERNET_LEN, &records, back.as_ref());
            self.cx.originate(input, bytes);
        }
    }
}
