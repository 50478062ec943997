//! A node whose wall clock a test sets while real time passes. All that the node answers about time is held against
//! bounds: the test looks at the boot clock, which libfaketime leaves alone, before it asks and after it is answered.
//! So a slow machine makes the bounds wider, and no test fail.

use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::fake_time::FakeTime;
use crate::{DEADLINE, Node, command, text};

/// A moment that is known to lie between two, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub earliest: u64,
    pub latest: u64,
}

impl Bounds {
    fn plus(self, seconds: u64) -> Self {
        Self {
            earliest: self.earliest + seconds * 1000,
            latest: self.latest + seconds * 1000,
        }
    }

    fn min(self, other: Self) -> Self {
        Self {
            earliest: self.earliest.min(other.earliest),
            latest: self.latest.min(other.latest),
        }
    }
}

/// A session, and what is known of its times.
pub struct Session {
    pub id: String,
    ends: Bounds,
    used: Bounds,
    idle_timeout: Option<u64>,
}

impl Session {
    /// When it ends unless it is used again.
    pub fn expires(&self) -> Bounds {
        let idle_end = self.idle_timeout.map(|seconds| self.used.plus(seconds));
        idle_end.map_or(self.ends, |idle_end| self.ends.min(idle_end))
    }
}

/// A node under a clock that may be wrong.
pub struct Ruled<'c> {
    pub node: Node,
    clock: &'c FakeTime,
    /// By how much the node's time is ahead of the boot clock: at least, and at most.
    lead: (Duration, Duration),
}

impl<'c> Ruled<'c> {
    pub fn start(clock: &'c FakeTime, args: &[&str]) -> Self {
        Self::start_from(0, clock, args)
    }

    /// Starts a node that has to begin no earlier than `floor`, in milliseconds since 1970.
    pub fn start_from(floor: u64, clock: &'c FakeTime, args: &[&str]) -> Self {
        let before = boot_clock();
        let mut command = command(args);
        clock.rule(&mut command);
        let mut ruled = Self {
            node: Node::spawn(&mut command),
            clock,
            lead: (Duration::ZERO, Duration::ZERO),
        };
        ruled.ask(json!({"type": "echo", "echo": "started"}));
        let floor = Duration::from_millis(floor);
        ruled.look(floor, before, boot_clock());
        ruled
    }

    /// The reply to a request, and when the node has carried it out by its own time.
    pub fn ask(&mut self, request: impl std::fmt::Display) -> (Value, Bounds) {
        let before = boot_clock();
        let reply = self.node.ask(request);
        let after = boot_clock();
        self.look(Duration::from_secs(self.clock.shows()), before, after);
        let millis = |time: Duration| u64::try_from(time.as_millis()).expect("a time");
        let now = Bounds {
            earliest: millis(self.lead.0 + before),
            latest: millis(self.lead.1 + after),
        };
        (reply, now)
    }

    /// The node has looked at a clock that showed `time`, between two times of the boot clock.
    fn look(&mut self, time: Duration, before: Duration, after: Duration) {
        let (least, most) = self.lead;
        self.lead = (
            least.max(time.saturating_sub(after)),
            most.max(time.saturating_sub(before)),
        );
    }

    /// Begins a session of a user with these seconds as its lifetime and its idle timeout.
    pub fn create(&mut self, user: &str, ttl: u64, idle_timeout: Option<u64>) -> Session {
        let mut request = json!({"type": "create_session", "user_id": user, "ttl": ttl});
        if let Some(idle_timeout) = idle_timeout {
            request["idle_timeout"] = idle_timeout.into();
        }
        let (reply, now) = self.ask(request);
        let session = Session {
            id: text(&reply, "session_id"),
            ends: now.plus(ttl),
            used: now,
            idle_timeout,
        };
        let expires = session.expires();
        let expires_at = reply["expires_at"].as_u64().expect("a time");
        let possible = expires.earliest / 1000..=expires.latest / 1000;
        assert!(possible.contains(&expires_at), "{possible:?}: {reply}");
        session
    }

    /// Whether a session is valid, which has to be possible at that time. When it is, this was a use of it.
    pub fn is_valid(&mut self, session: &mut Session) -> bool {
        let request = json!({"type": "validate_session", "session_id": session.id});
        let (reply, now) = self.ask(request);
        let expires = session.expires();
        let Some(expires_in) = reply["expires_in"].as_u64() else {
            assert_eq!(text(&reply, "type"), "session_invalid");
            assert!(
                expires.earliest <= now.latest,
                "ended early: {expires:?}, {now:?}"
            );
            return false;
        };
        assert!(
            expires.latest > now.earliest,
            "lives on: {expires:?}, {now:?}"
        );
        session.used = now;
        let expires = session.expires();
        let least = expires.earliest.saturating_sub(now.latest).div_ceil(1000);
        let most = expires.latest.saturating_sub(now.earliest).div_ceil(1000);
        assert!(
            (least..=most).contains(&expires_in),
            "{least} to {most}: {reply}"
        );
        true
    }

    /// Asks after a session until it has ended.
    pub fn outlive(&mut self, mut session: Session) {
        let start = Instant::now();
        while self.is_valid(&mut session) {
            assert!(start.elapsed() < DEADLINE, "the session lives on");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn boot_clock() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    time.try_into().expect("the boot clock begins at zero")
}
