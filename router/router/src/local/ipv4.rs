//! IPv4 packets for the router itself, whole or in fragments.

use alloc::vec::Vec;

use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::local::reassembly::Piece;
use crate::router::{Egress, Router};
use crate::slow::ipv4_options::header;
use crate::slow::packet::Waiting;
use crate::slow::packet::complete_checksum;
use crate::time::Instant;
use wire::ipv4::{Ipv4, MF};
use wire::ipv4_options::source_route::{self, Return};

impl Router {
    /// Takes in a packet for one of the router's addresses.
    pub(crate) fn deliver4(
        &mut self,
        now: Instant,
        mut waiting: Waiting,
        ip: &Ipv4,
        out: &mut dyn Egress,
    ) {
        complete_checksum(&mut waiting);
        let Waiting {
            mut bytes, input, ..
        } = waiting;
        bytes.drain(..ETHERNET_LEN);
        bytes.truncate(ip.total_len);
        if ip.fragment & MF == 0 && !ip.is_later_fragment() {
            self.with_counters(input, |c| c.consumed += 1);
            return self.serve4(now, input, bytes, ip, out);
        }
        let piece = Piece::v4(self.vrf_of(input), &bytes, ip);
        match self.reassembly.add(now, input, &piece) {
            Err(reason) => self.drop_frames(input, reason, 1),
            Ok(whole) => {
                self.with_counters(input, |c| c.consumed += 1);
                if let Some(whole) = whole
                    && let Ok(ip) = Ipv4::parse(&whole, whole.len())
                {
                    self.serve4(now, input, whole, &ip, out);
                }
            }
        }
    }

    /// Hands a whole packet to the router's own services and sends their answers.
    fn serve4(
        &mut self,
        now: Instant,
        input: InterfaceId,
        packet: Vec<u8>,
        ip: &Ipv4,
        out: &mut dyn Egress,
    ) {
        let records = self.reply_options(now, input, &packet, ip);
        let back = Return::of(header(&packet));
        let vrf = self.vrf_of(input);
        for mut bytes in self.vrfs.get_mut(vrf).local.receive(now, packet) {
            source_route::answer(&mut bytes, ETHERNET_LEN, &records, back.as_ref());
            self.originate(now, input, bytes, out);
        }
    }
}
