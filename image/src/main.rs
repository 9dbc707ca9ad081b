//! (the guest)
fn main() {}
