//! Tells the time: from the system's clocks, without ever running backwards, or from a clock that a test moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::session::Timestamp;

/// A monotonic clock that also counts while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT_CLOCK: ClockId = ClockId::Boottime;

/// The same clock, for systems that name it differently.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// A source of the time. A node asks once for each batch, so all requests of a batch happen at one moment.
pub trait Clock: Send {
    /// The present time. Never earlier than what an earlier call on the same clock returned.
    fn now(&mut self) -> Timestamp;
}

/// The system's time, which never runs backwards and never stands still.
///
/// The wall clock tells the date, but somebody may set it. The boot clock tells no date, but nobody can set it. So this
/// clock adds to the boot clock the largest lead that the wall clock has ever had over it:
///
/// - When the wall clock is set back, its lead shrinks, and time goes on at its own pace. Otherwise expired sessions
///   would become valid again, or all sessions would live longer by the time that the wall clock is behind.
/// - When the wall clock is set forward, time jumps with it and then goes on at its own pace, even if the wall clock is
///   corrected at once.
///
/// The clock stores the lead in nanoseconds and no earlier result. If it added elapsed time to a result in
/// milliseconds, each call would lose a fraction of a millisecond, and a busy node's time would stop.
#[derive(Debug)]
pub struct SystemClock {
    lead_nanos: i128,
}

impl SystemClock {
    /// Makes a clock that shows the system's time.
    pub fn new() -> Self {
        Self::no_earlier_than(Timestamp::from_millis(0))
    }

    /// Makes a clock that shows the system's time, or continues from `start` if the wall clock is behind `start`.
    pub fn no_earlier_than(start: Timestamp) -> Self {
        Self::starting(start, boot_clock())
    }

    fn starting(start: Timestamp, boot: Duration) -> Self {
        Self {
            lead_nanos: lead_nanos(Duration::from_millis(start.as_millis()), boot),
        }
    }

