//! A machine in memory, for tests on the host.
//!
//! [`FakeHal`] implements [`Hal`] for the driver under test; its other methods are the
//! view of the peer and of the test: what is granted to whom, which events were sent,
//! what the driver failed to give back. Misuse by the driver (ending a grant twice,
//! freeing a page that is still granted) panics, for it is the bug a test looks for.
//!
//! A freed page is poisoned, and it is checked to be still poisoned before it is handed
//! out again, so that an access after the free doesn't go unnoticed.

extern crate alloc;
extern crate std;

use alloc::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::cell::RefCell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

pub use crate::access_hook::on_access;
use crate::{Access, DomId, GrantRef, Granted, Hal, HalError, PAGE_SIZE, Port, SharedPage};

/// What a freed page is filled with.
const POISON: u64 = 0xdead_4a11_dead_4a11;
/// Freed pages that are kept before the oldest is used again.
const QUARANTINE: usize = 64;

std::thread_local! {
    /// Memory of freed pages, for all machines of this thread.
    static FREED: RefCell<VecDeque<SharedPage>> = const { RefCell::new(VecDeque::new()) };
}

/// A grant in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The domain that may use the page.
    pub peer: DomId,
    /// Where the page starts.
    pub page: usize,
    /// What it may do.
    pub access: Access,
    /// `true` if the peer maps it, so that the grant can't be ended.
    pub held: bool,
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeSet<usize>,
    pages_ever: u64,
    grants: BTreeMap<u32, Grant>,
    grants_ever: u64,
    next_gref: u32,
    ports: BTreeMap<u32, FakePort>,
    next_port: u32,
    fail_page: Option<u32>,
    fail_grant: Option<u32>,
    fail_port: Option<u32>,
    most_ports: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct FakePort {
    sent: u64,
    pending: bool,
}

