//! Holds a store under test and its time, with shorthand for operations and outcomes.

use std::thread;
use std::time::Duration;

use crate::session::{Binding, Handle, Lifetime, SessionKey, Timestamp};
use crate::store::{
    Batch, Changes, Conditions, Conflict, CreateOptions, Cursor, Detail, EventKind, ListOptions,
    ListUsersOptions, ListedUser, Operation, Outcome, Outcomes, Policy, Record, Refusal, Store,
    Text, UpdateConditions,
};

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3600);

/// An outcome with its texts, and without its times, because no test can predict the times of a store with its own
/// clock.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Created,
    Valid(String, Option<String>),
    ReauthenticationRequired(String),
    Invalid,
    Regenerated,
    Updated,
    Sessions {
        shown: Vec<Shown>,
        more: bool,
    },
    Users {
        users: Vec<(String, u64)>,
        more: bool,
    },
    UnknownCursor,
    Destroyed,
    DestroyedMany(u64),
    Full,
    UserLimit,
    Conflict(Conflict),
    Stats(Stats),
}

/// A session in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub handle: Handle,
    pub data: Option<String>,
    pub is_current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub sessions: Option<u64>,
    pub users: Option<u64>,
    pub destroyed: u64,
    pub expired: u64,
}

/// An event with its texts: the operation's place in its batch, the kind, the user's name and the session's handle.
pub type SeenEvent = (usize, EventKind, Option<String>, Option<Handle>);

pub fn valid(user: &str) -> Seen {
    Seen::Valid(user.to_owned(), None)
}

pub fn valid_with(user: &str, data: &str) -> Seen {
    Seen::Valid(user.to_owned(), Some(data.to_owned()))
}

/// A store under test, its policy and the time.
pub struct Bench<S> {
    pub store: S,
    pub policy: Policy,
    pub now: Timestamp,
    /// Whether the store decides by its own clock, which no test can move.
    has_own_clock: bool,
}

impl<S: Store> Bench<S> {
    pub fn new(store: S, policy: Policy) -> Self {
        Self {
            store,
            policy,
            now: START,
            has_own_clock: false,
        }
    }

    /// Makes a bench for a store that decides by its own clock.
    pub fn with_own_clock(store: S, policy: Policy) -> Self {
        Self {
            has_own_clock: true,
            ..Self::new(store, policy)
        }
    }

    /// Lets time pass. Nothing else in the suite does.
    pub fn advance(&mut self, millis: u64) {
        if self.has_own_clock {
            thread::sleep(Duration::from_millis(millis));
        }
        self.now = self.now + Duration::from_millis(millis);
    }

