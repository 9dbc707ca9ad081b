//! Configurations that can't work, that there is no room for, and some that look like them and do.

use config::{Config, ConfigError, from_toml};
use std::fmt::Write;
use std::time::{Duration, Instant};
use wire::addr::Network;

const BASE: &str = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/16\", \"2001:db8::1/48\"]\n\
     [interface.lan]\nvif = 1\naddress = [\"10.9.0.1/24\"]\n";

fn with(more: &str) -> Result<Config, ConfigError> {
    from_toml(&(BASE.to_owned() + more))
}

fn route(prefix: &str, target: &str) -> String {
    format!("[[route]]\nprefix = \"{prefix}\"\n{target}\n")
}

#[track_caller]
fn refused(more: &str, wanted: &str) {
    let error = with(more).expect_err("refused");
    assert!(error.text.contains(wanted), "{error}");
    assert!(error.line > 6, "{error}");
}

#[test]
fn routes_into_what_is_never_forwarded() {
    for prefix in [
        "0.0.0.0/8",
        "0.1.2.0/24",
        "127.0.0.0/8",
        "127.0.0.53/32",
        "224.0.0.0/4",
        "239.0.0.0/8",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "::ffff:0:0/96",
        "fe80::/10",
        "fe80::/64",
        "ff00::/8",
        "ff05::2/128",
    ] {
        refused(&route(prefix, "interface = \"wan\""), "never forwarded to");
        // It is dropped in any case.
        with(&route(prefix, "action = \"blackhole\"")).expect(prefix);
    }
    for prefix in [
        "0.0.0.0/0",
        "1.0.0.0/8",
        "128.0.0.0/1",
        "::/0",
        "::/3",
        "fc00::/7",
    ] {
        with(&route(prefix, "interface = \"wan\"")).expect(prefix);
    }
}

#[test]
fn gateways_that_no_host_can_be() {
    let links = route("0.0.0.0/1", "interface = \"wan\"")
        + &route("128.0.0.0/1", "interface = \"wan\"")
        + &route("::/0", "interface = \"wan\"");
    for (prefix, gateway) in [
        ("20.0.0.0/8", "224.0.0.5"),
        ("20.0.0.0/8", "0.0.0.0"),
        ("20.0.0.0/8", "127.0.0.1"),
        ("20.0.0.0/8", "255.255.255.255"),
        ("2a00::/16", "::"),
        ("2a00::/16", "::1"),
        ("2a00::/16", "ff02::1"),
        ("2a00::/16", "::ffff:10.0.0.9"),
    ] {
        let via = route(prefix, &format!("via = [\"{gateway}\"]"));
        refused(
            &(links.clone() + &via),
            "can't be one: not a unicast address",
        );
    }
    let good = links + &route("20.0.0.0/8", "via = [\"203.0.113.1\"]");
    with(&good).unwrap();
}

#[test]
fn neighbors_that_no_host_can_be() {
    let neighbor = |address: &str, mac: &str| {
        format!("[[neighbor]]\ninterface = \"wan\"\naddress = \"{address}\"\nmac = \"{mac}\"\n")
    };
    let mac = "02:00:00:00:00:09";
    for address in [
        "10.0.0.0",
        "10.0.255.255",
        "2001:db8::",
        "224.0.0.5",
        "ff02::1",
    ] {
        refused(&neighbor(address, mac), "isn't the address of a host");
    }
    refused(&neighbor("10.0.0.9", "00:00:00:00:00:00"), "can't be");
    // A cluster whose members all hear what is sent to it.
    let group = with(&neighbor("10.0.0.9", "03:bf:0a:00:00:09")).unwrap();
    assert_eq!(group.neighbors.len(), 1);
}

#[test]
fn what_a_loopback_has_no_use_for() {
    for key in [
        "directed_broadcast",
        "redirects",
        "source_route",
        "proxy_arp",
    ] {
        let text = format!(
            "[interface.lo]\ntype = \"loopback\"\naddress = [\"192.0.2.1/32\"]\n{key} = true\n"
        );
        refused(&text, "means nothing");
    }
}

