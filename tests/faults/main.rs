//! What goes wrong around the program: clocks, peers, disks and servers.

session_node_testing::set_up!();

mod clock_faults;
mod clock_restarts;
mod hostile;
mod redis_faults;
mod sqlite_faults;
