//! The console (console.h). Output never waits for its reader.
//!
//! Text goes through a backlog that exists from the start, so early output is shown once the ring
//! is set up; [`pump`] moves text to the ring as it has room. What fits neither is dropped and
//! counted. Until the ring is set up, text is also written to Xen's own console (`console_io`),
//! where the hypervisor allows it.

use core::fmt;

use spin::relax::RelaxStrategy;
use xen_boot::RingInfo;
use xen_hal::{Port, SharedPage};
use xen_ring::{ByteConsumer, ByteProducer, CONSOLE_IN, CONSOLE_OUT};

use crate::backlog::Backlog;
use crate::hypercall::{CONSOLE_IO, call4};
use crate::sync::{Mutex, MutexGuard, Yield};
use crate::{event, memory, time};

const CONSOLEIO_WRITE: u64 = 0;
/// The number of times that a dying virtual CPU tests whether another has finished its line.
const PATIENCE: usize = 100_000;
/// The maximum interval between two tests of whether text has been read, in ns.
const DRAIN_STEP_NS: u64 = 1_000_000;

static STATE: Mutex<State> = Mutex::new(State {
    ring: None,
    backlog: Backlog::new(),
    dropped: 0,
});

struct State {
    ring: Option<Ring>,
    backlog: Backlog<{ 16 * 1024 }>,
    dropped: u64,
}

struct Ring {
    page: SharedPage,
    /// A restore gives the ring another one ([`set_port`]).
    port: Port,
    output: ByteProducer,
    input: ByteConsumer,
}

impl State {
    fn push(&mut self, text: &[u8]) {
        if !self.backlog.push(text) {
            self.dropped += text.len() as u64;
        }
    }

    /// Moves as much as the ring takes. The port to notify if that was anything.
    fn pump(&mut self) -> Option<Port> {
        let ring = self.ring.as_mut()?;
        let mut moved = false;
        while !self.backlog.is_empty() {
            // A reader that broke its indices gets nothing more.
            let n = ring.output.write(&ring.page, self.backlog.oldest()).ok()?;
            if n == 0 {
                break;
            }
            moved = true;
            self.backlog.forget(n);
        }
        moved.then_some(ring.port)
    }
}

/// Takes over the ring that the toolstack created.
///
/// # Safety
/// To be called once, with what the toolstack said.
#[expect(unsafe_code, reason = "takes charge of the ring's page")]
pub(crate) unsafe fn init(ring: RingInfo) {
    // SAFETY: the domain builder made the page, and nobody else takes it.
    let page = unsafe { memory::builder_page(ring.frame) };
    STATE.lock().ring = page.map(|page| Ring {
        output: ByteProducer::attach(CONSOLE_OUT, &page),
        input: ByteConsumer::attach(CONSOLE_IN, &page),
        page,
        port: Port(ring.port),
    });
    pump();
}

/// Sets the event channel after a restore. The page is still the same.
pub(crate) fn set_port(port: Port) {
    if let Some(ring) = &mut STATE.lock().ring {
        ring.port = port;
    }
    pump();
}

impl fmt::Write for State {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut parts = text.split('\n');
        self.push(parts.next().unwrap_or("").as_bytes());
        for part in parts {
            self.push(b"\r\n");
            self.push(part.as_bytes());
        }
        if self.ring.is_none() {
            write_to_xen(text);
        }
        Ok(())
    }
}

/// A writer to the console.
///
/// The output of one macro isn't interleaved with others': the console is locked while it is
/// formatted, so formatting must not itself write to the console.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_fmt(format_args!("{text}"))
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        let mut state = STATE.lock();
        let result = fmt::write(&mut *state, text);
        let port = state.pump();
        drop(state);
        if let Some(port) = port {
            event::notify(port);
        }
        result
    }
}

/// Writes to the hypervisor's own console; one that doesn't allow it ignores the call.
fn write_to_xen(text: &str) {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: CONSOLEIO_write takes a length and bytes, which it only reads.
    unsafe {
        call4(
            CONSOLE_IO,
            CONSOLEIO_WRITE,
            text.len() as u64,
            text.as_ptr() as u64,
            0,
        )
    };
}

/// Moves text to the ring, and notifies the reader. Call it when [`port`] has an event.
pub fn pump() {
    let port = STATE.lock().pump();
    if let Some(port) = port {
        event::notify(port);
    }
}

/// Returns the console's event channel. `None` if it has no ring.
#[must_use]
pub fn port() -> Option<Port> {
    STATE.lock().ring.as_ref().map(|ring| ring.port)
}

/// Returns the number of bytes of output that were dropped.
#[must_use]
pub fn dropped() -> u64 {
    STATE.lock().dropped
}

/// Reads input. Returns the number of bytes.
pub fn read(into: &mut [u8]) -> usize {
    let mut state = STATE.lock();
    let Some(ring) = &mut state.ring else {
        return 0;
    };
    let n = ring.input.read(&ring.page, into).unwrap_or(0);
    let port = ring.port;
    drop(state);
    if n > 0 {
        event::notify(port);
    }
    n
}

/// Waits at most `limit` ns until all output has been read.
pub fn drain(limit: u64) {
    if STATE.lock().ring.is_none() {
        return; // nobody reads, and there may be no clock yet
    }
    let deadline = time::now() + limit;
    loop {
        pump();
        let state = STATE.lock();
        let Some(ring) = &state.ring else { return };
        let done = state.backlog.is_empty() && !matches!(ring.output.used(&ring.page), Ok(1..));
        let port = ring.port;
        drop(state);
        if done || time::now() >= deadline {
            return;
        }
        event::take_pending(port);
        event::poll(&[port.0], Some(time::now() + DRAIN_STEP_NS));
    }
}

/// Exclusive access to the console.
pub(crate) struct Hold(#[expect(dead_code, reason = "held, not used")] MutexGuard<'static, State>);

/// Acquires exclusive access to the console, waiting for a bounded time if `others` may be writing.
/// Returns `None` if somebody still is.
pub(crate) fn hold(others: bool) -> Option<Hold> {
    let looks = if others { PATIENCE } else { 0 };
    let mut state = STATE.try_lock();
    for _ in 0..looks {
        if state.is_some() {
            break;
        }
        Yield::relax();
        state = STATE.try_lock();
    }
    state.map(Hold)
}

/// Makes the console usable although somebody was writing to it. At worst, a line is garbled.
///
/// # Safety
/// Whoever was writing never goes on.
#[expect(unsafe_code, reason = "ends somebody's hold of a lock")]
pub(crate) unsafe fn seize() {
    // SAFETY: as the caller says.
    unsafe { STATE.force_unlock() };
}
