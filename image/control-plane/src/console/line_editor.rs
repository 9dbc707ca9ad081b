//! The line editor: editing, history and completion of one line.
//!
//! The editor does no input or output. It is fed bytes as a terminal sends them, writes its
//! echo to a [`fmt::Write`], and returns a line when one is complete. Only printable ASCII
//! gets into a line; other bytes are ignored, so nothing typed can garble a log.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The maximum length of a line, in bytes; further keys are ignored.
pub const MAX_LINE: usize = 256;
/// The maximum number of lines in the history.
pub const MAX_HISTORY: usize = 32;

const ESCAPE: u8 = 0x1b;
/// Moves to the start of the line and erases it.
const ERASE_LINE: &str = "\r\x1b[K";

/// Where the editor is in an escape sequence of a cursor key (`ESC [ A`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Started,
    Bracket,
}

/// One line being typed, and those before it.
#[derive(Debug)]
pub struct LineEditor {
    prompt: String,
    line: String,
    history: VecDeque<String>,
    /// The position in the history; zero is the line being typed.
    back: usize,
    escape: Escape,
    last: u8,
}

impl LineEditor {
    /// Creates an editor with an empty line.
    #[must_use]
    pub fn new(prompt: &str) -> Self {
        Self {
            prompt: prompt.to_string(),
            line: String::new(),
            history: VecDeque::new(),
            back: 0,
            escape: Escape::None,
            last: 0,
        }
    }

    /// Changes the prompt, from the next line on.
    pub fn set_prompt(&mut self, prompt: &str) {
        self.prompt = prompt.to_string();
    }