    /// The time that follows from these readings of the two clocks.
    fn observe(&mut self, wall: Duration, boot: Duration) -> Timestamp {
        self.lead_nanos = self.lead_nanos.max(lead_nanos(wall, boot));
        let nanos = nanos(boot) + self.lead_nanos;
        Timestamp::from_millis(u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Timestamp {
        // The wall clock must be read first. A pause between the two readings then makes the lead look too small, which
        // changes nothing. In the other order the lead would look too large, and the time would be ahead for good.
        let wall = wall_clock();
        self.observe(wall, boot_clock())
    }
}

/// How far `wall` is ahead of `boot`, in nanoseconds: negative if the wall clock shows a time soon after 1970.
fn lead_nanos(wall: Duration, boot: Duration) -> i128 {
    nanos(wall) - nanos(boot)
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).expect("a Duration has less than 2^94 nanoseconds")
}

/// The time since 1970. A wall clock before 1970 counts as one at the start of 1970.
fn wall_clock() -> Duration {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.unwrap_or(Duration::ZERO)
}

fn boot_clock() -> Duration {
    let since_boot = Duration::try_from(clock_gettime(BOOT_CLOCK));
    since_boot.expect("the boot clock begins at zero")
}

/// A clock that stands still until a test moves it. Clones share one time, so a test keeps one and gives another to the
/// node.
#[derive(Clone, Debug)]
pub struct ManualClock {
    millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// Makes a clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self {
            millis: Arc::new(AtomicU64::new(start.as_millis())),
        }
    }

    /// Moves the clock forward by this duration.
    pub fn advance(&self, by: Duration) {
        let later = Timestamp::from_millis(self.millis.load(Ordering::Relaxed)) + by;
        self.millis.store(later.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    /// What the wall clock shows when the boot clock starts, in Unix seconds.
    const WALL: u64 = 1_790_000_000;

    /// A clock and its two sources, set by hand.
    struct Hands {
        clock: SystemClock,
        wall: Duration,
        boot: Duration,
    }

    impl Hands {
        fn new() -> Self {
            Self {
                clock: SystemClock::starting(Timestamp::from_millis(0), Duration::ZERO),
                wall: Duration::from_secs(WALL),
                boot: Duration::ZERO,
            }
        }

        fn pass(&mut self, duration: Duration) {
            self.wall += duration;
            self.boot += duration;
        }

        /// Milliseconds since the wall clock's start.
        fn millis(&mut self) -> u64 {
            let now = self.clock.observe(self.wall, self.boot);
            now.as_millis() - WALL * 1000
        }
    }

    #[test]
    fn time_goes_on_at_its_own_pace_when_the_wall_clock_is_set_back() {
        let mut hands = Hands::new();
        assert_eq!(hands.millis(), 0);
        hands.wall -= Duration::from_secs(HOUR);
        assert_eq!(hands.millis(), 0);
        hands.pass(Duration::from_secs(3));
        assert_eq!(hands.millis(), 3000);
        // The same holds if nobody asks until after the wall clock has caught up.
        hands.pass(Duration::from_secs(2 * HOUR));
        assert_eq!(hands.millis(), 2 * HOUR * 1000 + 3000);
    }

    #[test]
    fn time_goes_on_from_a_jump_forward_that_is_corrected_at_once() {
        let mut hands = Hands::new();
        hands.wall += Duration::from_secs(HOUR);
        assert_eq!(hands.millis(), HOUR * 1000);
        hands.wall -= Duration::from_secs(HOUR);
        hands.pass(Duration::from_millis(1500));
        assert_eq!(hands.millis(), HOUR * 1000 + 1500);
        // A second jump counts from the wall clock's reading, not from the node's time.
        hands.wall += Duration::from_secs(HOUR / 2);
        assert_eq!(hands.millis(), HOUR * 1000 + 1500);
        hands.wall += Duration::from_secs(HOUR);
        assert_eq!(hands.millis(), HOUR * 1500 + 1500);
    }

    #[test]
    fn time_counts_a_suspension() {
        let mut hands = Hands::new();
        hands.pass(Duration::from_secs(1));
        assert_eq!(hands.millis(), 1000);
        // The boot clock runs during the suspension. Meanwhile the wall clock was set back by as much.
        hands.boot += Duration::from_secs(8 * HOUR);
        assert_eq!(hands.millis(), 8 * HOUR * 1000 + 1000);
    }

    #[test]
    fn a_thousand_calls_within_a_millisecond_lose_no_time() {
        let mut hands = Hands::new();
        assert_eq!(hands.millis(), 0);
        hands.wall -= Duration::from_secs(HOUR);
        for _ in 0..3000 {
            hands.pass(Duration::from_micros(1));
            hands.millis();
        }
        assert_eq!(hands.millis(), 3);
    }

    #[test]
    fn a_pause_between_the_two_readings_does_not_put_the_time_ahead() {
        let mut hands = Hands::new();
        hands.pass(Duration::from_secs(1));
        let late = hands.boot + Duration::from_secs(5);
        let start = Timestamp::from_millis(WALL * 1000);
        assert_eq!(
            hands.clock.observe(hands.wall, late),
            start + Duration::from_secs(1)
        );
        // The next call, without a pause, shows the wall clock's time.
        hands.pass(Duration::from_secs(6));
        assert_eq!(hands.millis(), 7000);
    }

    #[test]
    fn a_wall_clock_that_stands_at_1970_shows_how_much_time_has_passed() {
        let boot = Duration::from_secs(500);
        let mut clock = SystemClock::starting(Timestamp::from_millis(0), boot);
        let mut at = |passed| clock.observe(Duration::ZERO, boot + Duration::from_secs(passed));
        assert_eq!(at(0), Timestamp::from_millis(0));
        assert_eq!(at(7), Timestamp::from_millis(7000));
    }

    #[test]
    fn a_clock_starts_no_earlier_than_the_given_time() {
        let start = Timestamp::from_millis(WALL * 1000 + 5);
        let boot = Duration::from_secs(500);
        let mut clock = SystemClock::starting(start, boot);
        let behind = Duration::from_secs(WALL - HOUR);
        assert_eq!(clock.observe(behind, boot), start);
        let passed = Duration::from_secs(3);
        assert_eq!(
            clock.observe(behind + passed, boot + passed),
            start + passed
        );

        let mut clock = SystemClock::starting(start, boot);
        let ahead = Duration::from_secs(WALL + HOUR);
        let expected = Timestamp::from_millis((WALL + HOUR) * 1000);
        assert_eq!(clock.observe(ahead, boot), expected);
    }

    #[test]
    fn a_time_beyond_the_maximum_is_the_maximum() {
        let last = Timestamp::from_millis(u64::MAX);
        let mut clock = SystemClock::starting(last, Duration::ZERO);
        let boot = Duration::from_secs(1);
        assert_eq!(clock.observe(Duration::MAX, boot), last);
    }

    #[test]
    fn the_system_shows_its_wall_clock_and_a_time_that_passes() {
        let before = wall_clock();
        let mut clock = SystemClock::new();
        let first = clock.now();
        assert!(u128::from(first.as_millis()) >= before.as_millis());
        let boot = boot_clock();
        let start = first + Duration::from_secs(HOUR);
        let mut from_start = SystemClock::no_earlier_than(start);
        std::thread::sleep(Duration::from_millis(20));
        let now = from_start.now();
        let passed = boot_clock().saturating_sub(boot);
        assert!(now >= start + Duration::from_millis(20));
        assert!(now <= start + passed);
    }

    #[test]
    fn a_manual_clock_moves_for_all_who_hold_it() {
        let hand = ManualClock::at(Timestamp::from_millis(7));
        let mut held_by_node = hand.clone();
        hand.advance(Duration::from_millis(3));
        assert_eq!(held_by_node.now(), Timestamp::from_millis(10));
    }
}
