//! `cargo +nightly fuzz run --features libfuzzer simulation`: see docs/simulation.md.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::simulation(data));