    pub fn apply(&mut self, batch: &[Operation<'_>]) -> Vec<Seen> {
        self.apply_recording(Record::Nothing, batch).0
    }

    pub fn apply_recording(
        &mut self,
        record: Record,
        batch: &[Operation<'_>],
    ) -> (Vec<Seen>, Vec<SeenEvent>) {
        let outcomes = self.outcomes(record, batch);
        let list = outcomes.all().iter();
        let seen = list.map(|outcome| {
            let outcome = outcome.as_ref().expect("the store works");
            see(outcome, &outcomes)
        });
        let events = outcomes.events().iter().map(|event| {
            let user = event.user.as_ref().map(|user| outcomes.text(user));
            let user = user.map(str::to_owned);
            (event.operation, event.kind, user, event.handle)
        });
        (seen.collect(), events.collect())
    }

    pub fn one(&mut self, operation: Operation<'_>) -> Seen {
        let mut seen = self.apply(&[operation]);
        assert_eq!(seen.len(), 1, "one outcome for one operation");
        seen.remove(0)
    }

    pub fn stats(&mut self) -> Stats {
        match self.one(Operation::Stats) {
            Seen::Stats(stats) => stats,
            other => panic!("expected counts, not {other:?}"),
        }
    }

    /// Checks the numbers of sessions and users, if the store can tell.
    pub fn assert_live(&mut self, sessions: u64, users: u64) {
        let stats = self.stats();
        assert_eq!(stats.sessions.unwrap_or(sessions), sessions, "sessions");
        assert_eq!(stats.users.unwrap_or(users), users, "users");
    }

    /// Lists a user's sessions. Also returns whether the user has more than `limit`.
    pub fn list(&mut self, user: &str, caller: Option<&str>, limit: usize) -> (Vec<Shown>, bool) {
        match self.one(list(user, caller, limit)) {
            Seen::Sessions { shown, more } => (shown, more),
            other => panic!("expected a list, not {other:?}"),
        }
    }

    /// Lists one page of a user's sessions, and returns the cursor that continues the list.
    pub fn page(&mut self, user: &str, options: ListOptions) -> (Vec<Handle>, Option<Cursor>) {
        let outcomes = self.outcomes(Record::Nothing, &[list_page(user, options)]);
        let [Ok(Outcome::Sessions { listed, next })] = outcomes.all() else {
            panic!("expected a list");
        };
        let handles = outcomes.listed(listed).iter().map(|listed| listed.handle);
        (
            handles.collect(),
            next.as_ref().map(|next| cursor(&outcomes, next)),
        )
    }

    /// Lists all users, in pages of `limit`.
    pub fn users(&mut self, limit: usize) -> Vec<(String, u64)> {
        let (mut users, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.user_page(limit, after);
            users.extend(page);
            after = next;
            if after.is_none() {
                return users;
            }
        }
    }

    /// Lists one page of users, and returns the cursor that continues the list.
    pub fn user_page(
        &mut self,
        limit: usize,
        after: Option<Cursor>,
    ) -> (Vec<(String, u64)>, Option<Cursor>) {
        let outcomes = self.outcomes(Record::Nothing, &[list_users(limit, after)]);
        let [Ok(Outcome::Users { listed, next })] = outcomes.all() else {
            panic!("expected a list of users");
        };
        let page = outcomes.users(listed);
        assert!(page.len() <= limit, "{} of {limit}", page.len());
        let shown = |user: &ListedUser| (outcomes.text(&user.user).to_owned(), user.sessions);
        let next = next.as_ref().map(|next| cursor(&outcomes, next));
        (page.iter().map(shown).collect(), next)
    }

    /// Returns the handles of a user's sessions.
    pub fn handles(&mut self, user: &str) -> Vec<Handle> {
        let (shown, _) = self.list(user, None, 1000);
        shown.iter().map(|shown| shown.handle).collect()
    }

    /// Returns the end of a session that the operation creates or finds valid; `None` for any other outcome.
    pub fn end(&mut self, operation: Operation<'_>) -> Option<Timestamp> {
        match self.outcomes(Record::Nothing, &[operation]).all() {
            [Ok(Outcome::Created { expires_at } | Outcome::Valid { expires_at, .. })] => {
                Some(*expires_at)
            }
            _ => None,
        }
    }

    /// Returns the detail that the store tells of each operation.
    pub fn details(&mut self, operations: &[Operation<'_>]) -> Vec<Option<Detail>> {
        let outcomes = self.outcomes(Record::Nothing, operations);
        let details = (0..operations.len()).map(|at| outcomes.detail(at).copied());
        details.collect()
    }

    /// Returns whether each operation ended a live session.
    pub fn ended(&mut self, operations: &[Operation<'_>]) -> Vec<bool> {
        let outcomes = self.outcomes(Record::Nothing, operations);
        let ended = |outcome: &_| matches!(outcome, Ok(Outcome::Destroyed { ended: true }));
        outcomes.all().iter().map(ended).collect()
    }

    /// Returns how many seconds ago the session's user authenticated, if the operation finds that too long ago.
    pub fn auth_age(&mut self, operation: Operation<'_>) -> Option<u64> {
        match self.outcomes(Record::Nothing, &[operation]).all() {
            [Ok(Outcome::ReauthenticationRequired { auth_age, .. })] => Some(*auth_age),
            _ => None,
        }
    }

    /// Returns the times of a user's sessions.
    pub fn lifetimes(&mut self, user: &str) -> Vec<Lifetime> {
        let outcomes = self.outcomes(Record::Nothing, &[list(user, None, 1000)]);
        let [Ok(Outcome::Sessions { listed, .. })] = outcomes.all() else {
            panic!("expected a list");
        };
        let listed = outcomes.listed(listed).iter();
        listed.map(|listed| listed.lifetime).collect()
    }

    fn outcomes(&mut self, record: Record, operations: &[Operation<'_>]) -> Outcomes {
        let mut outcomes = Outcomes::recording(record);
        let batch = Batch {
            now: self.now,
            policy: &self.policy,
            operations,
        };
        self.store.apply(&batch, &mut outcomes);
        outcomes
    }
}

fn cursor(outcomes: &Outcomes, text: &Text) -> Cursor {
    Cursor::parse(outcomes.text(text)).expect("a store gives cursors")
}

fn see(outcome: &Outcome, outcomes: &Outcomes) -> Seen {
    let text = |text| outcomes.text(text).to_owned();
    match outcome {
        Outcome::Created { .. } => Seen::Created,
        Outcome::Valid { user, data, .. } => Seen::Valid(text(user), data.as_ref().map(text)),
        Outcome::ReauthenticationRequired { user, .. } => {
            Seen::ReauthenticationRequired(text(user))
        }
        Outcome::Invalid => Seen::Invalid,
        Outcome::Regenerated => Seen::Regenerated,
        Outcome::Updated => Seen::Updated,
        Outcome::Sessions { listed, next } => {
            let listed = outcomes.listed(listed).iter();
            let shown = listed.map(|listed| Shown {
                handle: listed.handle,
                data: listed.data.as_ref().map(text),
                is_current: listed.is_current,
            });
            Seen::Sessions {
                shown: shown.collect(),
                more: next.is_some(),
            }
        }
        Outcome::Users { listed, next } => {
            let listed = outcomes.users(listed).iter();
            let users = listed.map(|listed| (text(&listed.user), listed.sessions));
            Seen::Users {
                users: users.collect(),
                more: next.is_some(),
            }
        }
        Outcome::UnknownCursor => Seen::UnknownCursor,
        Outcome::Destroyed { .. } => Seen::Destroyed,
        Outcome::DestroyedMany { count } => Seen::DestroyedMany(*count),
        Outcome::Conflict(conflict) => Seen::Conflict(*conflict),
        Outcome::Refused(Refusal::Full { .. }) => Seen::Full,
        Outcome::Refused(Refusal::UserLimit { .. }) => Seen::UserLimit,
        &Outcome::Stats {
            sessions,
            users,
            destroyed,
            expired,
        } => Seen::Stats(Stats {
            sessions,
            users,
            destroyed,
            expired,
        }),
    }
}

fn key(id: &str) -> SessionKey {
    SessionKey::of(id)
}

pub fn create<'a>(id: &str, user: &'a str, ttl: Duration) -> Operation<'a> {
    create_as(
        id,
        user,
        CreateOptions {
            ttl: Some(ttl),
            ..CreateOptions::default()
        },
    )
}

pub fn create_idle<'a>(id: &str, user: &'a str, idle_timeout: Duration) -> Operation<'a> {
    create_as(
        id,
        user,
        CreateOptions {
            idle_timeout: Some(idle_timeout),
            ..CreateOptions::default()
        },
    )
}

pub fn create_with<'a>(
    id: &str,
    user: &'a str,
    data: Option<&'a str>,
    binding: Option<&str>,
) -> Operation<'a> {
    create_as(
        id,
        user,
        CreateOptions {
            data: data.map(Into::into),
            binding: binding.map(Binding::to),
            ..CreateOptions::default()
        },
    )
}

