//! Whose turn it is on the machine, among the tests of one process. Some tests keep several cores busy, and some can
//! say nothing when they are slowed down: the two never run at the same time.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// For a test that keeps several cores busy: the machine is its own among busy and punctual tests until it drops this.
pub fn busy() -> RwLockWriteGuard<'static, ()> {
    // A test that failed has left the machine as it was.
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that depends on short timeouts: others of its kind may run, but no busy test until it drops this.
///
/// A test must not take a second turn while it holds one, since a busy test may be waiting in between.
pub fn punctual() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}
