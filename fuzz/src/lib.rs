//! What the fuzz targets do with an input. The targets call it under libFuzzer, and `tests/wire/fuzz_smoke.rs`, which
//! includes this file, on stable Rust. An input that shows a fault makes it panic.

pub mod decode;
mod framing;
mod json;
pub mod node;
pub mod operations;
