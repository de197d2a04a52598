//! libFuzzer's way into `targets::language`.

#![no_main]

#[allow(dead_code, reason = "each program tries one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::language(data));
