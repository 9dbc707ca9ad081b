//! Local delivery of IPv4 packets, whole or in fragments.

use wire::ipv4::{Ipv4, MF};
use wire::ipv4_options::source_route::{self, ReversedRoute};

use crate::frame::ETHERNET_LEN;
use crate::local::reassembly::Piece;
use crate::local::services::Answer;
use crate::packet::{Ip, Packet};
use crate::slow::ipv4_options::reply_options;
use crate::step::Step;

impl Step<'_> {
    /// Handles a packet for one of the router's addresses.
    pub(crate) fn deliver4(&mut self, mut packet: Packet, ip: &Ipv4) {
        packet.complete_checksum();
        let input = packet.input;
        if ip.fragment & MF == 0 && !ip.is_later_fragment() {
            self.cx.count(input, |c| c.consumed += 1);
            return self.serve4(&packet, ip);
        }
        let piece = Piece::v4(self.tables.vrf_of(input), packet.ip_bytes(), ip);
        match self.state.reassembly.add(self.cx.now, input, &piece) {
            Err(reason) => self.cx.drop_frames(input, reason, 1),
            Ok(whole) => {
                self.cx.count(input, |c| c.consumed += 1);
                let whole = whole.map(|w| Packet::reassembled(&packet.ethernet(), &w, input));
                if let Some(Ok(whole)) = whole
                    && let Ip::V4(ip) = whole.ip()
                {
                    self.serve4(&whole, &ip);
                }
            }
        }
    }

    /// Passes a whole packet to the router's own services and sends their replies.
    fn serve4(&mut self, about: &Packet, ip: &Ipv4) {
        let (input, packet) = (about.input, about.ip_bytes());
        let records = reply_options(self.tables, self.cx.now, input, packet, ip);
        let back = ReversedRoute::of(packet.get(..ip.header_len).unwrap_or(&[]));
        let vrf = usize::from(self.tables.vrf_of(input));
        let Some(services) = self.state.services.get_mut(vrf) else {
            return;
        };
        for answer in services.receive(self.cx.now, packet.to_vec()) {
            match answer {
                Answer::Error(error) => self.report(about, error),
                Answer::Frame(mut bytes) => {
                    source_route::answer(&mut bytes, ETHERNET_LEN, &records, back.as_ref());
                    self.cx.originate(input, bytes);
                }
            }
        }
    }
}
