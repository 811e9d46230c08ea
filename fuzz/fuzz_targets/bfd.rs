#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outlast_fuzz::run("bfd", bytes));
