//! Forwards frames from one vif to another, with backends in memory at both ends.
//!
//! ```text
//! cargo run -p netfront-rs --example forward
//! ```
//!
//! In a guest, `FakeHal` is the kernel's own `Hal`, and what `connect` returns beside the queue is
//! written to xenstore (`netif::connection_keys`), where the real backend finds it.

use std::error::Error;

use netfront_rs::{Queue, Wake};
use netif::Features;
use netif::fakes::Backend;
use page_pool::{Frame, HomeId, PagePool};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

/// Both backends are in this domain, so that a page received from one can be sent to the other.
const DOM0: DomId = DomId(0);
/// Frames that are received at a time.
const BURST: usize = 64;

type Vif = (Queue<FakeHal>, Backend);

/// Makes a vif with pages of its own, and the backend that it is connected to.
fn connect(hal: FakeHal, pool: &mut PagePool<FakeHal>, number: u8) -> Result<Vif, Box<dyn Error>> {
    let home = HomeId::vif(number).ok_or("too many vifs")?;
    pool.add_home(home, 384)?;
    let (mut queue, info) = Queue::new(pool, home, Features::all())?;
    queue.refill(pool);
    queue.publish();
    Ok((queue, Backend::connect(hal, DOM0, info)))
}

/// One turn of a router's loop. Returns the number of frames forwarded.
fn turn(
    pool: &mut PagePool<FakeHal>,
    from: &mut Queue<FakeHal>,
    to: &mut Queue<FakeHal>,
) -> Result<usize, Box<dyn Error>> {
    // Pages that the backend has sent go back to where they came from.
    to.reap(pool)?;
    let mut burst: Vec<Frame> = Vec::with_capacity(BURST);
    from.receive(pool, BURST, |frame, first, _info| {
        // Decide by a private copy: the backend may go on writing to the page.
        let header = first.copy();
        let is_ipv4 = header[12..14] == [0x08, 0x00];
        println!("{} bytes, IPv4: {is_ipv4}", frame.len());
        burst.push(frame);
    })?;
    let mut forwarded = 0;
    for frame in burst {
        if !pool.may_lend(&frame) {
            // The vif needs its last pages to receive into.
            pool.free(frame);
        } else if let Err(unsent) = to.send(pool, frame) {
            println!("dropped: {}", unsent.why);
            pool.free(unsent.frame);
        } else {
            forwarded += 1;
        }
    }
    from.refill(pool);
    from.publish();
    to.publish();
    Ok(forwarded)
}

fn main() -> Result<(), Box<dyn Error>> {
    let hal = FakeHal::new();
    let mut pool = PagePool::new(hal, DOM0);
    let (mut left, mut left_back) = connect(hal, &mut pool, 0)?;
    let (mut right, mut right_back) = connect(hal, &mut pool, 1)?;

    let mut frame = [0; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    for _ in 0..3 {
        assert!(left_back.deliver(&frame), "there are pages to receive into");
    }
    left_back.publish();

    assert_eq!(turn(&mut pool, &mut left, &mut right)?, 3);
    let sent = right_back.transmit();
    assert!(sent.iter().all(|packet| packet.bytes == frame));
    println!("{} frames came out", sent.len());
    right_back.publish();
    right.reap(&mut pool)?;

    // A real loop sleeps here, unless something came meanwhile.
    assert!(!left.arm(Wake::default()));

    left.close(&mut pool);
    right.close(&mut pool);
    assert_eq!(pool.close().leaked, 0);
    Ok(())
}
