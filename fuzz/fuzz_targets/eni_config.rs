//! The target `eni_config` of e2e/parsers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| parsers::run("eni_config", input));
