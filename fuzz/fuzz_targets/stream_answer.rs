//! `cargo +nightly fuzz run --features libfuzzer stream_answer`: see docs/simulation.md.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stream_answer(data));
