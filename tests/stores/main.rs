//! What holds the sessions: the contract that all stores keep, and what each of them promises beyond it.

session_node_testing::set_up!();

mod backends;
mod differential;
mod every_store;
mod memory;
mod memory_exhaustion;
mod paging;
mod redis;
mod redis_access;
mod redis_index;
mod redis_linearizability;
mod rotation_race;
mod sqlite;
mod store_contract;
mod stricter_policy;
