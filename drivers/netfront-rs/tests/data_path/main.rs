//! The data path against backends in memory, honest and not.

mod common;
mod hashed;
mod hostile;
mod queue;
