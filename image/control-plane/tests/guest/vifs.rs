//! Vifs that come, go and misbehave.

use control_plane::fake::FakeMachine;
use netif::fakes::Ring;
use xen_hal::DomId;
use xenbus::XenbusState::{Closed, Connected, Initialising};
use xenbus::fake::backend_dir;

use crate::boot::{TWO, ready};
use crate::guest::{Guest, LINUX, SECOND};

/// An ARP request for the router's address on the first vif.
fn arp_request() -> Vec<u8> {
    let host = [2, 0, 0, 0, 0, 0x99];
    let mut frame = vec![0xff; 6];
    frame.extend(host);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(host);
    frame.extend([10, 0, 0, 9]);
    frame.extend([0; 6]);
    frame.extend([10, 0, 0, 1]);
    frame
}

/// Returns `true` if the router answers on the first vif.
fn answers(guest: &mut Guest) -> bool {
    guest.run_for(2 * SECOND);
    guest.sent(0);
    guest.deliver(0, &arp_request());
    let reply = |frame: &Vec<u8>| frame[12..14] == [8, 6] && frame[20..22] == [0, 2];
    guest.sent(0).iter().any(reply)
}

#[test]
fn packets_flow_through_a_connected_vif() {
    let mut guest = ready(1);
    assert!(answers(&mut guest));
    let text = guest.command("show neighbors").concat();
    assert!(text.contains("10.0.0.9"), "{text}");
}

#[test]
fn the_backend_is_told_what_the_frontend_takes() {
    let guest = ready(1);
    for (key, value) in [
        ("request-rx-copy", Some("1")),
        ("feature-rx-notify", Some("1")),
        ("feature-sg", Some("1")),
        ("feature-gso-tcpv4", Some("1")),
        ("feature-gso-tcpv6", Some("1")),
        ("feature-no-csum-offload", Some("0")),
        ("feature-ipv6-csum-offload", Some("1")),
        ("multi-queue-num-queues", None),
        ("ctrl-ring-ref", None),
        ("event-channel", None),
    ] {
        assert_eq!(guest.vif_key(0, key).as_deref(), value, "{key}");
    }
    assert!(guest.vif_key(0, "event-channel-tx").is_some());
}

#[test]
fn a_backend_that_doesnt_copy_isnt_connected_to() {
    let mut guest = Guest::start(TWO, 1);
    guest.add_vif_with(0, 0, &LINUX[1..]);
    guest.run_for(10 * SECOND);
    assert_eq!(guest.vifs[&0].linux.connects, 0);
    assert_eq!(
        (guest.machine.hal.pages(), guest.machine.hal.grants()),
        (0, 0)
    );
    // It may have been in the middle of being set up.
    let back = backend_dir("vif", 0, 0);
    guest.server.set(&format!("{back}/feature-rx-copy"), "1");
    guest.run_for(60 * SECOND);
    assert_eq!(guest.frontend(0), Connected);
}

#[test]
fn a_backend_that_closes_takes_the_interface_down_and_is_connected_to_again() {
    let mut guest = ready(1);
    guest.vifs.get_mut(&0).expect("a vif").linux.unload();
    guest.run();
    assert_eq!(guest.state(), "degraded");
    assert!(
        guest
            .command("show vifs")
            .concat()
            .contains("wan: not connected")
    );
    guest.run_for(SECOND);
    guest.vifs.get_mut(&0).expect("a vif").linux.load();
    guest.run_for(10 * SECOND);
    assert_eq!(
        (guest.frontend(0), guest.state().as_str()),
        (Connected, "ready")
    );
    assert_eq!(guest.vifs[&0].linux.connects, 2);
    assert!(answers(&mut guest));
}

#[test]
fn what_a_vif_used_is_given_back() {
    let mut guest = ready(1);
    let hal = guest.machine.hal;
    let before = (hal.pages(), hal.grants(), hal.ports());
    for _ in 0..3 {
        guest.remove_vif(0);
        guest.run_for(SECOND);
        assert_ne!((hal.pages(), hal.grants(), hal.ports()), before);
        guest.add_vif(0);
        guest.run_for(SECOND);
        assert_eq!((hal.pages(), hal.grants(), hal.ports()), before);
    }
    guest.remove_vif(0);
    guest.remove_vif(1);
    guest.run_for(SECOND);
    assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
}

