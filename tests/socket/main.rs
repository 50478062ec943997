//! A node that serves a Unix socket, as its peers and its operators see it.
#![cfg(all(unix, feature = "socket"))]

session_node_testing::set_up!();

mod activation;
mod start_and_end;
