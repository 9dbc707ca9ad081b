use alloc::vec;

use super::*;
use crate::addr::Network;
use crate::config::{ReversePath, RouteTarget, Via};

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
fn ipv6_in_full() {
    let config = with(
        r#"
rpf = "strict"
dad_transmits = 0
[interface.six]
vif = 2
address = ["fe80::1/64", "2001:db8:6::1/64", "2001:db8:7::1/127"]
mtu = 1280
[interface.six.advertise]
max_interval_s = 60
other = true
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
    let advertise = six.advertise.as_ref().unwrap();
    assert_eq!((advertise.min_interval_s, advertise.lifetime_s), (20, 180));
    assert_eq!((advertise.hop_limit, advertise.other), (64, true));
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
            "leads nowhere",
        ),
        (
            String::from("[[route]]\nprefix = \"192.0.2.0/24\"\nvia = [\"10.0.0.9\"]\nmtu = 67"),
            "68 to 65535",
        ),
        (six("rpf = \"stric\""), "did you mean \"strict\"?"),
        (six("dad_transmits = 11"), "0 to 10"),
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
