//! Where the time comes from: the system's clock, kept from running backwards, or one that a test moves by hand.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::session::Timestamp;

/// A source of the time. A node asks once for each batch, so all requests of a batch happen at one moment.
pub trait Clock {
    /// The time now. Never earlier than what an earlier call on the same clock returned.
    fn now(&mut self) -> Timestamp;
}

/// The system's clock, which never runs backwards.
///
/// When the system's clock is set back, this one holds its time until the system's has caught up:
/// otherwise sessions that had already expired would come to life again.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_millis: u64,
}

impl SystemClock {
    /// A clock that shows the system's time.
    pub fn new() -> Self {
        Self::default()
    }

    fn observe(&mut self, system: SystemTime) -> Timestamp {
        // A system clock before 1970 is as good as one that has not moved yet.
        let since_1970 = system.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        self.latest_millis = self.latest_millis.max(millis);
        Timestamp::from_millis(self.latest_millis)
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Timestamp {
        self.observe(SystemTime::now())
    }
}

/// A clock that stands still until it is moved. Clones are hands on the same clock, so a test keeps one
/// and gives the other to the node.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Rc<Cell<Timestamp>>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self {
            now: Rc::new(Cell::new(start)),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now.set(self.now.get() + by);
    }
}

impl Clock for ManualClock {
    fn now(&mut self) -> Timestamp {
        self.now.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_clock_set_back_holds_its_time_until_it_is_caught_up() {
        let mut clock = SystemClock::new();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(clock.observe(at(5000)), Timestamp::from_millis(5_000_000));
        assert_eq!(clock.observe(at(1400)), Timestamp::from_millis(5_000_000));
        assert_eq!(clock.observe(at(5000)), Timestamp::from_millis(5_000_000));
        assert_eq!(clock.observe(at(5001)), Timestamp::from_millis(5_001_000));
    }

    #[test]
    fn a_system_clock_before_1970_shows_the_start_of_1970() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(
            SystemClock::new().observe(before),
            Timestamp::from_millis(0)
        );
    }

    #[test]
    fn a_manual_clock_moves_for_all_who_hold_it() {
        let hand = ManualClock::at(Timestamp::from_millis(7));
        let mut held_by_node = hand.clone();
        hand.advance(Duration::from_millis(3));
        assert_eq!(held_by_node.now(), Timestamp::from_millis(10));
    }
}
