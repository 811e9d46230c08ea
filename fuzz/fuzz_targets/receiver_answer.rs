#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outlast_fuzz::run("receiver_answer", bytes));
