//! The data path against backends in memory, honest and not.

mod account;
mod common;
mod connection;
mod events;
mod forward;
mod hashed;
mod hostile;
mod pages;
mod receive;
mod send;
