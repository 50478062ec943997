//! Random operations, and what can be seen of them.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use session_node::session::{Binding, Handle, OnReuse, OnUserLimit, SessionKey, Timestamp};
use session_node::store::{
    Changes, Conditions, CreateOptions, Cursor, EventKind, ListOptions, ListOrder, Operation,
    Outcome, Outcomes, Policy, Record, Store, UpdateConditions,
};
use session_node_testing::ruled::Ruled;

/// How long things last in a script.
#[derive(Clone, Copy)]
pub struct Times {
    /// How long a number of `of` is.
    pub of: fn(u64) -> Duration,
    pub longest_ttl: u64,
    /// None when no session has an idle timeout.
    pub longest_idle: Option<u64>,
    /// In seconds.
    pub max_age: u64,
}

/// Random operations on few sessions of few users, as their ids would be presented.
pub struct Script {
    pub random: StdRng,
    made: u32,
    times: Times,
}

impl Script {
    pub fn new(seed: u64, times: Times) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            made: 0,
            times,
        }
    }

    /// Up to four operations that reach the store together.
    pub fn batch(&mut self) -> Vec<Operation<'static>> {
        let length = self.random.random_range(1..5);
        (0..length).map(|_| self.operation()).collect()
    }

    fn key(&mut self) -> SessionKey {
        let newest = self.made.max(1);
        let number = self.random.random_range(newest.saturating_sub(30)..=newest);
        SessionKey::of(&number.to_string())
    }

    fn new_key(&mut self) -> SessionKey {
        self.made += 1;
        SessionKey::of(&self.made.to_string())
    }

    fn user(&mut self) -> &'static str {
        ["alice", "bob", "π \u{0} \"", "dave"][self.random.random_range(0..4)]
    }

    fn data(&mut self) -> Option<Cow<'static, str>> {
        let number = self.random.random_range(0..3);
        (number > 0).then(|| format!(r#"{{"n":{number}}}"#).into())
    }

    fn binding(&mut self) -> Option<Binding> {
        [None, None, Some(Binding::to("x")), Some(Binding::to("y"))][self.random.random_range(0..4)]
    }

    fn lifetime(&mut self, longest: u64) -> Duration {
        (self.times.of)(self.random.random_range(1..=longest))
    }

    fn handle(&mut self) -> Option<Handle> {
        let key = self.key();
        self.random.random_bool(0.9).then(|| key.handle())
    }

    fn list_options(&mut self) -> ListOptions {
        let order = [ListOrder::OldestFirst, ListOrder::NewestFirst];
        ListOptions {
            limit: self.random.random_range(1..5),
            order: order[self.random.random_range(0..2)],
            after: None,
            without_data: self.random.random_bool(0.2),
        }
    }

    fn operation(&mut self) -> Operation<'static> {
        let idle = self.times.longest_idle;
        match self.random.random_range(0..40) {
            0..12 => Operation::Create {
                key: self.new_key(),
                user: self.user().into(),
                options: Some(Box::new(CreateOptions {
                    ttl: Some(self.lifetime(self.times.longest_ttl)),
                    idle_timeout: idle.map(|longest| self.lifetime(longest)),
                    data: self.data(),
                    binding: self.binding(),
                    max_sessions_per_user: self.random.random_bool(0.1).then_some(3),
                    detail: self.random.random_bool(0.2),
                })),
            },
            12..22 => Operation::Validate {
                key: self.key(),
                conditions: Some(Box::new(Conditions {
                    binding: self.binding(),
                    max_age: self.random.random_bool(0.2).then_some(self.times.max_age),
                    untouched: self.random.random_bool(0.2),
                    detail: self.random.random_bool(0.2),
                })),
            },
            22..28 => Operation::Regenerate {
                old: self.key(),
                new: self.new_key(),
                changes: Some(Box::new(Changes {
                    reauthenticated: self.random.random_bool(0.3),
                    user: self.random.random_bool(0.3).then(|| self.user().into()),
                    // Without a restart of the lifetime they change nothing.
                    ttl: self
                        .random
                        .random_bool(0.2)
                        .then(|| self.lifetime(self.times.longest_ttl)),
                    idle_timeout: idle
                        .filter(|_| self.random.random_bool(0.2))
                        .map(|longest| self.lifetime(longest)),
                    max_sessions_per_user: self.random.random_bool(0.1).then_some(3),
                    data: self.data(),
                    binding: self.binding(),
                    new_binding: self
                        .random
                        .random_bool(0.2)
                        .then(|| self.binding())
                        .flatten(),
                    detail: self.random.random_bool(0.2),
                })),
            },
            28..30 => Operation::Update {
                key: self.key(),
                data: "{}".into(),
                conditions: Some(Box::new(UpdateConditions {
                    binding: self.binding(),
                    expected_data: self.random.random_bool(0.3).then(|| self.data()),
                    detail: self.random.random_bool(0.2),
                })),
            },
            30..34 => Operation::List {
                user: self.user().into(),
                caller: self.random.random_bool(0.5).then(|| self.key()),
                options: Box::new(self.list_options()),
            },
            34..36 => Operation::Destroy {
                key: self.key(),
                detail: false,
            },
            36 => Operation::DestroyByHandle {
                user: self.user().into(),
                handle: self.handle(),
                detail: false,
            },
            37 => Operation::DestroyUser {
                user: self.user().into(),
                except: self.random.random_bool(0.5).then(|| self.key()),
            },
            38 if self.random.random_bool(0.1) => Operation::DestroyAll,
            39 => Operation::ListUsers {
                options: Box::default(),
            },
            _ => Operation::Stats,
        }
    }
}