#[test]
fn single_addresses_in_a_network_of_the_interface() {
    let addresses = |list: &str| {
        let text = format!("[interface.wan]\nvif = 0\naddress = [{list}]\n");
        from_toml(&(text + "[interface.lan]\nvif = 1\naddress = [\"10.1.0.5/32\"]\n"))
    };
    for list in [
        "\"10.0.0.1/24\", \"10.0.0.5/32\"",
        "\"10.0.0.5/32\", \"10.0.0.1/24\", \"10.0.0.6/32\"",
        "\"2001:db8::1/64\", \"2001:db8::5/128\"",
    ] {
        assert!(addresses(list).unwrap().interfaces[0].addresses.len() > 1);
    }
    for list in [
        "\"10.0.0.1/24\", \"10.0.0.1/32\"",
        "\"10.0.0.1/24\", \"10.0.0.5/25\"",
        // That of another link.
        "\"10.1.0.1/24\"",
    ] {
        assert!(addresses(list).is_err(), "{list}");
    }
}

#[test]
fn as_many_neighbors_as_there_is_room_for() {
    let text = |neighbors: u32, gateways: u32| {
        let mut text = String::new();
        for n in 0..neighbors {
            let _ = write!(
                text,
                "[[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.{}.{}\"\n\
                 mac = \"02:00:00:00:00:01\"\n",
                1 + n / 250,
                1 + n % 250
            );
        }
        for n in 0..gateways {
            let via = format!("via = [\"10.0.{}.{}\"]", 100 + n / 250, 1 + n % 250);
            text += &route(&format!("20.{}.{}.0/24", n / 250, n % 250), &via);
        }
        text
    };
    with(&text(1024, 0)).unwrap();
    with(&text(1000, 24)).unwrap();
    for (neighbors, gateways) in [(1025, 0), (1000, 25), (0, 1025)] {
        let more = text(neighbors, gateways);
        refused(
            &more,
            "more than 1024 IPv4 gateways and static neighbors on wan",
        );
    }
}

#[test]
fn as_many_groups_of_gateways_as_there_is_room_for() {
    let text = |groups: u32| {
        let mut text = String::new();
        for n in 0..groups {
            let via = format!(
                "via = [\"10.0.0.{}\", \"10.0.1.{}\"]",
                2 + n % 100,
                1 + n / 100
            );
            text += &route(&format!("20.{}.{}.0/24", n / 250, n % 250), &via);
            // The same group, so that it needs no room of its own.
            text += &route(&format!("30.{}.{}.0/24", n / 250, n % 250), &via);
        }
        text
    };
    with(&text(4096)).unwrap();
    refused(&text(4097), "more than 4096 different groups");
    let gateways = |count: u32| {
        let each = (0..count).map(|n| format!("\"10.0.7.{}\"", n + 1));
        let list = each.collect::<Vec<_>>().join(", ");
        route("20.0.0.0/8", &format!("via = [{list}]"))
    };
    with(&gateways(64)).unwrap();
    refused(&gateways(65), "more than 64 gateways");
}

#[test]
fn advertisements_fit_any_link() {
    let advertise = |networks: usize, more: &str| {
        let addresses = (0..networks).map(|n| format!("\"2001:db8:{n:x}::1/64\""));
        let list = addresses.collect::<Vec<_>>().join(", ");
        from_toml(&format!(
            "[interface.a]\nvif = 0\naddress = [{list}]\n[interface.a.advertise]\n{more}"
        ))
    };
    let config = advertise(8, "").unwrap();
    let prefixes = |config: &Config| {
        config.interfaces[0]
            .advertise
            .as_ref()
            .unwrap()
            .prefixes
            .len()
    };
    assert_eq!(prefixes(&config), 8);
    let error = advertise(9, "").unwrap_err();
    assert!(error.text.contains("more than 8 IPv6 networks"), "{error}");
    let named = "[[interface.a.advertise.prefix]]\nprefix = \"2001:db8::/64\"\n";
    assert_eq!(prefixes(&advertise(9, named).unwrap()), 1);
    // Single addresses are on no prefix of their own.
    let alias = from_toml(
        "[interface.a]\nvif = 0\naddress = [\"2001:db8::1/64\", \"2001:db8::5/128\"]\n\
         [interface.a.advertise]\n",
    );
    assert_eq!(prefixes(&alias.unwrap()), 1);
    let names = (0..8).map(|n| format!("\"{}{n}.example\"", "long-name.".repeat(8)));
    let search = format!(
        "dns_search = [{}]\ndns = [\"2001:db8::53\", \"2001:db8::54\"]\n",
        names.collect::<Vec<_>>().join(", ")
    );
    advertise(1, &search).unwrap();
    let routes: String = (0..8)
        .map(|n| {
            format!(
                "[[interface.a.advertise.route]]\nprefix = \"2001:db8:{:x}::1/128\"\n",
                100 + n
            )
        })
        .collect();
    let error = advertise(8, &(search + &routes)).unwrap_err();
    assert!(error.text.contains("1280 that any IPv6 link"), "{error}");
}

