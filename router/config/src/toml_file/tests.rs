use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::{Allowed, Attachment, ReversePath, RouteTarget, Via};
use wire::addr::Network;
use wire::vlan::{Tag, TagProtocol};

const BASE: &str = r#"
hostname = "tenant-a"
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]
[interface.lan]
mac = "00:16:3e:00:00:02"
address = ["10.0.1.1/24", "10.0.1.2/24", "10.0.2.1/24"]
mtu = 9000
"#;

fn with(more: &str) -> Result<Config, ConfigError> {
    from_toml(&format!("{BASE}{more}"))
}

#[test]
fn everything() {
    let config = with(
        r#"
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254", "10.0.1.254@3"]
[[route]]
prefix = "10.8.0.0/16"
interface = "lan"
[[route]]
prefix = "2001:db8::/32"
action = "prohibit"
[[neighbor]]
interface = "wan"
address = "10.0.0.254"
mac = "02:00:00:00:00:fe"
[[neighbor]]
interface = "lan"
address = "10.8.1.1"
mac = "02:00:00:00:00:fd"
"#,
    )
    .unwrap();
    assert_eq!(config.hostname, "tenant-a");
    assert_eq!(config.interfaces[0].name, "wan");
    assert_eq!(config.interfaces[0].attachment, Attachment::Vif(0));
    assert_eq!(config.interfaces[1].mtu, Some(9000));
    let via = |address: &str, interface, weight| Via {
        address: address.parse().unwrap(),
        interface,
        weight,
    };
    assert_eq!(
        config.routes[0].target,
        RouteTarget::Via(vec![via("10.0.0.254", 0, 1), via("10.0.1.254", 1, 3)])
    );
    assert_eq!(config.routes[1].target, RouteTarget::Interface(1));
    assert_eq!(
        config.routes[2].prefix,
        "2001:db8::/32".parse::<Network>().unwrap()
    );
    assert_eq!(config.neighbors.len(), 2);
}

#[test]
fn sub_interfaces_come_behind_their_parents() {
    let config = with(
        r#"
[interface.inner]
parent = "outer"
vlan = 4094
[interface.outer]
parent = "wan"
vlan = 1
protocol = "802.1ad"
[interface.late]
vif = 5
[interface.same]
parent = "wan"
vlan = 1
[interface.narrow]
parent = "lan"
vlan = 1
mtu = 1400
[interface.lo]
type = "loopback"
[interface.deeper]
parent = "narrow"
vlan = 1
[interface.lo2]
type = "loopback"
"#,
    )
    .unwrap();
    let names: Vec<&str> = config.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "wan", "lan", "late", "outer", "same", "narrow", "lo", "lo2", "inner", "deeper"
        ]
    );
    assert_eq!(config.vifs(), 3);
    let vlan = |parent, protocol, vid| Attachment::Vlan {
        parent,
        tag: Tag { protocol, vid },
    };
    let attachments: Vec<Attachment> = config.interfaces.iter().map(|i| i.attachment).collect();
    assert_eq!(
        attachments[3..],
        [
            vlan(0, TagProtocol::Service, 1),
            vlan(0, TagProtocol::Customer, 1),
            vlan(1, TagProtocol::Customer, 1),
            Attachment::Loopback,
            Attachment::Loopback,
            vlan(3, TagProtocol::Customer, 4094),
            vlan(5, TagProtocol::Customer, 1),
        ]
    );
    let mtus: Vec<Option<u16>> = config.interfaces.iter().map(|i| i.mtu).collect();
    assert_eq!(mtus[5..], [Some(1400), None, None, None, Some(1400)]);
}

