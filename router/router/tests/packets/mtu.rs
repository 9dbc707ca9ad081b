//! Links that carry less than was configured, or than IPv6 needs.

use router::config::from_toml;
use router::{DropReason, InterfaceId};
use testkit::bed::*;
use testkit::bed6::*;

const HOST: [u8; 4] = [10, 0, 1, 9];

/// The second interface has a sub-interface.
fn with_vlan(config: &str) -> String {
    format!(
        "{config}[interface.red]\nparent = \"lan\"\nvlan = 7\naddress = [\"2001:db8:7::1/64\"]\n"
    )
}

#[test]
fn a_link_too_small_for_ipv6_has_none() {
    let mut bed = Bed::new(&with_vlan(CONFIG6), 0);
    let red = InterfaceId(2);
    for (mtu, enabled) in [(1279, false), (1280, true), (68, false), (1500, true)] {
        bed.router
            .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), mtu);
        for _ in 0..30 {
            bed.pass(100);
        }
        let sent = bed.take();
        let speaks = sent
            .iter()
            .any(|(out, f)| *out == LAN && f[12..14] == [0x86, 0xdd]);
        assert_eq!(speaks, enabled, "{mtu}: on the vif");
        let speaks = sent
            .iter()
            .any(|(out, f)| *out == red.0 && f[12..14] == [0x86, 0xdd]);
        assert_eq!(speaks, enabled, "{mtu}: on the VLAN");
        let before = bed.dropped(LAN, DropReason::Ipv6Disabled);
        bed.receive(
            LAN,
            &echo6(LAN, a6("2001:db8:1::9"), a6("2001:db8:1::1"), 4),
        );
        let dropped = bed.dropped(LAN, DropReason::Ipv6Disabled) - before;
        assert_eq!(dropped, u64::from(!enabled), "{mtu}");
        bed.take();
        // IPv4 doesn't mind.
        bed.receive(LAN, &arp(1, host_mac(HOST), HOST, [0; 6], [10, 0, 1, 1]));
        assert_eq!(bed.take().len(), 1, "{mtu}");
        let warnings = bed.router.mtu_warnings();
        assert_eq!(warnings.len(), if enabled { 0 } else { 2 }, "{warnings:?}");
    }
    bed.assert_balance();
}

#[test]
fn a_vlan_follows_the_mtu_of_its_parent() {
    let mut bed = Bed::new(&with_vlan(CONFIG6), 0);
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 9000);
    let limited = CONFIG6.replace("\"10.0.1.1/24\"]", "\"10.0.1.1/24\"]\nmtu = 1280");
    for (config, mtu) in [(limited.as_str(), 1280), (CONFIG6, 9000)] {
        let config = from_toml(&with_vlan(config)).unwrap();
        bed.router.apply(bed.now, &config).unwrap();
        let shown = router::snapshot::interfaces(&bed.router);
        assert_eq!((shown[2].mtu, &shown[2].mtu_warnings[..]), (mtu, &[][..]));
    }
}

#[test]
fn an_mtu_beyond_the_links_is_told() {
    let config = CONFIG6.replace("vif = 1", "vif = 1\nmtu = 9000");
    let mut bed = Bed::new(&config, 0);
    let told = "lan: mtu 9000 is more than the 1500 bytes that the link offers";
    assert_eq!(bed.router.mtu_warnings(), [told]);
    bed.router.link_down(InterfaceId(LAN));
    assert!(bed.router.mtu_warnings().is_empty());
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 9000);
    assert!(bed.router.mtu_warnings().is_empty());
}
