//! The typed interface: login sessions in a Rust program, without JSON and without a process of their own.
//!
//! A [`SessionAuthority`] holds policy, store, clock, id generator and audit. [`Node`](crate::Node) asks an authority
//! on behalf of its peers; a Rust program asks one itself. The tasks of an async program share an authority through an
//! `AuthorityHandle` (feature `async`).

mod answer;
mod builder;
#[cfg(feature = "async")]
mod handle;
mod request;

use self::answer::{Answer, Answered};
use self::request::Request;
use crate::audit::{Audit, Origin};
use crate::clock::Clock;
use crate::id::{IdGenerator, SessionId};
use crate::session::{Policy, SessionKey, Timestamp};
use crate::store::{
    Batch, Changes, Conditions, CreateOptions, ListOptions, ListUsersOptions, Operation, Outcome,
    Outcomes, Store, UpdateConditions,
};

pub use answer::{
    Created, Error, ListedSession, ListedUser, SessionList, Stats, UserList, Validation,
};
pub use builder::{BuildError, Builder};
#[cfg(feature = "async")]
pub use handle::AuthorityHandle;

/// Creates, validates, regenerates and destroys sessions.
///
/// ```
/// use std::time::Duration;
/// use session_node::SessionAuthority;
///
/// let hour = Duration::from_secs(3600);
/// let mut sessions = SessionAuthority::builder().ttl(8 * hour).idle_timeout(hour).build()?;
/// let created = sessions.create("alice")?;
/// let id = created.id.expose(); // goes into a cookie, and nowhere else
/// assert_eq!(sessions.validate(id)?.user(), Some("alice"));
/// sessions.destroy(id)?;
/// assert_eq!(sessions.validate(id)?.user(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each call is one batch. With a store in a file, the change is on the disk when the call returns.
///
/// # Errors
///
/// Every method fails with [`Error::Invalid`] if an argument breaks a limit, and with [`Error::Store`] if the store
/// fails. Methods that create a session also fail with [`Error::Refused`] if a limit refuses the session.
pub struct SessionAuthority {
    store: Box<dyn Store>,
    clock: Box<dyn Clock>,
    policy: Policy,
    ids: IdGenerator,
    audit: Option<Audit>,
    outcomes: Outcomes,
    /// The counts of answers so far. [`Stats::with_counts`] adds the counts of the store.
    tally: Stats,
}

#[allow(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl SessionAuthority {
    /// Makes a builder. Unless told otherwise, it builds an authority with [`Policy::default`] and a store in memory.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The rules that apply to all sessions.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Creates a session of `user`, who has just authenticated.
    pub fn create(&mut self, user: &str) -> Result<Created, Error> {
        self.create_with(user, CreateOptions::default())
    }

    /// Creates a session of `user` as [`SessionAuthority::create`] does, with these options.
    pub fn create_with(
        &mut self,
        user: &str,
        options: CreateOptions<'_>,
    ) -> Result<Created, Error> {
        self.ask(request::create(user, options))
    }

    /// Finds the user of the live session with this id. Counts as a use of the session.
    pub fn validate(&mut self, id: &str) -> Result<Validation, Error> {
        self.validate_with(id, Conditions::default())
    }

    /// Finds the user of the live session with this id, if the session meets the conditions. Counts as a use if so.
    pub fn validate_with(&mut self, id: &str, conditions: Conditions) -> Result<Validation, Error> {
        self.ask(request::validate(id, conditions))
    }

    /// Gives a session a new id and retires the old id, as a program should after each change of privilege (OWASP
    /// Session Management Cheat Sheet). Returns `None` if no live session has the old id.
    pub fn regenerate(&mut self, old_id: &str) -> Result<Option<SessionId>, Error> {
        self.regenerate_with(old_id, Changes::default())
    }

    /// Gives a session a new id as [`SessionAuthority::regenerate`] does, and makes these changes in the same step.
    pub fn regenerate_with(
        &mut self,
        old_id: &str,
        changes: Changes<'_>,
    ) -> Result<Option<SessionId>, Error> {
        self.ask(request::regenerate(old_id, changes))
    }

    /// Replaces a session's data with `data`, a JSON object. Returns whether a live session has this id.
    pub fn update(&mut self, id: &str, data: &str) -> Result<bool, Error> {
        self.update_with(id, data, UpdateConditions::default())
    }

    /// Replaces a session's data if the session meets further conditions. Returns whether a live session has this id.
    /// Fails with [`Error::Conflict`] if the session has other data than the expected data.
    pub fn update_with(
        &mut self,
        id: &str,
        data: &str,
        conditions: UpdateConditions<'_>,
    ) -> Result<bool, Error> {
        self.ask(request::update(id, data, conditions))
    }

    /// Lists up to 100 live sessions of `user`, the oldest first. The list marks the session with the id `own_id` as
    /// the caller's own.
    pub fn list(&mut self, user: &str, own_id: Option<&str>) -> Result<SessionList, Error> {
        self.list_with(user, own_id, ListOptions::default())
    }

    /// Lists sessions of `user` as [`SessionAuthority::list`] does, with these options. Fails with [`Error::Invalid`]
    /// if the cursor is none of a list of sessions.
    ///
    /// ```
    /// use session_node::SessionAuthority;
    /// use session_node::store::{ListOptions, ListOrder};
    ///
    /// let mut sessions = SessionAuthority::builder().build()?;
    /// for _ in 0..7 {
    ///     sessions.create("alice")?;
    /// }
    /// let order = ListOrder::NewestFirst;
    /// let mut options = ListOptions { limit: 3, order, ..ListOptions::default() };
    /// let mut pages = Vec::new();
    /// loop {
    ///     let page = sessions.list_with("alice", None, options.clone())?;
    ///     pages.push(page.sessions.len());
    ///     options.after = page.next;
    ///     if options.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(pages, [3, 3, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list_with(
        &mut self,
        user: &str,
        own_id: Option<&str>,
        options: ListOptions,
    ) -> Result<SessionList, Error> {
        self.ask(request::list(user, own_id, options))
    }

    /// Lists users who have live sessions, for administrators. Fails with [`Error::Invalid`] if the cursor is none of a
    /// list of users of this store.
    pub fn list_users(&mut self, options: ListUsersOptions) -> Result<UserList, Error> {
        self.ask(request::list_users(options))
    }

    /// Ends the session with this id, for example at a logout. Returns whether a live session ended.
    pub fn destroy(&mut self, id: &str) -> Result<bool, Error> {
        self.ask(request::destroy(id))
    }

    /// Ends the session of `user` that a list shows with this handle. Returns whether a live session ended.
    pub fn destroy_by_handle(&mut self, user: &str, handle: &str) -> Result<bool, Error> {
        self.ask(request::destroy_by_handle(user, handle))
    }

    /// Ends all sessions of `user`, except the one with the id `except`. Returns how many live sessions ended, or
    /// `None` if `except` is not the id of a live session of this user; then nothing ends.
    pub fn destroy_user(&mut self, user: &str, except: Option<&str>) -> Result<Option<u64>, Error> {
        self.ask(request::destroy_user(user, except))
    }

    /// Ends all sessions of all users. Returns how many live sessions ended.
    pub fn destroy_all(&mut self) -> Result<u64, Error> {
        self.ask(Operation::DestroyAll)
    }

    /// Counts the live sessions, their users, and the answers so far.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.ask(Operation::Stats)
    }

    /// Creates a session of `user` with an id that the caller chooses. For tests and demonstrations only, because such
    /// an id may be no secret.
    pub fn preload(&mut self, id: &str, user: &str) -> Result<(), Error> {
        let request = request::create(user, CreateOptions::default());
        let request = request::check(request, &self.policy)?;
        let now = self.now();
        self.carry_out(now, &[request.with_key(|| SessionKey::of(id))], |_| None);
        Answer::read(self.answered(0, None))
    }

    fn ask<A: Answer>(&mut self, request: Request<'_>) -> Result<A, Error> {
        let request = request::check(request, &self.policy)?;
        self.ask_checked(request)
    }

    fn ask_checked<A: Answer>(&mut self, request: Request<'_>) -> Result<A, Error> {
        let (operation, new_id) = self.make_operation(request);
        let now = self.now();
        self.carry_out(now, &[operation], |_| None);
        self.count(0);
        A::read(self.answered(0, new_id))
    }
}

