//! The data path against backends in memory, honest and not.

mod common;
mod hostile;
mod queue;