#[test]
fn tables_have_prefixes_and_addresses_of_their_own() {
    let config = with(
        r#"
[vrf.blue]
[vrf.red]
[interface.b]
vif = 2
vrf = "blue"
address = ["10.0.0.1/24", "2001:db8:0::1/64"]
[interface.r]
vif = 3
vrf = "red"
address = ["10.0.0.1/16"]
[interface.d]
vif = 4
vrf = "default"
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
[[route]]
prefix = "0.0.0.0/0"
vrf = "blue"
via = ["10.0.0.254"]
[[route]]
prefix = "0.0.0.0/0"
vrf = "red"
via = ["10.0.0.254"]
via_vrf = "blue"
[[route]]
prefix = "10.0.1.0/24"
vrf = "blue"
via_vrf = "default"
[[neighbor]]
interface = "r"
address = "10.0.1.1"
mac = "02:00:00:00:00:fe"
"#,
    )
    .unwrap();
    assert_eq!(config.vrfs, ["default", "blue", "red"]);
    let of: Vec<usize> = config.interfaces.iter().map(|i| i.vrf).collect();
    assert_eq!(of, [0, 0, 1, 2, 0]);
    let gateways: Vec<(usize, Option<usize>)> = config
        .routes
        .iter()
        .map(|r| match &r.target {
            RouteTarget::Via(via) => (r.vrf, Some(via[0].interface)),
            _ => (r.vrf, None),
        })
        .collect();
    assert_eq!(
        gateways,
        [(0, Some(0)), (1, Some(2)), (2, Some(2)), (1, None)]
    );
    assert_eq!(config.routes[3].target, RouteTarget::Vrf(0));
}

#[test]
fn so_many_interfaces_and_no_more() {
    let vlans = |count: usize| {
        let all = (1..=count).map(|i| format!("[interface.v{i}]\nparent = \"wan\"\nvlan = {i}\n"));
        with(&all.collect::<String>())
    };
    assert_eq!(vlans(62).unwrap().interfaces.len(), 64);
    assert_eq!(vlans(63).unwrap_err().text, "more than 64 interfaces");
    let vifs = |count: u8| {
        let all =
            (0..count).map(|i| format!("[interface.v{i}]\nmac = \"02:00:00:00:00:{i:02x}\"\n"));
        with(&all.collect::<String>())
    };
    assert_eq!(vifs(14).unwrap().vifs(), 16);
    let error = vifs(15).unwrap_err();
    assert_eq!(
        (error.line, error.text.as_str()),
        (38, "more than 16 interfaces that are vifs")
    );
}

