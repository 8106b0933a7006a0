//! `cargo +nightly fuzz run --fuzz-dir verification/fuzz --features libfuzzer configuration`: see
//! docs/simulation.md.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::configuration(data));
