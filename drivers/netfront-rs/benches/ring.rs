//! Costs of the data path.

fn main() {}