#[test]
fn mistakes_name_line_and_reason() {
    // BASE has nine lines, so that what is added begins on line 10.
    for (more, line, wanted) in [
        ("x = ", 10, ""),
        (
            "adress = []",
            10,
            "unknown key \"adress\" in interface.lan (did you mean \"address\"?)",
        ),
        ("mtu = 1500", 10, ""),
        ("vif = 1", 10, "both"),
        ("[interface.c]\nvif = 16", 11, "0 to 15"),
        ("[interface.c]\nvif = -1", 11, "0 to 15"),
        ("[interface.c]\nvif = \"1\"", 11, "0 to 15, not string"),
        ("[interface.c]\nvif = 0", 11, "already interface wan"),
        (
            "[interface.c]\nmac = \"00:16:3e:00:00:02\"",
            11,
            "already interface lan",
        ),
        ("[interface.c]\nmac = \"01:16:3e:00:00:02\"", 11, "can't be"),
        ("[interface.c]\nmac = \"0016.3e00.0002\"", 11, "isn't a MAC"),
        ("[interface.c]\nmtu = 1500", 10, "needs \"vif\""),
        ("[interface.c]\nvif = 2\nmtu = 67", 12, "68 to 65535"),
        (
            "[interface.c]\nvif = 2\naddress = \"10.0.3.1/24\"",
            12,
            "list of strings",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"10.0.3.1\"]",
            12,
            "prefix length",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\n\"10.0.3.1/24\",\n\"10.0.0.1/32\"]",
            14,
            "already",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"10.0.0.9/24\"]",
            12,
            "overlaps 10.0.0.1/24 of wan",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"10.0.3.0/24\"]",
            12,
            "network itself",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"10.0.3.255/24\"]",
            12,
            "broadcast",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"127.0.0.1/8\"]",
            12,
            "unicast",
        ),
        (
            "[interface.c]\nvif = 2\naddress = [\"224.0.0.1/24\"]",
            12,
            "unicast",
        ),
        (
            "[interface.c]\nvif = 2\nparent = \"lan\"\nvlan = 1",
            12,
            "a vif and a \"parent\"",
        ),
        (
            "[interface.c]\nvif = 2\nvlan = 1",
            12,
            "an interface of its own with \"parent\"",
        ),
        (
            "[interface.c]\nparent = \"lan\"",
            11,
            "needs \"vlan\" (1 to 4094)",
        ),
        ("[interface.c]\nvlan = 5", 11, "needs \"parent\""),
        (
            "[interface.c]\nvif = 2\nprotocol = \"802.1Q\"",
            12,
            "goes with \"vlan\"",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 0",
            12,
            "1 to 4094, not 0",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 4095",
            12,
            "1 to 4094, not 4095",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 1\nprotocol = \"802.1q\"",
            13,
            "unknown protocol \"802.1q\" (did you mean \"802.1Q\"?)",
        ),
        (
            "[interface.c]\nparent = \"lna\"\nvlan = 1",
            11,
            "no interface \"lna\" (did you mean \"lan\"?)",
        ),
        (
            "[interface.c]\nparent = \"c\"\nvlan = 1",
            11,
            "interface c can't be its own parent",
        ),
        (
            "[interface.c]\nparent = \"d\"\nvlan = 1\n[interface.d]\nvlan = 2\nparent = \"c\"",
            15,
            "the parents of interface c lead back to it",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 1\n[interface.d]\nvlan = 2\nparent = \"c\"\n\
             [interface.e]\nparent = \"d\"\nvlan = 3",
            11,
            "frames of e would have more than 2 tags",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 1\n[interface.d]\nparent = \"lan\"\nvlan = 1",
            15,
            "vlan 1 of lan is already interface c",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 1\nmtu = 9001",
            10,
            "mtu 9001 of c is more than that of its parent lan, 9000",
        ),
        (
            "[interface.c]\nvif = 3\nmtu = 1200\n[interface.d]\nparent = \"c\"\nvlan = 1\n\
             address = [\"2001:db8:9::1/64\"]",
            16,
            "IPv6 needs an MTU of 1280 bytes, that of d is 1200",
        ),
        (
            "[interface.c]\nparent = \"lan\"\nvlan = 1\naddress = [\"10.0.1.9/24\"]",
            13,
            "overlaps 10.0.1.1/24 of lan",
        ),
        (
            "[interface.c]\ntype = \"lopback\"",
            11,
            "unknown type \"lopback\" (did you mean \"loopback\"?)",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\nvif = 2",
            12,
            "c is a loopback and has neither vif nor VLAN",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\nmtu = 1500",
            10,
            "c is a loopback, for which \"mtu\" means nothing",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\naddress = [\"10.9.0.1/24\"]",
            12,
            "(did you mean \"10.9.0.1/32\"?)",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\n[interface.d]\nparent = \"c\"\nvlan = 1",
            13,
            "c is a loopback and has no VLANs",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\n[[route]]\nprefix = \"10.9.0.0/16\"\ninterface = \"c\"",
            14,
            "c is a loopback, and loopback interfaces have no neighbors",
        ),
        (
            "[interface.c]\ntype = \"loopback\"\n[[neighbor]]\ninterface = \"c\"\n\
             address = \"10.9.0.1\"\nmac = \"02:00:00:00:00:01\"",
            13,
            "c is a loopback, and loopback interfaces have no neighbors",
        ),
        (
            "[interface.c]\nvif = 2\nsource = \"wna\"",
            12,
            "no interface \"wna\" (did you mean \"wan\"?)",
        ),
        ("[vrf]\nblue = 1", 11, "\"vrf.blue\" is a table"),
        (
            "[vrf.blue]\ntable = 1",
            11,
            "unknown key \"table\" in vrf.blue",
        ),
        ("[vrf.default]", 10, "vrf default is always there"),
        ("[vrf.\"a b\"]", 10, "vrf name \"a b\" isn't"),
        (
            "[vrf.blue]\n[interface.c]\nvif = 2\nvrf = \"bleu\"",
            13,
            "no vrf \"bleu\" (did you mean \"blue\"?)",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvrf = \"blue\"\nvia = [\"10.0.0.254\"]",
            12,
            "no vrf \"blue\"",
        ),
        (
            "[vrf.blue]\n[[route]]\nprefix = \"0.0.0.0/0\"\nvrf = \"blue\"\nvia = [\"10.0.0.254\"]",
            14,
            "gateway 10.0.0.254 isn't on the network of any interface in vrf blue (did you mean vrf \"default\"?)",
        ),
        (
            "[vrf.blue]\n[[route]]\nprefix = \"::/0\"\nvrf = \"blue\"\nvia = [\"fe80::1%wan\"]",
            14,
            "interface wan is in vrf default, not in blue",
        ),
        (
            "[vrf.blue]\n[[route]]\nprefix = \"0.0.0.0/0\"\nvrf = \"blue\"\ninterface = \"wan\"",
            14,
            "interface wan is in vrf default, not in blue",
        ),
        (
            "[vrf.blue]\n[interface.c]\nvif = 2\nvrf = \"blue\"\nsource = \"wan\"",
            14,
            "interface wan is in vrf default, not in blue",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia_vrf = \"default\"",
            12,
            "route 0.0.0.0/0 leads to the vrf that it is in",
        ),
        (
            "[vrf.blue]\n[[route]]\nprefix = \"0.0.0.0/0\"\nvia_vrf = \"blue\"\naction = \"blackhole\"",
            13,
            "goes nowhere and has no \"via_vrf\"",
        ),
        (
            "[vrf.blue]\n[[route]]\nprefix = \"10.8.0.0/16\"\nvia_vrf = \"blue\"\n\
             [[route]]\nprefix = \"0.0.0.0/0\"\nvrf = \"blue\"\nvia_vrf = \"default\"",
            12,
            "route 10.8.0.0/16 leads round in a circle: vrf default, blue, default",
        ),
        (
            "[vrf.a]\n[vrf.b]\n[[route]]\nprefix = \"10.8.0.0/14\"\nvia_vrf = \"a\"\n\
             [[route]]\nprefix = \"10.8.0.0/16\"\nvrf = \"b\"\nvia_vrf = \"default\"\n\
             [[route]]\nprefix = \"10.8.0.0/15\"\nvrf = \"a\"\nvia_vrf = \"b\"",
            16,
            "route 10.8.0.0/16 leads round in a circle: vrf b, default, a, b",
        ),
        ("[interface.\"a b\"]\nvif = 2", 10, "interface name"),
        ("[intreface.c]\nvif = 2", 10, "did you mean \"interface\""),
        (
            "[[route]]\nprefix = \"10.1.0.1/16\"\naction = \"blackhole\"",
            11,
            "\"10.1.0.0/16\"",
        ),
        ("[[route]]\nprefix = \"10.1.0.0/16\"", 10, "needs one of"),
        ("[[route]]\nvia = [\"10.0.0.254\"]", 10, "needs \"prefix\""),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = []",
            12,
            "no gateway",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.9.1\"]",
            12,
            "isn't on the network",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.1.2\"]",
            12,
            "is this router",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.0.255\"]",
            12,
            "host address",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"2001:db8::9\"]",
            12,
            "family",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.0.9@256\"]",
            12,
            "1 to 255",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\naction = \"drop\"",
            12,
            "unknown action",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\ninterface = \"lam\"",
            12,
            "did you mean \"lan\"",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\ninterface = \"lan\"\naction = \"blackhole\"",
            13,
            "one of",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/24\"\naction = \"blackhole\"",
            11,
            "network of interface wan",
        ),
        (
            "[[route]]\nprefix = \"0.0.0.0/0\"\naction = \"blackhole\"\n\
             [[route]]\nprefix = \"0.0.0.0/0\"\naction = \"blackhole\"",
            14,
            "already on line 11",
        ),
        ("[route]\nprefix = \"0.0.0.0/0\"", 10, "[[route]]"),
        ("[[neighbor]]\ninterface = \"wan\"", 10, "needs"),
        (
            "[[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.1.9\"\nmac = \"02:00:00:00:00:01\"",
            12,
            "isn't on the link",
        ),
        (
            "[[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.0.9\"\nmac = \"ff:ff:ff:ff:ff:ff\"",
            13,
            "can't be",
        ),
    ] {
        let error = with(more).unwrap_err();
        assert_eq!(error.line, line, "{more}: {error}");
        assert!(error.text.contains(wanted), "{more}: {error}");
    }
    assert!(from_toml("").unwrap_err().text.contains("no interface"));
    assert!(
        from_toml("hostname = \"a b\"\n[interface.a]\nvif=0")
            .unwrap_err()
            .line
            <= 1
    );
}

