//! Messages and replies, byte for byte: what a line may be, and what it is answered.

#[path = "../common/mod.rs"]
mod common;

mod any_lines;
mod bad_input;
mod bad_lines;
mod data;
mod faulty_lines;
mod fuzz_smoke;
mod hostile_ids;
mod messages;
mod optional_fields;
mod several_lines;
mod strict;
mod transcripts;
