//! The life of a session as a peer sees it: how it begins, lasts, changes its id and ends.

session_node_testing::set_up!();

mod audit;
mod authority;
mod conditions;
mod handle;
mod lifetime;
mod limits;
mod listing;
mod model;
mod replay;
mod rotation;
mod step_up;
mod web_server;
