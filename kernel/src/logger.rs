//! The logger behind the `log` facade, which writes to the console.

use core::fmt::Write;

use log::{LevelFilter, Log, Metadata, Record};

use crate::console::Console;

struct ConsoleLog;

impl Log for ConsoleLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // What doesn't fit is counted by the console.
            let _ = writeln!(
                Console,
                "{} {}: {}",
                record.level(),
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}

/// Sends log records of `level` and above to the console, as `LEVEL target: text`.
pub fn init(level: LevelFilter) {
    // Fails only if a logger is set already, which then stays.
    let _ = log::set_logger(&ConsoleLog);
    log::set_max_level(level);
}
