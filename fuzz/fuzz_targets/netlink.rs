//! The target `netlink` of e2e/parsers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| parsers::run("netlink", input));