#[test]
fn many_routes_are_read_quickly() {
    let mut text = String::from(BASE);
    for i in 0..10_000 {
        let (a, b) = (i / 256, i % 256);
        text += &format!("[[route]]\nprefix = \"20.{a}.{b}.0/24\"\nvia = [\"10.0.0.254\"]\n");
    }
    assert_eq!(from_toml(&text).unwrap().routes.len(), 10_000);
}

#[test]
fn a_gateway_is_where_the_longest_match_says() {
    let link = |more: &str| {
        let text = format!(
            "[interface.a]\nvif = 0\naddress = [\"10.0.0.1/16\"]\n\
             [interface.b]\nvif = 1\naddress = [\"10.9.0.1/24\"]\n\
             [interface.c]\nvif = 2\naddress = [\"2001:db8::1/48\"]\n\
             [[route]]\nprefix = \"10.0.7.0/24\"\ninterface = \"b\"\n\
             [[route]]\nprefix = \"10.9.0.0/25\"\ninterface = \"a\"\n\
             [[route]]\nprefix = \"10.0.0.0/15\"\ninterface = \"c\"\n\
             [[route]]\nprefix = \"2001:db8:0:1::/64\"\ninterface = \"b\"\n{more}"
        );
        let config = from_toml(&text).unwrap();
        let RouteTarget::Via(gateways) = &config.routes.last().unwrap().target else {
            panic!("gateways");
        };
        config.interfaces[gateways[0].interface].name.clone()
    };
    for (gateway, name) in [
        ("10.0.1.9", "a"),
        ("10.9.0.200", "b"),
        ("10.9.0.9", "a"),
        ("10.0.7.9", "b"),
    ] {
        let route = format!("[[route]]\nprefix = \"20.0.0.0/8\"\nvia = [\"{gateway}\"]\n");
        assert_eq!(link(&route), name, "{gateway}");
    }
    for (gateway, name) in [("2001:db8::9", "c"), ("2001:db8:0:1::9", "b")] {
        let route = format!("[[route]]\nprefix = \"2a00::/16\"\nvia = [\"{gateway}\"]\n");
        assert_eq!(link(&route), name, "{gateway}");
    }
}