/// A machine for one test. Copies are handles to the same machine, which is never freed.
#[derive(Clone, Copy, Debug)]
pub struct FakeHal(&'static RefCell<State>);

impl Default for FakeHal {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHal {
    /// Creates a fresh machine.
    #[must_use]
    pub fn new() -> Self {
        // References and ports start away from 0, so that a forgotten field shows.
        let state = State {
            next_gref: 8,
            next_port: 3,
            ..State::default()
        };
        Self(Box::leak(Box::new(RefCell::new(state))))
    }

    /// Returns the number of pages taken and not given back.
    #[must_use]
    pub fn pages(self) -> usize {
        self.0.borrow().pages.len()
    }

    /// Lets this many event channels be open at once (`max_event_channels` of xl.cfg).
    pub fn limit_ports(self, most: usize) {
        self.0.borrow_mut().most_ports = Some(most);
    }

    /// Returns the number of pages taken since the start.
    #[must_use]
    pub fn pages_ever(self) -> u64 {
        self.0.borrow().pages_ever
    }

    /// Grants in force.
    #[must_use]
    pub fn grants(self) -> usize {
        self.0.borrow().grants.len()
    }

    /// Grants made since the start.
    #[must_use]
    pub fn grants_ever(self) -> u64 {
        self.0.borrow().grants_ever
    }

    /// Returns a grant in force.
    #[must_use]
    pub fn grant_of(self, gref: GrantRef) -> Option<Grant> {
        self.0.borrow().grants.get(&gref.0).copied()
    }

    /// Event channels that are open.
    #[must_use]
    pub fn ports(self) -> usize {
        self.0.borrow().ports.len()
    }

    /// Events sent on `port` since it was opened.
    #[must_use]
    pub fn sent(self, port: Port) -> u64 {
        self.0
            .borrow()
            .ports
            .get(&port.0)
            .map_or(0, |port| port.sent)
    }

    /// Sends an event to the driver, as the peer. Lost if the port is closed.
    pub fn raise(self, port: Port) {
        if let Some(port) = self.0.borrow_mut().ports.get_mut(&port.0) {
            port.pending = true;
        }
    }

    /// Returns the page behind `gref` as `peer` sees it: only while it is granted to that domain.
    #[must_use]
    pub fn peer_page(self, peer: DomId, gref: GrantRef) -> Option<PeerPage> {
        let grant = self.grant_of(gref).filter(|grant| grant.peer == peer)?;
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(grant.page))?;
        // SAFETY: granted pages are live (`free_page` refuses them otherwise), and page
        // memory is never returned to the allocator. The peer is another domain: the page
        // is accessed by atomics from both sides, as on the real machine.
        #[expect(unsafe_code, reason = "a second view of a page, for the peer")]
        let page = unsafe { SharedPage::from_raw(start) };
        Some(PeerPage {
            page,
            access: grant.access,
        })
    }

    /// Maps a granted page, as the peer: from now on the grant can't be ended.
    ///
    /// # Panics
    /// If there is no such grant.
    pub fn hold(self, gref: GrantRef) {
        self.0
            .borrow_mut()
            .grants
            .get_mut(&gref.0)
            .expect("held a page not granted")
            .held = true;
    }

    /// Unmaps a page that [`FakeHal::hold`] mapped.
    pub fn release(self, gref: GrantRef) {
        if let Some(grant) = self.0.borrow_mut().grants.get_mut(&gref.0) {
            grant.held = false;
        }
    }

    /// Lets the next `n` allocations of pages succeed and the one after them fail.
    pub fn fail_page_after(self, n: u32) {
        self.0.borrow_mut().fail_page = Some(n);
    }

    /// Lets the next `n` grants succeed and the one after them fail.
    pub fn fail_grant_after(self, n: u32) {
        self.0.borrow_mut().fail_grant = Some(n);
    }

    /// Lets the next `n` event channels succeed and the one after them fail.
    pub fn fail_port_after(self, n: u32) {
        self.0.borrow_mut().fail_port = Some(n);
    }
}

/// A page as the peer sees it.
#[derive(Debug)]
pub struct PeerPage {
    page: SharedPage,
    access: Access,
}

impl PeerPage {
    /// Returns the page, for reading only.
    #[must_use]
    pub fn get(&self) -> &SharedPage {
        &self.page
    }

    /// Returns the page, for writing.
    ///
    /// # Panics
    /// If it was granted for reading only.
    #[must_use]
    pub fn get_mut(&self) -> &SharedPage {
        assert_eq!(
            self.access,
            Access::ReadWrite,
            "the peer wrote to a read-only grant"
        );
        &self.page
    }
}

/// Returns `true` if a countdown to a failure has come to its end.
fn fails(countdown: &mut Option<u32>) -> bool {
    match countdown {
        None => false,
        Some(0) => {
            *countdown = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
    }
}

/// Takes page-aligned memory, filled with zeros.
fn take_memory() -> SharedPage {
    let reused = FREED.with_borrow_mut(|freed| {
        (freed.len() > QUARANTINE)
            .then(|| freed.pop_front())
            .flatten()
    });
    if let Some(page) = reused {
        let clean = page
            .words64()
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == POISON);
        assert!(clean, "a page was written after it had been freed");
        page.clear();
        return page;
    }
    let layout = Layout::new::<[u8; PAGE_SIZE]>()
        .align_to(PAGE_SIZE)
        .expect("a valid layout");
    // SAFETY: the layout's size isn't zero.
    #[expect(unsafe_code, reason = "page-aligned memory")]
    let memory = unsafe { alloc_zeroed(layout) };
    let start = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
    let _ = start.as_ptr().expose_provenance();
    // SAFETY: just allocated with this size and alignment, zeroed, and never deallocated.
    #[expect(unsafe_code, reason = "it is ours alone")]
    unsafe {
        SharedPage::from_raw(start)
    }
}

// SAFETY: pages come from `take_memory`, which hands out memory that is page-aligned, never
// deallocated, and not handed out again before `free_page`.
#[expect(unsafe_code, reason = "Hal is an unsafe trait")]
unsafe impl Hal for FakeHal {
    fn alloc_page(self) -> Result<SharedPage, HalError> {
        let mut state = self.0.borrow_mut();
        if fails(&mut state.fail_page) {
            return Err(HalError::NoMemory);
        }
        let page = take_memory();
        state.pages.insert(page.as_ptr().as_ptr().addr());
        state.pages_ever += 1;
        Ok(page)
    }

    fn free_page(self, page: SharedPage) {
        let addr = page.as_ptr().as_ptr().addr();
        let mut state = self.0.borrow_mut();
        assert!(
            state.pages.remove(&addr),
            "freed a page that isn't allocated"
        );
        let granted = state.grants.values().any(|grant| grant.page == addr);
        assert!(!granted, "freed a page that is still granted");
        for word in page.words64() {
            word.store(POISON, Ordering::Relaxed);
        }
        FREED.with_borrow_mut(|freed| freed.push_back(page));
    }

    fn grant(self, peer: DomId, page: &SharedPage, access: Access) -> Result<Granted, HalError> {
        let addr = page.as_ptr().as_ptr().addr();
        let mut state = self.0.borrow_mut();
        assert!(
            state.pages.contains(&addr),
            "granted a page that isn't allocated"
        );
        if fails(&mut state.fail_grant) {
            return Err(HalError::NoGrants);
        }
        let gref = state.next_gref;
        state.next_gref += 1;
        state.grants_ever += 1;
        state.grants.insert(
            gref,
            Grant {
                peer,
                page: addr,
                access,
                held: false,
            },
        );
        Ok(Granted::new(GrantRef(gref), peer, access))
    }

    fn end_grant(self, granted: Granted) -> Result<(), Granted> {
        let gref = granted.reference();
        let mut state = self.0.borrow_mut();
        let grant = state
            .grants
            .get(&gref.0)
            .expect("ended a grant that doesn't exist");
        if grant.held {
            return Err(granted);
        }
        state.grants.remove(&gref.0);
        Ok(())
    }

    fn alloc_port(self, _peer: DomId) -> Result<Port, HalError> {
        let mut state = self.0.borrow_mut();
        let full = state
            .most_ports
            .is_some_and(|most| state.ports.len() >= most);
        if full || fails(&mut state.fail_port) {
            return Err(HalError::Hypervisor(-28));
        }
        let port = state.next_port;
        state.next_port += 1;
        state.ports.insert(
            port,
            FakePort {
                sent: 0,
                pending: false,
            },
        );
        Ok(Port(port))
    }

    fn close_port(self, port: Port) {
        let closed = self.0.borrow_mut().ports.remove(&port.0);
        assert!(closed.is_some(), "closed a port that isn't open");
    }

    fn notify(self, port: Port) {
        let mut state = self.0.borrow_mut();
        state
            .ports
            .get_mut(&port.0)
            .expect("notified a closed port")
            .sent += 1;
    }

    fn take_pending(self, port: Port) -> bool {
        let mut state = self.0.borrow_mut();
        state
            .ports
            .get_mut(&port.0)
            .is_some_and(|port| core::mem::take(&mut port.pending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: DomId = DomId(7);

    #[test]
    fn a_page_is_visible_to_its_peer_while_granted() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let granted = hal.grant(PEER, &page, Access::ReadWrite).unwrap();
        let gref = granted.reference();
        hal.peer_page(PEER, gref)
            .unwrap()
            .get_mut()
            .write(10, b"hello");
        let mut back = [0; 5];
        page.read(10, &mut back);
        assert_eq!(&back, b"hello");
        assert!(hal.peer_page(DomId(8), gref).is_none());
        hal.end_grant(granted).unwrap();
        assert!(hal.peer_page(PEER, gref).is_none());
        hal.free_page(page);
        assert_eq!((hal.pages(), hal.grants()), (0, 0));
    }

    #[test]
    fn a_held_grant_does_not_end() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let granted = hal.grant(PEER, &page, Access::ReadOnly).unwrap();
        let gref = granted.reference();
        hal.hold(gref);
        let granted = hal.end_grant(granted).unwrap_err();
        hal.release(gref);
        assert_eq!(hal.end_grant(granted), Ok(()));
        hal.free_page(page);
    }

    #[test]
    fn a_peer_can_act_between_two_accesses() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let gref = hal
            .grant(PEER, &page, Access::ReadWrite)
            .unwrap()
            .reference();
        on_access(Some(Box::new(move || {
            let theirs = hal.peer_page(PEER, gref).unwrap();
            let mut count = [0];
            theirs.get().read(0, &mut count);
            theirs.get_mut().write(0, &[count[0] + 1]);
        })));
        let mut bytes = [0; 2];
        for count in 1..4 {
            page.read(0, &mut bytes);
            assert_eq!(bytes, [count, 0]);
        }
        page.write(1, &[7]);
        on_access(None);
        page.read(0, &mut bytes);
        assert_eq!(bytes, [4, 7]);
    }

    #[test]
    fn failures_come_when_they_were_asked_for() {
        let hal = FakeHal::new();
        hal.fail_page_after(1);
        let page = hal.alloc_page().unwrap();
        assert_eq!(hal.alloc_page().unwrap_err(), HalError::NoMemory);
        hal.fail_grant_after(0);
        assert_eq!(
            hal.grant(PEER, &page, Access::ReadOnly),
            Err(HalError::NoGrants)
        );
        assert!(hal.grant(PEER, &page, Access::ReadOnly).is_ok());
        hal.fail_port_after(0);
        assert!(hal.alloc_port(PEER).is_err());
        assert!(hal.alloc_port(PEER).is_ok());
    }

    #[test]
    fn events_are_counted_and_taken_once() {
        let hal = FakeHal::new();
        let port = hal.alloc_port(PEER).unwrap();
        hal.notify(port);
        hal.notify(port);
        assert_eq!(hal.sent(port), 2);
        assert!(!hal.take_pending(port));
        hal.raise(port);
        assert!(hal.take_pending(port));
        assert!(!hal.take_pending(port));
        hal.close_port(port);
        assert_eq!(hal.ports(), 0);
    }

    #[test]
    #[should_panic(expected = "still granted")]
    fn freeing_a_granted_page_is_a_bug() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let _gref = hal.grant(PEER, &page, Access::ReadWrite).unwrap();
        hal.free_page(page);
    }

    #[test]
    #[should_panic(expected = "after it had been freed")]
    fn writing_to_a_freed_page_is_noticed() {
        let hal = FakeHal::new();
        let page = hal.alloc_page().unwrap();
        let granted = hal.grant(PEER, &page, Access::ReadWrite).unwrap();
        let stale = hal.peer_page(PEER, granted.reference()).unwrap();
        hal.end_grant(granted).unwrap();
        hal.free_page(page);
        stale.get_mut().write(0, &[1]);
        for _ in 0..2 * QUARANTINE + 2 {
            let page = hal.alloc_page().unwrap();
            hal.free_page(page);
        }
    }
}
