use super::super::from_toml;
use super::*;
use alloc::vec::Vec;
use std::string::ToString;
use std::vec;

const CONFIG: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24"]
"#;

/// Remembers all it is told.
#[derive(Default)]
struct List {
    targets: Vec<RouteTarget>,
    routes: BTreeMap<String, usize>,
    done: usize,
}

impl RouteSink for List {
    type Target = usize;

    fn target(&mut self, target: &RouteTarget) -> Option<usize> {
        self.targets.push(target.clone());
        (self.targets.len() < 9).then_some(self.targets.len() - 1)
    }

    fn route(&mut self, prefix: Network, target: usize) -> bool {
        self.routes.insert(prefix.to_string(), target).is_none()
    }

    fn done(&mut self, _: usize) {
        self.done += 1;
    }
}

fn read_text(text: &[u8]) -> (List, Result<usize, ConfigError>) {
    let mut list = List::default();
    let config = from_toml(CONFIG).unwrap();
    let file = RouteFile {
        path: "a.routes".to_string(),
        vrf: 0,
    };
    let read = read(&config, &file, text, &mut list);
    (list, read)
}

#[test]
fn what_cant_be_seen() {
    let (_, read) = read_text("\u{feff}192.0.2.0/24 blackhole\r\n".as_bytes());
    assert_eq!(read, Ok(1));
    for text in [
        "192.0.2.0/24\u{a0} blackhole",
        "192.0.2.0/24 10.0.0.9\u{a0}",
    ] {
        let error = read_text(text.as_bytes()).1.unwrap_err();
        assert!(error.text.contains("\\u{a0}\""), "{error}");
    }
}

#[test]
fn every_kind_of_line() {
    let text = b"# both families\r\n\n0.0.0.0/0 10.0.0.9\r\n\
        192.0.2.0/24\t10.0.0.9 # the same\n  198.51.100.0/24   10.0.0.9@3  10.0.1.9  \n\
        2001:db8:7::/48 2001:db8::9\n2001:db8:8::/48 fe80::9%wan\n203.0.113.0/24 blackhole\n\
        2001:db8:9::/48 blackhole\n203.0.113.0/25 lan\n::/0 2001:db8::9";
    let (list, read) = read_text(text);
    assert_eq!(read, Ok(9));
    let target = |prefix: &str| &list.targets[list.routes[prefix]];
    let RouteTarget::Via(default) = target("0.0.0.0/0") else {
        panic!("{:?}", list.targets);
    };
    assert_eq!(default[0].address.to_string(), "10.0.0.9");
    assert_eq!(list.routes["0.0.0.0/0"], list.routes["192.0.2.0/24"]);
    let RouteTarget::Via(two) = target("198.51.100.0/24") else {
        panic!("{:?}", list.targets);
    };
    let weights: Vec<_> = two.iter().map(|v| (v.interface, v.weight)).collect();
    assert_eq!(weights, vec![(0, 3), (1, 1)]);
    assert_eq!(target("203.0.113.0/25"), &RouteTarget::Interface(1));
    assert_eq!(target("2001:db8:9::/48"), &RouteTarget::Blackhole);
    assert_eq!(list.routes["::/0"], list.routes["2001:db8:7::/48"]);
    assert_eq!((list.targets.len(), list.done), (7, 7));
    assert_eq!(read_text(b"").1, Ok(0));
}

#[test]
fn malformed_lines() {
    for (line, wanted) in [
        (&b"192.0.2.0/24"[..], "lacks its next hop"),
        (b"192.0.2.0 10.0.0.9", "prefix length"),
        (b"192.0.2.1/24 10.0.0.9", "did you mean \"192.0.2.0/24\"?"),
        (b"10.0.1.0/24 10.0.0.9", "network of interface lan"),
        (b"192.0.2.0/24 10.0.0.1", "this router"),
        (b"192.0.2.0/24 10.7.0.1", "isn't on the network"),
        (b"192.0.2.0/24 2001:db8::9", "family"),
        (b"192.0.2.0/24 10.0.0.9@0", "1 to 255"),
        (b"192.0.2.0/24 lam", "did you mean \"lan\"?"),
        (b"192.0.2.0/24 blackhol", "did you mean \"blackhole\"?"),
        (b"192.0.2.0/24 10.0.0.9 lan", "no gateway"),
        (b"192.0.2.0/24 blackhole lan", "no gateway"),
        (b"2001:db8:7::/48 fe80::9", "must name its interface"),
        (b"2001:db8:7::/48 fe80::9%wam", "no interface \"wam\""),
        (b"198.51.100.0/24 lan", "there is another route"),
        (b"239.0.0.0/8 lan", "multicast groups are never"),
        (b"\xff.0.2.0/24 10.0.0.9", "UTF-8"),
    ] {
        let mut text = b"# one\n198.51.100.0/24 blackhole\n".to_vec();
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n192.0.2.0/24 blackhole\n");
        let error = read_text(&text).1.unwrap_err();
        assert!(error.text.starts_with("a.routes:3: "), "{error}");
        assert!(error.text.contains(wanted), "{error}");
        assert_eq!(error.line, 0);
    }
    // The gateway was good for the line before.
    let error = read_text(b"192.0.2.0/24 lan\n239.0.0.0/8 lan\n").1;
    assert!(error.unwrap_err().text.starts_with("a.routes:2: "));
    assert_eq!(read_text(b"224.0.0.0/3 blackhole\n").1, Ok(1));
    let many: String = (10..30)
        .map(|n| format!("192.0.{n}.0/24 10.0.0.{n}\n"))
        .collect();
    let error = read_text(many.as_bytes()).1.unwrap_err();
    assert!(
        error
            .text
            .starts_with("a.routes:9: 192.0.18.0/24: too many"),
        "{error}"
    );
}