#[test]
fn a_route_may_put_a_gateway_on_a_link() {
    let text = |more: &str| {
        format!(
            "[interface.wan]\nvif = 0\naddress = [\"192.0.2.1/32\"]\n[interface.lan]\nvif = 1\n\
             [[route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"203.0.113.1\"]\n{more}"
        )
    };
    let error = from_toml(&text("")).unwrap_err();
    assert!(error.text.contains("isn't on the network"), "{error}");
    let to = |prefix: &str, name: &str| {
        format!("[[route]]\nprefix = \"{prefix}\"\ninterface = \"{name}\"\n")
    };
    // The most specific one says where.
    let more = to("203.0.0.0/8", "lan") + &to("203.0.113.1/32", "wan");
    let config = from_toml(&text(&more)).unwrap();
    let RouteTarget::Via(gateways) = &config.routes[0].target else {
        panic!("a gateway")
    };
    assert_eq!(gateways[0].interface, 0);
}

#[test]
fn what_is_done_only_if_told_to() {
    let config =
        with("directed_broadcast = true\nredirects = true\nsource_route = true\nproxy_arp = true")
            .unwrap();
    assert_eq!(config.interfaces[0].allow, Allowed::default());
    let all = Allowed {
        directed_broadcast: true,
        redirects: true,
        source_route: true,
        proxy_arp: true,
    };
    assert_eq!(config.interfaces[1].allow, all);
    for (more, wanted) in [
        ("directed_broadcast = 1", "true or false"),
        ("source_route = \"yes\"", "true or false"),
        ("source_rout = true", "did you mean \"source_route\"?"),
        (
            "directed_broadcasts = true",
            "did you mean \"directed_broadcast\"?",
        ),
    ] {
        let error = with(more).unwrap_err();
        assert!(error.text.contains(wanted), "{more}: {error}");
    }
}

