//! The simulation of several fronts, to come.
fn main() {}
