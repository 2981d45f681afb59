//! See `tests/parsers/targets.rs`.
#![no_main]

#[path = "../../tests/parsers/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::read("depth", bytes));
