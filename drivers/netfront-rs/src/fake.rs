//! Backends in memory, for tests.
