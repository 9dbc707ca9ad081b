//! The prompt on the console.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use console::LineEditor;
use kernel::console::{self as kernel_console, Console};

use crate::commands;
use crate::guest::Guest;

/// Reads commands from the console. It stays silent until somebody types.
pub(crate) struct Prompt {
    editor: LineEditor,
}

impl Prompt {
    /// A prompt that shows the router's name.
    pub(crate) fn new(hostname: &str) -> Self {
        Self {
            editor: LineEditor::new(&format!("{hostname}> ")),
        }
    }

    /// Takes what was typed, and runs the lines that are complete.
    pub(crate) fn turn(&mut self, guest: &Guest) {
        // All that the ring holds: what is left in it has no event of its own.
        let mut typed = [0; 1024];
        let count = kernel_console::read(&mut typed);
        let complete = |line: &str| commands::complete(guest, line);
        for &byte in typed.iter().take(count) {
            // The console takes everything; what it has no room for it counts.
            let Ok(Some(line)) = self.editor.feed(byte, &complete, &mut Console) else {
                continue;
            };
            let mut reply = String::new();
            if !line.trim().is_empty() {
                commands::run(guest, &line, &mut reply);
            }
            let _ = Console.write_str(&reply);
            let _ = self.editor.show(&mut Console);
        }
    }
}
