//! Matching rules against requests. What is done and what must hold is in `tests/src/fuzz.rs`.

#![no_main]

#[allow(dead_code, reason = "the other targets are in the same file")]
#[path = "../../src/fuzz.rs"]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rules(data));
