//! The console: a prompt, and the line that is edited there.

mod line_editor;
mod prompt;

pub use line_editor::{LineEditor, MAX_HISTORY, MAX_LINE};
pub(crate) use prompt::Prompt;
