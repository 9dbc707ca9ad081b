//! The console: the prompt, the commands typed there or given through xenstore, and their output.

mod answer;
mod command_line;
mod commands;
mod line_editor;
mod neighbors;
mod prompt;
mod show_machine;
mod show_router;
mod table;

pub use command_line::{Command, ParseError, Parsed, completions, parse};
pub use commands::{complete, run};
pub use line_editor::{LineEditor, MAX_HISTORY, MAX_LINE};
pub(crate) use prompt::Prompt;
