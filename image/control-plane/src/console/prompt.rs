//! The prompt on the console.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::commands;
use super::line_editor::LineEditor;
use crate::platform::Platform;

/// Reads commands from the console. It stays silent until somebody types.
pub(crate) struct Prompt {
    editor: LineEditor,
}

impl Prompt {
    /// Creates a prompt that shows the router's name.
    pub(crate) fn new(hostname: &str) -> Self {
        Self {
            editor: LineEditor::new(&format!("{hostname}> ")),
        }
    }

    /// Takes what was typed, and runs the lines that are complete.
    pub(crate) fn turn(&mut self, platform: &dyn Platform) {
        // All that the ring holds: what is left in it has no event of its own.
        let mut typed = [0; 1024];
        let count = platform.read_console(&mut typed);
        let mut console = Echo(platform);
        for &byte in typed.iter().take(count) {
            // The console takes everything; what it has no room for it counts.
            let Ok(Some(line)) = self.editor.feed(byte, &commands::complete, &mut console) else {
                continue;
            };
            let mut reply = String::new();
            if !line.trim().is_empty() {
                commands::run(platform, &line, &mut reply);
            }
            platform.write_console(&reply);
            let _ = self.editor.show(&mut console);
        }
    }
}

/// Writes to the console.
struct Echo<'a>(&'a dyn Platform);

impl fmt::Write for Echo<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_console(text);
        Ok(())
    }
}
