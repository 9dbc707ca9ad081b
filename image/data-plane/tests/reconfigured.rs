//! Interfaces that a configuration brings while the data plane works.

#[expect(dead_code, reason = "shared with other tests")]
mod sim;

use netif::Features;
use netif::fakes::Backend;
use router::InterfaceId;
use xen_hal::DomId;

use sim::{Machine, Sim, VifPlan, config, mac, udp};

const TAG: [u8; 4] = [0x81, 0, 0, 100];

/// Has a router of two vifs follow a configuration with a third one, and with a sub-interface of the
/// second. Returns the number of the third.
fn reconfigure(sim: &mut Sim) -> InterfaceId {
    let tagged = VifPlan {
        tagged: true,
        ..VifPlan::default()
    };
    let text = config(&[VifPlan::default(), tagged, VifPlan::default()]);
    let config = router::config::from_toml(&text).expect("a configuration");
    let now = sim.now;
    sim.control(|control| control.apply(now, &config).unwrap());
    let third = sim.router.interface_id("v2").expect("a new interface");
    let infos = sim.control(|control| {
        let infos = control.attach(now, third, DomId(0), Features::all(), 2);
        control.link_up(now, third, mac(2), 1500);
        infos.expect("a vif")
    });
    let hal = sim.hal;
    let connect = |&info| Backend::connect(hal, DomId(0), info);
    sim.backends.push(infos.iter().map(connect).collect());
    sim.wake_all();
    sim.complete_all();
    third
}

/// Frames that left by an interface.
fn counted(sim: &mut Sim, interface: InterfaceId) -> u64 {
    sim.control(|control| control.gather_counters());
    let counters = sim.router.counters(interface);
    counters.expect("an interface").tx_packets
}

#[test]
fn packets_leave_by_interfaces_that_came_later() {
    for workers in [1, 2] {
        let machine = Machine {
            workers,
            ..Machine::default()
        };
        let mut sim = Sim::new(machine, &[VifPlan::default(); 2]);
        let third = reconfigure(&mut sim);
        let before = counted(&mut sim, third);
        for queue in 0..workers {
            assert!(sim.deliver(0, queue, &udp(0, 2, false, &[1; 100])));
            assert!(sim.deliver(0, queue, &udp(0, 1, true, &[2; 100])));
        }
        sim.turn();
        let sent = sim.complete_all();
        assert_eq!((sent[0].len(), sent[1].len()), (0, workers));
        assert_eq!(sent[2].len(), workers);
        assert!(sent[2].iter().all(|sent| sent.bytes[12..14] == [8, 0]));
        assert!(sent[1].iter().all(|sent| sent.bytes[12..16] == TAG));
        assert_eq!(counted(&mut sim, third), before + workers as u64);
    }
}

#[test]
fn the_router_answers_by_interfaces_that_came_later() {
    let mut sim = Sim::new(Machine::default(), &[VifPlan::default(); 2]);
    let third = reconfigure(&mut sim);
    // The last hop of both, from a host behind the new sub-interface, and one behind the new vif.
    let mut from_tag = udp(1, 0, false, &[3; 100]);
    from_tag[27] = 1;
    let mut from_third = udp(2, 0, false, &[4; 100]);
    for frame in [&mut from_tag, &mut from_third] {
        frame[22] = 1;
        sim::fill_checksum(frame);
    }
    from_tag.splice(12..12, TAG);
    assert!(sim.deliver(1, 0, &from_tag));
    assert!(sim.deliver(2, 0, &from_third));
    sim.turn();
    let sent = sim.complete_all();
    assert_eq!([sent[0].len(), sent[1].len(), sent[2].len()], [0, 1, 1]);
    // Time exceeded.
    assert_eq!(sent[1][0].bytes[12..16], TAG);
    assert_eq!(sent[1][0].bytes[38], 11);
    assert_eq!(sent[2][0].bytes[34], 11);
    // And what came there is counted.
    sim.control(|control| control.gather_counters());
    let counters = sim.router.counters(third).expect("an interface");
    assert_eq!(counters.rx_packets, 1);
}