#[test]
fn a_backend_that_breaks_the_protocol_loses_its_vif_alone() {
    let mut guest = ready(1);
    let vif = guest.vifs.get_mut(&0).expect("a vif");
    vif.queues[0].set_index(Ring::Rx, 0x8000_0000);
    guest.run();
    assert_eq!(guest.state(), "degraded");
    assert_eq!(guest.frontend(1), Connected);
    assert!(guest.command("show vifs").concat().contains("lan: up"));
    // It gets another chance.
    guest.run_for(60 * SECOND);
    assert_eq!(guest.vifs[&0].linux.connects, 2);
    assert_eq!(
        (guest.frontend(0), guest.state().as_str()),
        (Connected, "ready")
    );
    assert!(answers(&mut guest));
}

#[test]
fn backends_that_hold_a_quarter_of_the_memory_get_no_more() {
    let mut guest = Guest::start(TWO, 1);
    let quarter = guest.machine.memory.get().total_pages / 4;
    let quarantined = |guest: &Guest, pages| {
        guest.machine.quarantined.replace(vec![(DomId(0), pages)]);
    };
    quarantined(&guest, quarter + 1);
    guest.add_vif(0);
    guest.run_for(SECOND);
    assert_eq!(guest.vifs[&0].linux.connects, 0);
    quarantined(&guest, 0);
    guest.run_for(60 * SECOND);
    assert_eq!(guest.frontend(0), Connected);
}

#[test]
fn what_one_domain_holds_keeps_out_no_vif_of_another() {
    let mut guest = Guest::start(TWO, 1);
    let quarter = guest.machine.memory.get().total_pages / 4;
    // Its share is that of one vif of two.
    let held = vec![(DomId(3), quarter / 2 + 1)];
    guest.machine.quarantined.replace(held);
    guest.add_vif_with(0, 3, &LINUX);
    guest.add_vif(1);
    guest.run_for(60 * SECOND);
    assert_eq!(guest.vifs[&0].linux.connects, 0);
    assert_eq!(guest.frontend(1), Connected);
    guest
        .machine
        .quarantined
        .replace(vec![(DomId(3), quarter / 2)]);
    guest.run_for(60 * SECOND);
    assert_eq!(guest.frontend(0), Connected);
}

#[test]
fn a_domain_whose_backends_take_few_queues_is_no_reason_for_another() {
    let mut one = LINUX.to_vec();
    one.push(("multi-queue-max-queues", "1"));
    let mut many = LINUX.to_vec();
    many.push(("multi-queue-max-queues", " 8\n"));
    let mut guest = Guest::start(TWO, 3);
    guest.add_vif_with(0, 3, &one);
    guest.add_vif_with(1, 0, &many);
    guest.run();
    let found = [0, 1].map(|id| guest.vifs[&id].queues.len());
    assert_eq!(found, [1, 3]);
}

#[test]
fn a_vif_outside_the_configuration_whose_keys_are_incomplete_is_waited_for_in_peace() {
    let mut guest = ready(1);
    guest.add_vif(7);
    guest.server.remove("device/vif/7/backend-id");
    guest.run_for(SECOND);
    let asked = guest.server.requests().len();
    guest.run_for(10 * SECOND);
    assert!(guest.server.requests().len() < asked + 100);
    // When it is complete it is as any other.
    guest.server.set("device/vif/7/backend-id", " 0\n");
    guest.run_for(SECOND);
    guest.vifs.get_mut(&7).expect("a vif").linux.unload();
    guest.run();
    assert_eq!(guest.frontend(7), Closed);
}

#[test]
fn a_vif_that_the_configuration_lacks_stays_down_and_lets_go() {
    let mut guest = ready(1);
    guest.add_vif(7);
    guest.run_for(SECOND);
    assert_eq!(guest.frontend(7), Initialising);
    assert_eq!(guest.state(), "ready");
    guest.vifs.get_mut(&7).expect("a vif").linux.unload();
    guest.run();
    assert_eq!(guest.frontend(7), Closed);
    guest.remove_vif(7);
    guest.run();
    assert_eq!(guest.state(), "ready");
}

#[test]
fn a_vif_has_as_many_queues_as_there_are_cpus_and_every_backend_takes() {
    let queues = |count: &'static str| {
        let mut keys = LINUX.to_vec();
        keys.push(("multi-queue-max-queues", count));
        keys
    };
    for (cpus, first, second, wanted) in [
        (1, "8", "8", [1, 1]),
        (3, "8", "8", [3, 3]),
        (4, "2", "8", [2, 2]),
        (4, "8", "3", [3, 3]),
    ] {
        let mut guest = Guest::start(TWO, cpus);
        guest.add_vif_with(0, 0, &queues(first));
        guest.add_vif_with(1, 0, &queues(second));
        guest.run();
        let found = [0, 1].map(|id| guest.vifs[&id].queues.len());
        assert_eq!(found, wanted, "{cpus} {first} {second}");
        let text = guest.command("show vifs").concat();
        assert_eq!(
            text.matches("  queue ").count(),
            if wanted[0] > 1 { 2 * wanted[0] } else { 0 }
        );
    }
}