pub fn create_as<'a>(id: &str, user: &'a str, options: CreateOptions<'a>) -> Operation<'a> {
    Operation::Create {
        key: key(id),
        user: user.into(),
        options: Some(Box::new(options)),
    }
}

pub fn validate(id: &str) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: None,
    }
}

pub fn validate_bound(id: &str, binding: &str) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: Some(Box::new(Conditions {
            binding: Some(Binding::to(binding)),
            ..Conditions::default()
        })),
    }
}

pub fn validate_within(id: &str, max_age: u64) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: Some(Box::new(Conditions {
            max_age: Some(max_age),
            ..Conditions::default()
        })),
    }
}

pub fn regenerate(old: &str, new: &str) -> Operation<'static> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: None,
    }
}

pub fn reauthenticate(old: &str, new: &str) -> Operation<'static> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: Some(Box::new(Changes {
            reauthenticated: true,
            ..Changes::default()
        })),
    }
}

pub fn regenerate_with<'a>(old: &str, new: &str, data: &'a str) -> Operation<'a> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: Some(Box::new(Changes {
            data: Some(data.into()),
            ..Changes::default()
        })),
    }
}

pub fn update<'a>(id: &str, data: &'a str) -> Operation<'a> {
    Operation::Update {
        key: key(id),
        data: data.into(),
        conditions: None,
    }
}

pub fn update_if<'a>(id: &str, data: &'a str, conditions: UpdateConditions<'a>) -> Operation<'a> {
    Operation::Update {
        key: key(id),
        data: data.into(),
        conditions: Some(Box::new(conditions)),
    }
}

pub fn regenerate_as<'a>(old: &str, new: &str, changes: Changes<'a>) -> Operation<'a> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: Some(Box::new(changes)),
    }
}

pub fn look_at(id: &str) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: Some(Box::new(Conditions {
            untouched: true,
            ..Conditions::default()
        })),
    }
}

pub fn list<'a>(user: &'a str, caller: Option<&str>, limit: usize) -> Operation<'a> {
    Operation::List {
        user: user.into(),
        caller: caller.map(key),
        options: Box::new(ListOptions {
            limit,
            ..ListOptions::default()
        }),
    }
}

pub fn list_page(user: &str, options: ListOptions) -> Operation<'_> {
    Operation::List {
        user: user.into(),
        caller: None,
        options: Box::new(options),
    }
}

pub fn list_users(limit: usize, after: Option<Cursor>) -> Operation<'static> {
    Operation::ListUsers {
        options: Box::new(ListUsersOptions { limit, after }),
    }
}

/// The log-in of a visitor.
pub fn log_in<'a>(old: &str, new: &str, user: &'a str) -> Operation<'a> {
    let changes = Changes {
        user: Some(user.into()),
        ..Changes::default()
    };
    regenerate_as(old, new, changes)
}

pub fn destroy(id: &str) -> Operation<'static> {
    Operation::Destroy {
        key: key(id),
        detail: false,
    }
}

pub fn destroy_by_handle(user: &str, handle: Option<Handle>) -> Operation<'_> {
    Operation::DestroyByHandle {
        user: user.into(),
        handle,
        detail: false,
    }
}

pub fn destroy_user<'a>(user: &'a str, except: Option<&str>) -> Operation<'a> {
    Operation::DestroyUser {
        user: user.into(),
        except: except.map(key),
    }
}