#[test]
fn old_spellings_go_on_working_with_a_warning() {
    let old = "source-route = true\nproxy-arp = true\ndirected-broadcast = true\n";
    let new = old.replace('-', "_");
    let from_old = with(old).unwrap();
    let warnings = from_old.warnings.iter().map(ToString::to_string);
    assert_eq!(
        warnings.collect::<Vec<_>>(),
        [
            "line 10: \"source-route\" is now spelled \"source_route\"",
            "line 11: \"proxy-arp\" is now spelled \"proxy_arp\"",
            "line 12: \"directed-broadcast\" is now spelled \"directed_broadcast\"",
        ]
    );
    let from_new = with(&new).unwrap();
    assert_eq!(from_new.warnings, []);
    let without_warnings = Config {
        warnings: Vec::new(),
        ..from_old
    };
    assert_eq!(without_warnings, from_new);
    for (more, line, wanted) in [
        (
            "proxy-arp = true\nproxy_arp = false",
            11,
            "\"proxy_arp\" and \"proxy-arp\" on line 10 are the same key",
        ),
        ("proxy-arp = 1", 10, "\"proxy_arp\" is true or false"),
        // In a table that never had it.
        (
            "[[route]]\nproxy-arp = true",
            11,
            "unknown key \"proxy-arp\" in route",
        ),
        // Others never had another spelling.
        (
            "icmp-error-rate = 1",
            10,
            "did you mean \"icmp_error_rate\"?",
        ),
    ] {
        let error = with(more).unwrap_err();
        assert_eq!(error.line, line, "{more}: {error}");
        assert!(error.text.contains(wanted), "{more}: {error}");
    }
    // Names are the user's, however they are spelled.
    let named = with("[interface.proxy-arp]\nvif = 2\n[vrf.route-file]").unwrap();
    assert_eq!(named.interfaces[2].name, "proxy-arp");
    assert_eq!(named.vrfs[1], "route-file");
    assert_eq!(named.warnings, []);
}

#[test]
fn the_mistake_on_the_earliest_line_is_reported() {
    let text = "[interface.a]\nvif = 0\n[[route]]\nprefix = 1\nvia = 2\n\
                [interface.b]\nvif = 99\n";
    let error = from_toml(text).unwrap_err();
    assert_eq!(error.to_string(), "4: \"prefix\" is a string, not integer");
}

#[test]
fn every_table_knows_its_keys() {
    for table in [
        "",
        "[interface.six]",
        "[interface.six.advertise]",
        "[[interface.six.advertise.prefix]]",
        "[[interface.six.advertise.route]]",
        "[vrf.blue]",
        "[[route]]",
        "[[route_file]]",
        "[[neighbor]]",
    ] {
        let error = from_toml(&format!("{table}\ncolour = 1\n")).unwrap_err();
        let place = match table.trim_matches(['[', ']']) {
            "" => String::new(),
            path => format!(" in {path}"),
        };
        assert_eq!(
            error.to_string(),
            format!("2: unknown key \"colour\"{place}")
        );
    }
}

#[test]
fn ipv6_in_full() {
    let config = with(
        r#"
rpf = "strict"
dad_transmits = 0
icmp_error_rate = 1000
neighbor_limit = 65536
[interface.six]
vif = 2
address = ["fe80::1/64", "2001:db8:6::1/64", "2001:db8:7::1/127"]
mtu = 1280
[interface.six.advertise]
max_interval_s = 60
other = true
needs_default_route = true
preference = "low"
[[interface.six.advertise.prefix]]
prefix = "2001:db8:6::/64"
valid_lifetime_s = 7200
[[route]]
prefix = "::/0"
via = ["fe80::2%six", "fe80::fe%wan@3", "2001:db8::2"]
[[neighbor]]
interface = "wan"
address = "fe80::fe"
mac = "02:00:00:00:00:fe"
"#,
    )
    .unwrap();
    let [_, lan, six] = config.interfaces.as_slice() else {
        panic!("three interfaces")
    };
    assert_eq!((lan.rpf, lan.dad_transmits), (Some(ReversePath::Strict), 0));
    assert_eq!((lan.icmp_error_rate, six.icmp_error_rate), (1000, 200));
    assert_eq!(
        (lan.neighbor_limit, six.neighbor_limit),
        (Some(65_536), None)
    );
    let advertise = six.advertise.as_ref().unwrap();
    assert_eq!((advertise.min_interval_s, advertise.lifetime_s), (20, 180));
    assert_eq!((advertise.hop_limit, advertise.other), (64, true));
    assert!(advertise.needs_default_route);
    let [prefix] = advertise.prefixes.as_slice() else {
        panic!("the one that was given")
    };
    assert_eq!(
        (prefix.valid_lifetime_s, prefix.preferred_lifetime_s),
        (7200, 7200)
    );
    let RouteTarget::Via(gateways) = &config.routes[0].target else {
        panic!("gateways")
    };
    let found: Vec<(usize, u8)> = gateways.iter().map(|v| (v.interface, v.weight)).collect();
    assert_eq!(found, [(2, 1), (0, 3), (0, 1)]);
}

