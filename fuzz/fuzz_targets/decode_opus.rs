#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::run("decode_opus", bytes));