#[test]
fn flows_are_steered_where_the_backend_has_a_control_ring() {
    let mut keys = LINUX.to_vec();
    keys.extend([("multi-queue-max-queues", "2"), ("feature-ctrl-ring", "1")]);
    let mut guest = Guest::start(TWO, 2);
    for id in [0, 1] {
        guest.add_vif_with(id, 0, &keys);
    }
    guest.run();
    for vif in guest.vifs.values() {
        let (_, hashing) = vif.control.as_ref().expect("a control ring");
        assert!(hashing.queue_of(&[1; 12]).is_some_and(|queue| queue < 2));
    }
    let mut ports = heapless::Vec::<u32, 8>::new();
    guest.control.add_rss_ports(&mut ports);
    assert!(ports.is_empty(), "all was said");
}

#[test]
fn a_backend_that_breaks_the_control_ring_is_connected_to_again() {
    let mut keys = LINUX.to_vec();
    keys.extend([("multi-queue-max-queues", "2"), ("feature-ctrl-ring", "1")]);
    let mut guest = Guest::start(TWO, 2);
    guest.add_vif_with(0, 0, &keys);
    guest.add_vif_with(1, 0, &keys);
    // It lies in its first answer.
    while guest.vifs[&0].control.is_none() {
        guest.turn();
    }
    let vif = guest.vifs.get_mut(&0).expect("a vif");
    let (mut control, _) = vif.control.take().expect("a control ring");
    control.set_index(77);
    guest.run_for(60 * SECOND);
    assert_eq!(guest.vifs[&0].linux.connects, 2);
    assert_eq!(guest.state(), "ready");
}

#[test]
fn an_mtu_that_the_link_doesnt_offer_is_told() {
    let file = TWO.replacen("vif = 0", "vif = 0\nmtu = 9000", 1);
    let mut guest = Guest::start(&file, 1);
    guest.add_vif(0);
    guest.server.set("device/vif/1/mtu", "1200");
    guest.add_vif(1);
    guest.run();
    assert_eq!(guest.state(), "ready");
    let too_much = "wan: mtu 9000 is more than the 1500 bytes that the link offers";
    let no_ipv6 = "lan: no IPv6, which needs an MTU of 1280 bytes, not 1200";
    let status = guest.key("config/status");
    assert_eq!(status, Some(format!("ok 0: {too_much}; {no_ipv6}")));
    let shown = guest.command("show interfaces").concat();
    assert!(
        shown.contains("2001:db8:1::1/64 (IPv6 disabled)"),
        "{shown}"
    );
    assert!(
        shown.ends_with(&format!("{too_much}\n{no_ipv6}\n")),
        "{shown}"
    );
    // It may get another.
    guest.remove_vif(1);
    guest.run_for(SECOND);
    guest.server.remove("device/vif/1/mtu");
    guest.add_vif(1);
    guest.run_for(SECOND);
    assert_eq!(
        guest.key("config/status"),
        Some(format!("ok 0: {too_much}"))
    );
    let shown = guest.command("show interfaces").concat();
    assert!(!shown.contains("disabled"), "{shown}");
}

#[test]
fn keys_that_no_link_can_have_keep_a_vif_down_until_they_change() {
    for (key, bad, good) in [
        ("mtu", "0", "68"),
        ("mtu", "67", "1500"),
        ("mtu", "", "1500"),
        ("mac", "ff:ff:ff:ff:ff:ff", "00:16:3e:00:00:09"),
        ("mac", "00:00:00:00:00:00", "00:16:3e:00:00:09"),
        ("mac", "00:16:3e:00:00:02", "00:16:3e:00:00:09"),
    ] {
        let mut guest = Guest::start(TWO, 1);
        guest.add_vif(1);
        guest.run();
        guest.add_vif(0);
        guest.server.set(&format!("device/vif/0/{key}"), bad);
        guest.run_for(5 * SECOND);
        assert_eq!(guest.vifs[&0].linux.connects, 0, "{key} {bad}");
        assert_eq!(guest.state(), "booting", "{key} {bad}");
        guest.server.set(&format!("device/vif/0/{key}"), good);
        guest.run_for(60 * SECOND);
        assert_eq!(guest.state(), "ready", "{key} {bad}");
    }
}

