//! Boot information, independent of the boot protocol.

use crate::ring::RingInfo;
use crate::start_info::StartInfo;

/// A file in memory, placed by the domain builder. The value owns the memory.
#[derive(Debug)]
pub struct Module {
    start: usize,
    len: usize,
}

impl Module {
    /// Creates the file of `len` bytes at address `start`.
    ///
    /// # Safety
    /// Nothing else uses this memory, and it stays mapped.
    #[expect(unsafe_code, reason = "the file is given as an address")]
    pub(crate) unsafe fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// Returns the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        #[expect(
            unsafe_code,
            clippy::disallowed_methods,
            reason = "the file is given as an address, and no peer has its pages"
        )]
        // SAFETY: `new` was promised that this memory is the module's alone.
        unsafe {
            core::slice::from_raw_parts(self.start as *const u8, self.len)
        }
    }

    /// Returns the addresses of the memory, which belongs to the caller from now on.
    #[must_use]
    pub fn into_memory(self) -> core::ops::Range<usize> {
        self.start..self.start + self.len
    }
}

/// The boot information of a guest.
#[derive(Debug)]
pub struct BootInfo {
    /// Pages of memory that the domain has.
    pub pages: usize,
    /// The kernel command line (`extra` in the xl configuration), without its final NUL.
    pub command_line: &'static [u8],
    /// The first module (`ramdisk` in the xl configuration), if there is one.
    pub ramdisk: Option<Module>,
    /// The console ring.
    pub console: RingInfo,
    /// The xenstore ring.
    pub store: RingInfo,
    /// What is specific to the boot protocol.
    pub protocol: Protocol,
}

/// A boot protocol, with its specific information.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Paravirtualised (`struct start_info`, xen.h).
    Pv(PvInfo),
}

/// Information for paravirtualized guests only.
#[derive(Clone, Copy, Debug)]
pub struct PvInfo {
    /// The page itself, which the toolstack writes again when it restores the domain.
    pub start_info: &'static StartInfo,
    /// Virtual address of the top-level page table.
    pub page_table: usize,
    /// Virtual address of the list of machine frames, one `u64` for each page of this domain.
    pub mfn_list: usize,
    /// First virtual address behind everything that the domain builder put into memory.
    pub first_free: usize,
}

/// The reason why there is no [`BootInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The start info's magic isn't that of `xen-3.x-x86_64`; holds the bytes found instead.
    UnknownInterface([u8; 32]),
    /// The domain has no memory, or a table lies outside it.
    Malformed(&'static str),
}

impl core::fmt::Display for BootError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            BootError::UnknownInterface(magic) => {
                f.write_str("unknown hypervisor interface \"")?;
                let text = magic.split(|&byte| byte == 0).next().unwrap_or(&[]);
                write!(f, "{}\", need xen-3.x-x86_64", text.escape_ascii())
            }
            BootError::Malformed(what) => write!(f, "malformed start info: {what}"),
        }
    }
}

impl core::error::Error for BootError {}
