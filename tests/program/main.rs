//! The program as its user sees it: options, streams, files, signals, documents, and an hour's work in short.

#[path = "../common/mod.rs"]
mod common;

mod audit_file;
mod command_line;
mod descriptors;
mod process;
mod readme;
mod soak;
mod stderr;