    /// Shows the prompt and what was typed so far, as after other output.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn show(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{ERASE_LINE}{}{}", self.prompt, self.line)
    }

    /// Takes one byte. Returns the line if the byte ended one; the caller shows the prompt
    /// again after its answer.
    ///
    /// `complete` gets the line so far and returns what the last word could become.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn feed(
        &mut self,
        byte: u8,
        complete: &dyn Fn(&str) -> Vec<String>,
        out: &mut dyn fmt::Write,
    ) -> Result<Option<String>, fmt::Error> {
        let last = core::mem::replace(&mut self.last, byte);
        match (self.escape, byte) {
            (Escape::None, ESCAPE) => self.escape = Escape::Started,
            (Escape::Started, b'[') => self.escape = Escape::Bracket,
            (Escape::Bracket, b'0'..=b'9' | b';') => {}
            (Escape::Bracket, key) => {
                self.escape = Escape::None;
                match key {
                    b'A' => self.recall(self.back + 1, out)?,
                    b'B' if self.back > 0 => self.recall(self.back - 1, out)?,
                    _ => {}
                }
            }
            (Escape::Started, _) => self.escape = Escape::None,
            (Escape::None, b'\n') if last == b'\r' => {}
            (Escape::None, b'\r' | b'\n') => {
                out.write_str("\n")?;
                return Ok(Some(self.finish()));
            }
            (Escape::None, 0x7f | 0x08) if self.line.pop().is_some() => {
                out.write_str("\x08 \x08")?;
            }
            (Escape::None, 0x03) => {
                self.line.clear();
                self.back = 0;
                out.write_str("^C\n")?;
                self.show(out)?;
            }
            (Escape::None, 0x15) => {
                self.line.clear();
                self.show(out)?;
            }
            (Escape::None, b'\t') => self.complete(&complete(&self.line), out)?,
            (Escape::None, b' '..=b'~') if self.line.len() < MAX_LINE => {
                self.line.push(char::from(byte));
                out.write_char(char::from(byte))?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn finish(&mut self) -> String {
        let line = core::mem::take(&mut self.line);
        self.back = 0;
        if !line.trim().is_empty() && self.history.back() != Some(&line) {
            if self.history.len() == MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(line.clone());
        }
        line
    }

    /// Shows the line `back` lines ago; zero is an empty one.
    fn recall(&mut self, back: usize, out: &mut dyn fmt::Write) -> fmt::Result {
        if back > self.history.len() {
            return Ok(());
        }
        self.back = back;
        let index = self.history.len() - back;
        self.line = self.history.get(index).cloned().unwrap_or_default();
        self.show(out)
    }

    /// Completes the last word as far as all candidates agree; lists them if they don't.
    fn complete(&mut self, candidates: &[String], out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(first) = candidates.first() else {
            return Ok(());
        };
        let common = candidates.iter().fold(first.as_str(), |common, other| {
            let same = common
                .bytes()
                .zip(other.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            common.get(..same).unwrap_or("")
        });
        let start = self.line.rfind(' ').map_or(0, |space| space + 1);
        let word = self.line.get(start..).unwrap_or("");
        if let Some(rest) = common.strip_prefix(word) {
            let rest = if candidates.len() == 1 {
                alloc::format!("{rest} ")
            } else {
                rest.into()
            };
            if !rest.is_empty() && self.line.len() + rest.len() <= MAX_LINE {
                out.write_str(&rest)?;
                self.line.push_str(&rest);
                return Ok(());
            }
        }
        if candidates.len() > 1 {
            out.write_str("\n")?;
            for candidate in candidates {
                write!(out, "{candidate}  ")?;
            }
            out.write_str("\n")?;
            self.show(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types `keys`; the lines that came out, and the echo.
    fn type_keys(editor: &mut LineEditor, keys: &str) -> (Vec<String>, String) {
        let mut echo = String::new();
        let commands = |line: &str| -> Vec<String> {
            let word = line.rsplit(' ').next().unwrap_or("");
            ["show", "shutdown", "help"]
                .iter()
                .filter(|name| name.starts_with(word))
                .map(ToString::to_string)
                .collect()
        };
        let lines = keys
            .bytes()
            .filter_map(|key| editor.feed(key, &commands, &mut echo).unwrap())
            .collect();
        (lines, echo)
    }

    #[test]
    fn a_line_ends_at_return_newline_or_both() {
        let mut editor = LineEditor::new("> ");
        let (lines, _) = type_keys(&mut editor, "one\rtwo\nthree\r\nfour\r");
        assert_eq!(lines, ["one", "two", "three", "four"]);
    }

    #[test]
    fn backspace_and_control_keys_edit() {
        let mut editor = LineEditor::new("> ");
        let (lines, _) = type_keys(&mut editor, "\x7fhelx\x7fp\rjunk\x15ok\rjunk\x03fine\r");
        assert_eq!(lines, ["help", "ok", "fine"]);
    }

    #[test]
    fn cursor_keys_walk_through_history() {
        let mut editor = LineEditor::new("> ");
        let (lines, _) = type_keys(
            &mut editor,
            "a\rb\r\x1b[A\x1b[A\r\x1b[A\x1b[B\r\x1b[A\x1b[A\x1b[A\x1b[A\r",
        );
        assert_eq!(lines, ["a", "b", "a", "", "a"]);
    }

    #[test]
    fn tab_completes_what_is_certain_and_lists_the_rest() {
        let mut editor = LineEditor::new("> ");
        let (lines, echo) = type_keys(&mut editor, "s\t\to\t\r");
        assert_eq!(lines, ["show "]);
        assert!(echo.contains("show  shutdown"), "{echo:?}");
        let (lines, _) = type_keys(&mut editor, "xyz\t\r");
        assert_eq!(lines, ["xyz"]);
    }

    #[test]
    fn long_lines_and_odd_bytes_are_cut() {
        let mut editor = LineEditor::new("> ");
        let mut keys = "x".repeat(MAX_LINE + 50);
        keys.push_str("\u{e9}\x01\r");
        let (lines, _) = type_keys(&mut editor, &keys);
        assert_eq!(lines[0], "x".repeat(MAX_LINE));
        for number in 0..MAX_HISTORY + 10 {
            type_keys(&mut editor, &alloc::format!("{number}\r"));
        }
        assert_eq!(editor.history.len(), MAX_HISTORY);
    }
}