/// The steps of a batch, which the node and the handle take one by one.
impl SessionAuthority {
    /// The time for the next batch.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.clock.now()
    }

    /// Turns a checked request into an operation, and returns the id that it made if the request needs one.
    #[inline]
    pub(crate) fn make_operation<'a>(
        &mut self,
        request: Request<'a>,
    ) -> (Operation<'a>, Option<SessionId>) {
        let mut new_id = None;
        let ids = &mut self.ids;
        let operation = request.with_key(|| new_id.insert(ids.generate()).key());
        (operation, new_id)
    }

    /// Applies `operations` as one batch, and writes the audit before anybody sees an outcome. `origin` returns
    /// where the operation at a place comes from.
    pub(crate) fn carry_out<'a>(
        &mut self,
        now: Timestamp,
        operations: &[Operation<'_>],
        origin: impl FnMut(usize) -> Option<Origin<'a>>,
    ) {
        self.outcomes.clear();
        let batch = Batch {
            now,
            policy: &self.policy,
            operations,
        };
        self.store.apply(&batch, &mut self.outcomes);
        if let Some(audit) = &mut self.audit {
            audit.write(now, &self.outcomes, origin);
        }
    }

    /// The outcomes of the latest batch.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Counts the outcome of an operation of the latest batch as answered.
    #[inline]
    pub(crate) fn count(&mut self, operation: usize) {
        let tally = &mut self.tally;
        let counter = match &self.outcomes.all()[operation] {
            Ok(Outcome::Valid { .. }) => &mut tally.validated,
            Ok(Outcome::Created { .. }) => &mut tally.created,
            Ok(Outcome::Invalid) => &mut tally.invalid,
            Ok(Outcome::Regenerated) => &mut tally.regenerated,
            Ok(Outcome::Refused(_) | Outcome::Conflict(_)) | Err(_) => &mut tally.errors,
            Ok(_) => return,
        };
        *counter += 1;
    }

    /// Adds the counts of answers so far to the counts of the store in `outcome`.
    pub(crate) fn stats_of(&self, outcome: &Outcome) -> Stats {
        self.tally.with_counts(outcome)
    }

    fn answered(&self, operation: usize, new_id: Option<SessionId>) -> Answered<'_> {
        Answered {
            outcome: &self.outcomes.all()[operation],
            outcomes: &self.outcomes,
            new_id,
            tally: &self.tally,
            detail: self.outcomes.detail(operation),
        }
    }
}