#[test]
fn a_vif_found_by_its_mac_may_get_that_late() {
    let mut guest = Guest::start(TWO, 1);
    guest.add_vif(0);
    guest.add_vif(1);
    guest.server.remove("device/vif/1/mac");
    guest.run_for(SECOND);
    assert_eq!(guest.state(), "booting");
    guest.server.set("device/vif/1/mac", "00:16:3e:00:00:02\n");
    guest.run();
    assert_eq!(guest.state(), "ready");
}

#[test]
fn a_second_vif_with_a_mac_leaves_the_first_alone() {
    let mut guest = ready(1);
    guest.add_vif(7);
    guest.server.set("device/vif/7/mac", "00:16:3e:00:00:02");
    guest.run_for(SECOND);
    assert_eq!(guest.vifs[&7].linux.connects, 0);
    let vif = guest.vifs.get_mut(&1).expect("a vif");
    vif.queues[0].set_index(Ring::Rx, 0x8000_0000);
    guest.run();
    assert_eq!(guest.state(), "degraded");
    guest.run_for(60 * SECOND);
    assert_eq!(guest.vifs[&1].linux.connects, 2);
    assert_eq!(guest.state(), "ready");
}

/// A guest with 16 vifs and 8 CPUs, whose backends take as many queues.
fn sixteen(prepare: fn(&FakeMachine)) -> Guest {
    let mut file = String::new();
    for n in 0..16 {
        file += &format!("[interface.v{n}]\nvif = {n}\naddress = [\"10.0.{n}.1/24\"]\n");
    }
    Guest::start_on(&file, 8, prepare)
}

fn add_sixteen(guest: &mut Guest) {
    let mut keys = LINUX.to_vec();
    keys.extend([("multi-queue-max-queues", "8"), ("feature-ctrl-ring", "1")]);
    for id in 0..16 {
        guest.add_vif_with(id, 0, &keys);
    }
    guest.run_for(10 * SECOND);
}

/// How many queues each of the 16 vifs has.
fn queues(guest: &Guest) -> Vec<usize> {
    let vifs = guest.vifs.values();
    vifs.map(|vif| vif.queues.len()).collect()
}

#[test]
fn every_vif_connects_within_the_usual_quota_of_xenstore() {
    let mut guest = sixteen(|_| ());
    guest.server.limit_nodes(1000);
    add_sixteen(&mut guest);
    assert_eq!(guest.state(), "ready");
    assert_eq!(queues(&guest), [6; 16]);
    // What is kept for commands and what the guest says of itself.
    assert!(guest.server.nodes() < 900, "{}", guest.server.nodes());
}

#[test]
fn every_vif_connects_with_few_event_channels() {
    type Limit = fn(&FakeMachine);
    let cases: [(usize, Limit); 3] = [
        (6, |machine| machine.hal.limit_ports(272)),
        (3, |machine| machine.hal.limit_ports(127)),
        (1, |machine| machine.hal.limit_ports(50)),
    ];
    for (each, limit) in cases {
        let mut guest = sixteen(limit);
        add_sixteen(&mut guest);
        assert_eq!(
            (guest.state().as_str(), queues(&guest)),
            ("ready", vec![each; 16])
        );
    }
}

#[test]
fn a_vif_has_fewer_queues_where_a_quota_is_smaller_than_usual() {
    let mut guest = Guest::start(TWO, 8);
    let mut keys = LINUX.to_vec();
    keys.push(("multi-queue-max-queues", "8"));
    guest.add_vif_with(0, 0, &keys);
    guest.run_for(SECOND);
    assert_eq!(guest.vifs[&0].queues.len(), 8);
    guest.run_for(10 * SECOND);
    let (ports, pages) = (guest.machine.hal.ports(), guest.machine.hal.pages());
    guest.add_vif_with(1, 0, &keys);
    // Room for some 30 more entries.
    guest.server.limit_nodes(guest.server.nodes() + 36);
    guest.run_for(SECOND);
    assert_eq!(guest.state(), "ready");
    assert_eq!(guest.vifs[&1].queues.len(), 4);
    // What was made for more has been given back.
    let (more_ports, more_pages) = (
        guest.machine.hal.ports() - ports,
        guest.machine.hal.pages() - pages,
    );
    assert_eq!((more_ports, more_pages <= pages), (8, true));
}
