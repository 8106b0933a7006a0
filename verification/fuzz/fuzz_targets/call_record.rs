//! `cargo +nightly fuzz run --fuzz-dir verification/fuzz --features libfuzzer call_record`: see
//! docs/simulation.md.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::call_record(data));
