//! What the tests share: a machine, a pool, vifs with their backends.

use netfront_rs::{PeerFault, Queue};
use netif::Features;
use netif::fakes::Backend;
use page_pool::Account;
use page_pool::{FirstBytes, Frame, FrameHeader, FrameInfo, HomeId, PagePool};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

/// The domain of the backends, unless there are two.
pub(crate) const DOM0: DomId = DomId(0);
/// Ring indices that soon wrap.
pub(crate) const NEAR_WRAP: u32 = 0xffff_fff0;

/// The home of a vif.
pub(crate) fn home(vif: u8) -> HomeId {
    HomeId::vif(vif).expect("few vifs")
}

/// A vif and its backend.
pub(crate) struct Vif {
    pub(crate) queue: Queue<FakeHal>,
    pub(crate) back: Backend,
}

impl Vif {
    /// A connected vif with a full receive ring, or as many pages as there are. Its indices
    /// wrap soon.
    pub(crate) fn new(
        pool: &mut PagePool<FakeHal>,
        vif: u8,
        pages: usize,
        features: Features,
    ) -> Self {
        pool.add_home(home(vif), pages).expect("pages for the vif");
        let made = Queue::starting_at(pool, home(vif), features, NEAR_WRAP);
        let (mut queue, info) = made.expect("a queue");
        queue.refill(pool);
        queue.publish();
        let back = Backend::connect(pool.hal(), pool.peer(), info);
        Self { queue, back }
    }

    /// Receives all there is.
    pub(crate) fn receive(&mut self, pool: &mut PagePool<FakeHal>) -> Vec<(Frame, FrameHeader)> {
        self.try_receive(pool).0
    }

    /// Receives all there is, and says how it ended.
    pub(crate) fn try_receive(
        &mut self,
        pool: &mut PagePool<FakeHal>,
    ) -> (Vec<(Frame, FrameHeader)>, Result<usize, PeerFault>) {
        let mut frames = Vec::new();
        let sink = |frame: Frame, first: FirstBytes<'_>, info: FrameInfo| {
            assert_eq!(info.len as usize, frame.len());
            assert_eq!(usize::from(info.slots), frame.slots());
            assert_eq!(info.checksum, frame.checksum());
            frames.push((frame, first.copy()));
        };
        let outcome = if self.queue.sends_hashes() {
            self.queue.receive_hashed(pool, usize::MAX, sink)
        } else {
            self.queue.receive(pool, usize::MAX, sink)
        };
        if let Ok(count) = outcome {
            assert_eq!(count, frames.len());
        }
        (frames, outcome)
    }
}

/// A pool for [`DOM0`].
pub(crate) fn pool() -> PagePool<FakeHal> {
    PagePool::new(FakeHal::new(), DOM0)
}

/// All bytes of a frame.
pub(crate) fn bytes(pool: &PagePool<FakeHal>, frame: &Frame) -> Vec<u8> {
    let mut bytes = vec![0; frame.len()];
    assert_eq!(pool.copy_out(frame, 0, &mut bytes), frame.len());
    bytes
}

/// Bytes that differ from packet to packet and place to place.
pub(crate) fn packet(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed)
        .collect()
}

/// Asserts that every page is somewhere.
pub(crate) fn assert_account(pool: &PagePool<FakeHal>) {
    let stats = pool.stats();
    assert_eq!(stats.sum().total(), stats.total, "{stats:?}");
}

/// Closes a queue, asserts that all pages of the pool are free then but for `held` ones, and
/// that the machine has everything back when the pool is gone.
pub(crate) fn finish(
    mut pool: PagePool<FakeHal>,
    vifs: impl IntoIterator<Item = Vif>,
    held: usize,
) {
    for vif in vifs {
        assert_eq!(vif.queue.close(&mut pool), 0, "no ring is leaked");
    }
    assert_account(&pool);
    let total = pool.stats().total;
    let all = Account {
        free: total - held,
        held,
        ..Account::default()
    };
    assert_eq!(pool.stats().sum(), all);
    let hal = pool.hal();
    assert_eq!(hal.pages(), total);
    let closed = pool.close();
    assert_eq!((closed.freed, closed.leaked), (total, 0));
    assert_eq!((hal.pages(), hal.grants(), hal.ports()), (0, 0, 0));
}
