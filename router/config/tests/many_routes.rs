//! Many `[[route]]` in one file, with the guest's heap: as many as are in a guest of 64 MB, whose heap has
//! the file, routing tables and packet pages beside it.

use std::fmt::Write;

use guest_heap::{GuestHeap, inside};

const ROUTES: usize = 60_000;
/// Bytes that reading the file may take at most: a half of the guest.
const MOST: usize = 32 << 20;

#[global_allocator]
static HEAP: GuestHeap = GuestHeap::new(MOST);

const INTERFACES: &str = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/16\"]\n";

/// A file with a route of four lines for each of `ROUTES`, behind four others.
fn file() -> String {
    let mut text = format!("{INTERFACES}\n");
    for n in 0..ROUTES {
        let (a, b) = (n >> 8, n & 0xff);
        let hop = n % 250 + 2;
        let _ = write!(
            text,
            "[[route]]\nprefix = \"20.{a}.{b}.0/24\"\nvia = [\"10.0.0.{hop}\"]\n\n"
        );
    }
    text
}

#[test]
fn sixty_thousand_routes_fit_and_mistakes_in_them_are_told_by_line() {
    let good = file();
    let config = inside(|| config::from_toml(&good)).unwrap();
    assert_eq!(config.routes.len(), ROUTES);
    assert_eq!(HEAP.refused(), 0);
    println!("{} bytes at most, {} afterwards", HEAP.most(), HEAP.used());
    drop(config);
    let line = |route: usize| 5 + 4 * route as u32;
    let last = ROUTES - 1;
    for (was, is, at, told) in [
        (
            "prefix = \"20.234.95.0/24\"",
            "prefix = \"20.234.95.0/33\"",
            line(last) + 1,
            "/33",
        ),
        (
            "via = [\"10.0.0.2\"]",
            "vai = [\"10.0.0.2\"]",
            line(0) + 2,
            "did you mean \"via\"",
        ),
        (
            "[[route]]\nprefix = \"20.234.95",
            "[[rotue]]\nprefix = \"20.234.95",
            line(last),
            "\"route\"",
        ),
        (
            "prefix = \"20.234.95.0/24\"",
            "prefix = = 1",
            line(last) + 1,
            "",
        ),
    ] {
        let bad = good.replacen(was, is, 1);
        assert_ne!(bad, good);
        let error = config::from_toml(&bad).unwrap_err();
        assert_eq!(error.line, at, "{error}");
        assert!(error.text.contains(told), "{error}");
    }
    // What isn't TOML is told first, wherever it is, then what comes first.
    let both = |first: &str, second: &str| {
        let text = good.replacen("via = [\"10.0.0.2\"]", first, 1);
        let text = format!("{text}{second}\n");
        config::from_toml(&text).unwrap_err().line
    };
    let end = line(ROUTES);
    assert_eq!(both("vai = 1", "[vrf.red"), end);
    assert_eq!(both("via = = 1", "[vrf.red"), line(0) + 2);
    assert_eq!(both("vai = 1", "[vfr.red]"), line(0) + 2);
    assert_eq!(both("via = [\"10.0.0.2\"]", "[vfr.red]"), end);
    assert_eq!(
        both("via = [\"10.0.0.2\"]", "[route]"),
        end,
        "a table and a list of them"
    );
}