/// How closely what a store says can be held against what the store in memory says.
#[derive(Clone, Copy)]
pub enum Sight {
    /// To the millisecond.
    Exact,
    /// But for the moment of a session's last use, which another node may know.
    WithoutLastUse,
    /// The store has a clock of its own: moments are the same if both are in the same stretch of two seconds.
    TwoSeconds,
}

impl Sight {
    fn moment(self, at: Timestamp) -> u64 {
        match self {
            Self::Exact | Self::WithoutLastUse => at.as_millis(),
            Self::TwoSeconds => at.as_millis() / 2000,
        }
    }

    fn last_use(self, at: Timestamp) -> Option<u64> {
        (!matches!(self, Self::WithoutLastUse)).then(|| self.moment(at))
    }

    /// Ages are by two moments, each a part of a second after an even one.
    fn age(self, seconds: u64) -> u64 {
        match self {
            Self::Exact | Self::WithoutLastUse => seconds,
            Self::TwoSeconds => seconds.div_ceil(2),
        }
    }
}

/// What can be seen of a batch. When a session that has expired is removed is left to the store.
pub fn seen(
    store: &mut Ruled<impl Store>,
    now: Timestamp,
    operations: &[Operation<'_>],
    sight: Sight,
) -> Vec<String> {
    let outcomes = store.apply_recording(Record::Everything, now, operations);
    let mut seen = Vec::new();
    for (number, outcome) in outcomes.all().iter().enumerate() {
        let outcome = outcome.as_ref().expect("the store works");
        seen.push(shown(outcome, &outcomes, sight));
        if let Some(detail) = outcomes.detail(number) {
            let life = detail.lifetime;
            let moments = [life.created_at, life.auth_time, life.ends_at];
            let moments = moments.map(|at| sight.moment(at));
            seen.push(format!("{} {moments:?}", detail.handle));
        }
    }
    for (operation, outcome) in operations.iter().zip(outcomes.all()) {
        if let (Operation::List { user, options, .. }, Ok(Outcome::Sessions { next, .. })) =
            (operation, outcome)
            && let Some(next) = next
        {
            // A cursor means something to the store that gave it only.
            let options = ListOptions {
                after: Cursor::parse(outcomes.text(next)),
                ..*options.clone()
            };
            let page = Operation::List {
                user: user.clone(),
                caller: None,
                options: Box::new(options),
            };
            let page = store.apply(now, &[page]);
            let outcome = page.all()[0].as_ref().expect("the store works");
            seen.push(shown(outcome, &page, sight));
        }
    }
    for event in outcomes.events() {
        if event.kind != EventKind::Expired {
            let user = event.user.as_ref().map(|user| outcomes.text(user));
            let handle = event.handle.map(|handle| handle.to_string());
            seen.push(format!(
                "{} {:?} {user:?} {handle:?}",
                event.operation, event.kind
            ));
        }
    }
    seen
}

fn shown(outcome: &Outcome, outcomes: &Outcomes, sight: Sight) -> String {
    match outcome {
        Outcome::Created { expires_at } => format!("created {}", sight.moment(*expires_at)),
        Outcome::Valid {
            user,
            data,
            expires_at,
        } => {
            let data = data.as_ref().map(|data| outcomes.text(data));
            let expires_at = sight.moment(*expires_at);
            format!("valid {} {data:?} {expires_at}", outcomes.text(user))
        }
        Outcome::ReauthenticationRequired { user, auth_age } => {
            let auth_age = sight.age(*auth_age);
            format!("reauthenticate {} {auth_age}", outcomes.text(user))
        }
        Outcome::Sessions { listed, next } => {
            let mut shown = format!("more: {}", next.is_some());
            for listed in outcomes.listed(listed) {
                let data = listed.data.as_ref().map(|data| outcomes.text(data));
                let life = listed.lifetime;
                let moments = [life.created_at, life.auth_time, life.ends_at];
                let _ = write!(
                    shown,
                    "; {} {:?} {:?} {:?} {data:?} {}",
                    listed.handle,
                    moments.map(|at| sight.moment(at)),
                    sight.last_use(life.last_used_at),
                    life.idle_timeout_millis,
                    listed.is_current
                );
            }
            shown
        }
        // Their order is the store's.
        Outcome::Users { listed, next } => {
            let listed = outcomes.users(listed).iter();
            let mut users: Vec<_> = listed
                .map(|one| (outcomes.text(&one.user), one.sessions))
                .collect();
            users.sort_unstable();
            format!("more: {}; {users:?}", next.is_some())
        }
        Outcome::Stats {
            sessions, users, ..
        } => match sight {
            Sight::Exact => format!("{outcome:?}"),
            Sight::WithoutLastUse => format!("stats {sessions:?} {users:?}"),
            Sight::TwoSeconds => "stats".to_owned(),
        },
        other => format!("{other:?}"),
    }
}

/// Rules to compare stores under: no limits and some, with retired keys forgotten, in grace, and a reason to revoke.
pub fn policies(max_sessions: [usize; 2], grace: Duration) -> Vec<Policy> {
    let of = |max_sessions, per_user, on_user_limit, rotation_grace, on_reuse| Policy {
        max_sessions,
        max_sessions_per_user: per_user,
        on_user_limit,
        rotation_grace,
        on_reuse,
        ..Policy::default()
    };
    let [few, many] = max_sessions;
    vec![
        Policy::default(),
        of(few, None, OnUserLimit::Reject, grace, OnReuse::Ignore),
        of(
            many,
            Some(3),
            OnUserLimit::EvictOldest,
            grace,
            OnReuse::Revoke,
        ),
        of(
            many,
            Some(2),
            OnUserLimit::Reject,
            Duration::ZERO,
            OnReuse::Revoke,
        ),
    ]
}
