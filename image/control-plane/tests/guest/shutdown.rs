//! What the toolstack asks for.

use control_plane::EndReason;

use crate::boot::{TWO, ready};
use crate::guest::{Guest, MS, SECOND};

#[test]
fn it_ends_as_it_is_asked_to() {
    for (request, reason, line) in [
        (
            "poweroff",
            EndReason::PowerOff,
            "ringway: Poweroff requested\n",
        ),
        ("halt", EndReason::PowerOff, "ringway: Halt requested\n"),
        ("reboot", EndReason::Reboot, "ringway: Reboot requested\n"),
        ("crash", EndReason::Crash, "ringway: Crash requested\n"),
    ] {
        let mut guest = ready(1);
        guest.run_for(SECOND);
        assert_eq!(guest.control.end(), None);
        guest.printed();
        guest.server.set("control/shutdown", request);
        guest.run();
        assert_eq!(guest.control.end(), Some(reason), "{request}");
        assert_eq!(guest.printed(), line);
        let left = guest.server.get("control/shutdown");
        assert_eq!(left.as_deref(), Some(""), "it is acknowledged");
    }
}

#[test]
fn what_it_cant_do_it_leaves() {
    for request in ["suspend", "sleep", ""] {
        let mut guest = ready(1);
        guest.server.set("control/shutdown", request);
        guest.run_for(SECOND);
        assert_eq!(guest.control.end(), None);
        let left = guest.server.get("control/shutdown");
        assert_eq!(left.as_deref(), Some(request));
    }
}

/// A router advertisement that hosts are told by not to use the router any more.
fn is_final_advertisement(frame: &[u8]) -> bool {
    let (ethertype, icmp) = (12..14, 54);
    frame[ethertype] == [0x86, 0xdd] && frame[icmp] == 134 && frame[icmp + 6..icmp + 8] == [0, 0]
}

#[test]
fn hosts_are_told_before_it_ends() {
    for (request, told) in [("poweroff", true), ("reboot", true), ("crash", false)] {
        let file = format!("{TWO}\n[interface.lan.advertise]\n");
        let mut guest = Guest::start(&file, 1);
        guest.add_vif(0);
        guest.add_vif(1);
        guest.run_for(10 * SECOND);
        guest.sent(1);
        guest.server.set("control/shutdown", request);
        guest.run();
        assert_eq!(guest.control.end().is_some(), !told);
        let found = guest
            .sent(1)
            .iter()
            .any(|frame| is_final_advertisement(frame));
        assert_eq!(found, told, "{request}");
        // Its backend has the time that it needs to take them.
        guest.run_for(49 * MS);
        assert_eq!(guest.control.end().is_some(), !told);
        guest.run_for(MS);
        assert!(guest.control.end().is_some());
    }
}