/// What reading each takes, the least of several times, in turn: others may be busy meanwhile.
fn times(texts: &[String; 2]) -> [Duration; 2] {
    let mut least = [Duration::MAX; 2];
    for _ in 0..5 {
        for (text, least) in texts.iter().zip(&mut least) {
            let begin = Instant::now();
            with(text).unwrap();
            *least = begin.elapsed().min(*least);
        }
    }
    least
}

#[test]
fn ten_times_as_much_takes_no_hundred_times_as_long() {
    let prefix = |n: u32| format!("20.{}.{}.0/24", n / 250, n % 250);
    let vrf = |n: u32| {
        let all = (0..n).map(|n| route(&prefix(n), "via_vrf = \"blue\""));
        "[vrf.blue]\n".to_owned() + &all.collect::<String>()
    };
    let [few, many] = times(&[2000, 20_000].map(vrf));
    assert!(many < few * 25, "{few:?}, {many:?}");
    let addresses = |n: u32| {
        let each =
            (0..n).map(|n| format!("\"30.{}.{}.1/24\", \"30.{0}.{1}.2/24\"", n / 250, n % 250));
        let each: Vec<_> = each.collect();
        format!(
            "[interface.many]\nvif = 5\naddress = [{}]\n",
            each.join(", ")
        )
    };
    let [few, many] = times(&[500, 5000].map(addresses));
    assert!(many < few * 40, "{few:?}, {many:?}");
}

/// Of two interfaces, one of which shares a table with a third.
#[test]
fn addresses_overlap_where_pairs_of_them_do() {
    let mut state = 1u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4000 {
        let given: Vec<(u32, u32, u8)> = (0..4)
            .map(|_| {
                let len = [24, 27, 30, 32, 32][random(5) as usize];
                (random(3), 10 * random(24) + 5, len)
            })
            .collect();
        let network = |&(_, host, len): &(u32, u32, u8)| -> Network {
            format!("10.0.0.{host}/{len}").parse().unwrap()
        };
        let is_legal = |a: &Network| {
            let v4 = a.v4().unwrap();
            v4.network_address() != Some(v4.address) && v4.broadcast() != Some(v4.address)
        };
        if !given.iter().map(network).all(|a| is_legal(&a)) {
            continue;
        }
        // Interface 2 is in a table of its own.
        let clash = |a: &(u32, u32, u8), b: &(u32, u32, u8)| {
            let (one, two) = (network(a), network(b));
            let single = a.2 == 32 || b.2 == 32;
            let same_link = a.0 == b.0 && (single || one.masked() == two.masked());
            (a.0 == 2) == (b.0 == 2)
                && (one.address == two.address || (one.overlaps(two) && !same_link))
        };
        let mut pairs = given.iter().enumerate();
        let wanted = pairs.all(|(at, a)| given.iter().skip(at + 1).all(|b| !clash(a, b)));
        let mut text = "[vrf.red]\n".to_owned();
        for interface in 0..3 {
            let own = given.iter().filter(|(of, ..)| *of == interface);
            let own: Vec<_> = own
                .map(|(_, host, len)| format!("\"10.0.0.{host}/{len}\""))
                .collect();
            let vrf = if interface == 2 {
                "vrf = \"red\"\n"
            } else {
                ""
            };
            text += &format!(
                "[interface.i{interface}]\nvif = {interface}\n{vrf}address = [{}]\n",
                own.join(", ")
            );
        }
        let read = from_toml(&text);
        assert_eq!(read.is_ok(), wanted, "{text}{read:?}");
        *(if wanted { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}
