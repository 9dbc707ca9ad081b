//! A machine in memory, for tests (written with the first driver).
