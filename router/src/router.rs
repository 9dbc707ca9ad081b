//! The router: its state and what the caller can do with it.

use crate::{
    Config, Counters, DropReason, FrameFlags, FrameMeta, Header, Instant, InterfaceId, Verdict,
};

/// The outgoing side had no room for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// Takes the frames that the router makes or forwards slowly.
pub trait Egress {
    /// Sends a frame, copying it.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if it can't be sent now; the router counts it as dropped
    /// ([`DropReason::TxFull`]).
    fn send(&mut self, out: InterfaceId, frame: &[u8], flags: FrameFlags) -> Result<(), NoRoom>;
}

/// What [`Router::poll`] left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Poll {
    /// The budget ended before the work did: poll again soon.
    pub more: bool,
    /// When to poll again even if nothing arrives.
    pub next: Option<Instant>,
}

/// A router.
pub struct Router {
    config: Config,
}

impl Router {
    /// A router with this configuration and all links down. `seed` makes what must be hard
    /// to guess for others so: pass something random.
    pub fn new(config: &Config, seed: u64, now: Instant) -> Self {
        let _ = (seed, now);
        Self {
            config: config.clone(),
        }
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces everything that the configuration says in one step. Interfaces of the same
    /// name and attachment keep their link, neighbours and counters; others start down.
    /// Afterwards [`InterfaceId`]s are indices into the new configuration.
    pub fn apply(&mut self, now: Instant, config: &Config) {
        let _ = now;
        self.config = config.clone();
    }

    /// The link of an interface works: `mtu` is the largest IP packet it carries.
    pub fn link_up(&mut self, now: Instant, interface: InterfaceId, mac: [u8; 6], mtu: u16) {
        let _ = (now, interface, mac, mtu);
    }

    /// The link of an interface is gone.
    pub fn link_down(&mut self, now: Instant, interface: InterfaceId) {
        let _ = (now, interface);
    }

    /// Whether every configured interface has its link.
    pub fn all_links_up(&self) -> bool {
        false
    }

    /// Decides about up to [`BURST`](crate::BURST) frames that arrived on one interface and
    /// rewrites the headers of those to forward. Frames beyond the shortest of the slices
    /// aren't looked at.
    pub fn process(
        &mut self,
        now: Instant,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) {
        let _ = (now, input, headers, metas);
        verdicts.fill(Verdict::Drop);
    }

    /// Queues a frame for the slow path. `read` fills the slice it is given with the frame's
    /// bytes; it isn't called if the queue is full.
    pub fn punt(
        &mut self,
        now: Instant,
        input: InterfaceId,
        meta: FrameMeta,
        read: impl FnOnce(&mut [u8]),
    ) {
        let _ = (now, input, meta, read);
    }

    /// Does the work that waits: punted frames, timers, the router's own services. `budget`
    /// bounds how many frames are handled.
    pub fn poll(&mut self, now: Instant, budget: usize, out: &mut dyn Egress) -> Poll {
        let _ = (now, budget, out);
        Poll::default()
    }

    /// Counts frames that the caller lost: [`DropReason::NoBuffer`] and
    /// [`DropReason::RxError`] on the receiving interface.
    pub fn count_drop(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        let _ = (interface, reason, frames);
    }

    /// Takes back frames that were to be forwarded but found no room on the outgoing
    /// interface `out`; they count as [`DropReason::TxFull`] there.
    pub fn count_tx_full(&mut self, out: InterfaceId, frames: u64, bytes: u64) {
        let _ = (out, frames, bytes);
    }

    /// The counters of an interface.
    pub fn counters(&self, interface: InterfaceId) -> Option<&Counters> {
        let _ = interface;
        None
    }

    /// How many frames wait, for the slow path or for a neighbour.
    pub fn pending(&self) -> usize {
        0
    }
}
