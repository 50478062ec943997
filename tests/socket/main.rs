//! A node that serves a Unix socket, as its peers and its operators see it.
#![cfg(all(unix, feature = "socket"))]

session_node_testing::set_up!();

mod activation;
mod audit;
mod call;
mod connections;
#[path = "../wire/conversation.rs"]
mod conversation;
mod durability;
mod hostile;
mod linearizability;
mod sequential;
mod start_and_end;