#[test]
fn ipv6_mistakes() {
    let route = |via: &str| format!("[[route]]\nprefix = \"::/0\"\nvia = [\"{via}\"]");
    let six = |more: &str| format!("[interface.six]\nvif = 2\n{more}");
    let advertise = |more: &str| {
        six(&format!(
            "address = [\"2001:db8:6::1/64\"]\n[interface.six.advertise]\n{more}"
        ))
    };
    for (more, wanted) in [
        (route("fe80::1"), "did you mean \"fe80::1%wan\"?"),
        (
            route("fe80::1%wna"),
            "no interface \"wna\" (did you mean \"wan\"?)",
        ),
        (route("fe80::1%lan"), "has no IPv6 address"),
        (route("2001:db8::2%wan"), "only link-local addresses"),
        (route("10.0.0.2"), "family"),
        (
            six("address = [\"2001:db8:6::/64\"]"),
            "any router of its network",
        ),
        (six("address = [\"ff02::1/64\"]"), "not a unicast address"),
        (six("address = [\"::1/128\"]"), "not a unicast address"),
        (six("address = [\"fe80::1/10\"]"), "fe80::/64"),
        (
            six("address = [\"fe80::1/64\", \"fe80::2/64\"]"),
            "more than one link-local",
        ),
        (six("address = [\"2001:db8:6::1/64\"]\nmtu = 1279"), "1280"),
        (
            six("address = [\"10.6.0.1/24\"]\n[interface.six.advertise]"),
            "no IPv6 address",
        ),
        (
            String::from(
                "[[route]]\nprefix = \"2001:db8:9::/48\"\nvia = [\"2001:db8::9\"]\nmtu = 1279",
            ),
            "IPv6 needs an MTU of 1280",
        ),
        (
            String::from(
                "[[route]]\nprefix = \"192.0.2.0/24\"\naction = \"blackhole\"\nmtu = 1400",
            ),
            "leads to no next hop",
        ),
        (
            String::from("[[route]]\nprefix = \"192.0.2.0/24\"\nvia = [\"10.0.0.9\"]\nmtu = 67"),
            "68 to 65535",
        ),
        (six("rpf = \"stric\""), "did you mean \"strict\"?"),
        (six("rpf = \"feasibl\""), "did you mean \"feasible\"?"),
        (
            six("rpf = \"loose_ignoring_defaults\""),
            "did you mean \"loose_ignoring_default\"?",
        ),
        (six("dad_transmits = 11"), "0 to 10"),
        (six("icmp_error_rate = -1"), "0 to 1000000"),
        (six("neighbor_limit = 15"), "16 to 262144"),
        (
            six("icmp-error-rate = 1"),
            "did you mean \"icmp_error_rate\"?",
        ),
        (advertise("lifetime = 3"), "did you mean \"lifetime_s\"?"),
        (
            advertise("lifetime_s = 599"),
            "at least max_interval_s (600)",
        ),
        (
            advertise("max_interval_s = 20\nmin_interval_s = 16"),
            "at most 3/4",
        ),
        (advertise("preference = \"hihg\""), "did you mean \"high\"?"),
        (advertise("dns = [\"10.0.0.1\"]"), "not IPv6"),
        (advertise("dns_search = [\"a..b\"]"), "domain name"),
        (advertise("managed = 1"), "true or false"),
        (
            advertise("[[interface.six.advertise.prefix]]\nprefix = \"2001:db8:6::1/64\""),
            "did you mean \"2001:db8:6::/64\"?",
        ),
        (
            advertise(
                "[[interface.six.advertise.prefix]]\nprefix = \"2001:db8:6::/48\"\nautonomous = true",
            ),
            "length 64",
        ),
        (
            advertise("[[interface.six.advertise.route]]\nprefix = \"10.0.0.0/8\""),
            "IPv6 prefix",
        ),
    ] {
        let error = with(&more).unwrap_err();
        assert!(error.text.contains(wanted), "{more}: {error}");
        assert!(error.line > 10, "{more}: {error}");
    }
}
