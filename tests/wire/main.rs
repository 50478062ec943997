//! Messages and replies, byte for byte: what a line may be, and what it is answered.

session_node_testing::set_up!();

mod any_lines;
mod bad_input;
mod bad_lines;
mod conversation;
mod data;
mod faulty_lines;
mod fuzz_smoke;
mod hostile_ids;
mod messages;
mod optional_fields;
mod several_lines;
mod strict;
mod transcripts;
