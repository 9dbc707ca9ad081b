//! The console (console.h): what the guest says, never waiting for whoever reads it.
//!
//! Text goes through a backlog that is there from the first instruction on, so what is said
//! before the ring is up is shown once it is; [`pump`] moves it on as the ring has room. What
//! fits neither is dropped and counted. The very same text goes to Xen's own console
//! (`console_io`) until the ring is up, where a hypervisor allows that.

use core::fmt;

use spin::relax::RelaxStrategy;
use xen_boot::{BootInfo, RingInfo};
use xen_hal::{Port, SharedPage};
use xen_ring::{ByteConsumer, ByteProducer, CONSOLE_IN, CONSOLE_OUT};

use crate::hypercall::{CONSOLE_IO, call4};
use crate::pv::paging;
use crate::smp::{self, Mutex, Yield};
use crate::{event, time};

const CONSOLEIO_WRITE: u64 = 0;
const BACKLOG: usize = 16 * 1024;
/// How often a dying virtual CPU looks whether another has finished its line.
const PATIENCE: usize = 100_000;

static STATE: Mutex<State> = Mutex::new(State {
    ring: None,
    backlog: [0; BACKLOG],
    start: 0,
    len: 0,
    dropped: 0,
});

struct State {
    ring: Option<Ring>,
    backlog: [u8; BACKLOG],
    start: usize,
    len: usize,
    dropped: u64,
}

struct Ring {
    page: SharedPage,
    port: Port,
    output: ByteProducer,
    input: ByteConsumer,
}

impl State {
    /// Appends all of `text` or, when it doesn't fit, none of it.
    fn push(&mut self, text: &[u8]) {
        if text.len() > BACKLOG - self.len {
            self.dropped += text.len() as u64;
            return;
        }
        for &byte in text {
            self.backlog[(self.start + self.len) % BACKLOG] = byte;
            self.len += 1;
        }
    }

    /// Moves as much as the ring takes. The port to notify if that was anything.
    fn pump(&mut self) -> Option<Port> {
        let ring = self.ring.as_mut()?;
        let mut moved = false;
        while self.len > 0 {
            let end = (self.start + self.len).min(BACKLOG);
            // A reader that broke its indices gets nothing more.
            let n = ring
                .output
                .write(&ring.page, &self.backlog[self.start..end])
                .ok()?;
            if n == 0 {
                break;
            }
            moved = true;
            self.start = (self.start + n) % BACKLOG;
            self.len -= n;
        }
        moved.then_some(ring.port)
    }
}

/// Takes the ring that the toolstack made.
pub(crate) fn init(boot: &BootInfo) {
    let RingInfo { mfn, port } = boot.console;
    STATE.lock().ring = paging::own_page(mfn).map(|page| Ring {
        output: ByteProducer::attach(CONSOLE_OUT, &page),
        input: ByteConsumer::attach(CONSOLE_IN, &page),
        page,
        port: Port(port),
    });
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

/// The console as a place to write to. Text appears line by line as the ring takes it.
///
/// What one macro writes stays together, whoever else writes: the console is locked while it is
/// formatted, so nothing that is formatted may itself write here.
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

/// Moves text on, and notifies the reader. Call it when [`port`] has an event.
pub fn pump() {
    let port = STATE.lock().pump();
    if let Some(port) = port {
        event::notify(port);
    }
}

/// The console's event channel.
#[must_use]
pub fn port() -> Option<Port> {
    STATE.lock().ring.as_ref().map(|ring| ring.port)
}

/// Bytes of output that found no room so far.
#[must_use]
pub fn dropped() -> u64 {
    STATE.lock().dropped
}

/// Reads what was typed. Returns how many bytes.
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

/// Waits at most `limit` ns until everything said was read by the other end.
pub fn drain(limit: u64) {
    if STATE.lock().ring.is_none() {
        return; // nobody reads, and there may be no clock yet
    }
    let deadline = time::now() + limit;
    loop {
        pump();
        let state = STATE.lock();
        let Some(ring) = &state.ring else { return };
        let done = state.len == 0 && !matches!(ring.output.used(&ring.page), Ok(1..));
        let port = ring.port;
        drop(state);
        if done || time::now() >= deadline {
            return;
        }
        event::take_pending(port);
        event::poll(&[port.0], Some(time::now() + 1_000_000));
    }
}

/// Makes the console usable for a dying guest, whoever was using it, and stops all other virtual
/// CPUs, if possible while none of them is writing.
pub(crate) fn take_over() {
    let mut console = STATE.try_lock();
    if smp::count() > 1 {
        for _ in 0..PATIENCE {
            if console.is_some() {
                break;
            }
            Yield::relax();
            console = STATE.try_lock();
        }
        smp::stop_others();
    }
    if console.is_none() {
        #[expect(unsafe_code, reason = "the holder never goes on")]
        // SAFETY: the lock's holder is a virtual CPU that was stopped, or below us on this
        // stack; at worst a line is garbled.
        unsafe {
            STATE.force_unlock()
        };
    }
}
