//! Commands in a guest whose heap is nearly full.

use std::fmt::Write;
use std::rc::Rc;

use control_plane::fake::FakeMachine;
use control_plane::{ControlPlane, Platform, configured_router};
use guest_heap::{GuestHeap, inside};
use router::Instant;
use xenstore::Store;
use xenstore::fake::FakeStore;

const NEIGHBORS: usize = 1000;

/// Bytes that are left: too few for a line about each neighbor.
const LEFT: usize = 192 * 1024;

#[global_allocator]
static HEAP: GuestHeap = GuestHeap::new(LEFT);

#[test]
fn neighbors_are_shown_as_far_as_there_is_memory() {
    let mut file = String::from("[interface.lan]\nvif = 0\naddress = [\"10.1.0.1/16\"]\n");
    for n in 0..NEIGHBORS {
        let (a, b) = (n / 250, n % 250 + 2);
        let _ = write!(
            file,
            "[[neighbor]]\ninterface = \"lan\"\naddress = \"10.1.{a}.{b}\"\nmac = \"02:00:00:00:0{a}:{b:02x}\"\n"
        );
    }
    let (router, error) = configured_router(Some(file.as_bytes()), "", || 64 << 20, 1, Instant(0));
    assert!(error.is_none(), "{error:?}");
    let machine = Rc::new(FakeMachine::new(router, 1, 0));
    let server = FakeStore::new(1);
    let platform: Rc<dyn Platform> = machine.clone();
    let mut control = ControlPlane::start(platform, Store::new(server.transport()), None);
    let mut show = |small: bool| {
        machine.typed.borrow_mut().extend(b"show neighbors\r");
        machine.printed.borrow_mut().reserve(1 << 20);
        if small {
            inside(|| control.read_console());
        } else {
            control.read_console();
        }
        machine.printed.take()
    };
    let all = show(false);
    let of_neighbors = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("10.1."))
            .count()
    };
    assert_eq!(of_neighbors(&all), NEIGHBORS);
    let some = show(true);
    let shown = of_neighbors(&some);
    assert!((100..NEIGHBORS).contains(&shown), "{shown}: {some}");
    let told = format!("{shown} of {NEIGHBORS} neighbors: there is no memory to show more");
    assert!(some.contains(&told), "{some}");
    assert!(HEAP.most() <= LEFT);
}
