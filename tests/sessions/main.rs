//! The life of a session as a peer sees it: how it begins, lasts, changes its id and ends.

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod lifetime;
mod limits;
mod listing;
mod model;
mod replay;
mod rotation;
mod step_up;
