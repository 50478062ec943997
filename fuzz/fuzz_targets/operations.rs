#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| session_node_fuzz::operations::run(input));
