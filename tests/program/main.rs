//! The program as its user sees it: options, streams, files, signals, documents, and an hour's work in short.

session_node_testing::set_up!();

mod audit_file;
mod command_line;
mod descriptors;
mod process;
mod readme;
mod soak;
mod stderr;
mod tidy;
