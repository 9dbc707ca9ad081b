//! A xenstored in memory.
