//! The typed door: sessions for a Rust program, without JSON and without a process of their own.
//!
//! Configuration, clock, ids, store and audit come together in a [`SessionAuthority`]. [`Node`](crate::Node) asks one
//! on behalf of its peers, and any program may ask one itself. The tasks of an async program share one through an
//! `AuthorityHandle` (feature `async`).

mod answer;
mod builder;
#[cfg(feature = "async")]
mod handle;
mod request;

use self::answer::{Answer, Answered};
use self::request::Request;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::id::{IdGenerator, SessionId};
use crate::session::{Policy, SessionKey, Timestamp};
use crate::store::{
    Batch, Changes, Conditions, CreateOptions, Operation, Outcome, Outcomes, Store,
};

pub use answer::{Created, Error, ListedSession, SessionList, Stats, Validation};
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
/// Each call is one batch: on a file, it is on the disk when it returns.
///
/// # Errors
///
/// Every method fails with [`Error::Invalid`] when an argument breaks a limit, and with [`Error::Store`] when the store
/// does.
pub struct SessionAuthority {
    store: Box<dyn Store>,
    clock: Box<dyn Clock>,
    policy: Policy,
    ids: IdGenerator,
    audit: Option<Audit>,
    outcomes: Outcomes,
    /// What was answered so far. What the store counts is filled in when somebody asks.
    tally: Stats,
}

#[allow(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl SessionAuthority {
    /// An authority with the defaults of [`Policy`], and sessions in memory, until the builder is told otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The rules for all sessions.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins a session of `user`, who has just authenticated.
    pub fn create(&mut self, user: &str) -> Result<Created, Error> {
        self.create_with(user, CreateOptions::default())
    }

    /// Begins a session of `user` with a lifetime, data or a binding of its own.
    pub fn create_with(
        &mut self,
        user: &str,
        options: CreateOptions<'_>,
    ) -> Result<Created, Error> {
        self.ask(request::create(user, options))
    }

    /// Whose session has this id, which is a use of the session.
    pub fn validate(&mut self, id: &str) -> Result<Validation, Error> {
        self.validate_with(id, Conditions::default())
    }

    /// Whose session has this id, if it meets the conditions.
    pub fn validate_with(&mut self, id: &str, conditions: Conditions) -> Result<Validation, Error> {
        self.ask(request::validate(id, conditions))
    }

    /// Gives a session a new id and retires the old one, as after each change of privilege (OWASP Session Management
    /// Cheat Sheet). None when no live session has the old id.
    pub fn regenerate(&mut self, old_id: &str) -> Result<Option<SessionId>, Error> {
        self.regenerate_with(old_id, Changes::default())
    }

    /// Gives a session a new id, and changes what `changes` say in the same step.
    pub fn regenerate_with(
        &mut self,
        old_id: &str,
        changes: Changes<'_>,
    ) -> Result<Option<SessionId>, Error> {
        self.ask(request::regenerate(old_id, changes))
    }

    /// Replaces the data of a session, a JSON object. Whether a live session has this id.
    pub fn update(&mut self, id: &str, data: &str) -> Result<bool, Error> {
        self.ask(request::update(id, data))
    }

    /// The live sessions of `user`, the oldest first, at most `limit` of them (1 to 1000). `own_id` marks the caller's
    /// own.
    pub fn list(
        &mut self,
        user: &str,
        own_id: Option<&str>,
        limit: usize,
    ) -> Result<SessionList, Error> {
        self.ask(request::list(user, own_id, limit))
    }

    /// Ends the session with this id, as when its user logs out. Succeeds also when there is none.
    pub fn destroy(&mut self, id: &str) -> Result<(), Error> {
        self.ask(request::destroy(id))
    }

    /// Ends the session of `user` that a list has shown under this handle. Succeeds also when there is none.
    pub fn destroy_by_handle(&mut self, user: &str, handle: &str) -> Result<(), Error> {
        self.ask(request::destroy_by_handle(user, handle))
    }

    /// Ends all sessions of `user`, or all but the one with the id `except`. How many were live.
    pub fn destroy_user(&mut self, user: &str, except: Option<&str>) -> Result<u64, Error> {
        self.ask(request::destroy_user(user, except))
    }

    /// Ends everybody's sessions. How many were live.
    pub fn destroy_all(&mut self) -> Result<u64, Error> {
        self.ask(Operation::DestroyAll)
    }

    /// What there is, and what was answered so far.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.ask(Operation::Stats)
    }

    /// Begins a session of `user` under an id that was chosen beforehand: for tests and demonstrations, since such an
    /// id is no secret.
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

/// A batch, step by step.
impl SessionAuthority {
    /// The moment at which a batch happens.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.clock.now()
    }

    /// What a checked request asks of the store, with an id that was made for it if it needs one.
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

    /// Applies `operations` as one batch, and tells the audit, before anybody sees an outcome. `source` gives the JSON
    /// text of the name of who asked for an operation.
    pub(crate) fn carry_out<'a>(
        &mut self,
        now: Timestamp,
        operations: &[Operation<'_>],
        source: impl FnMut(usize) -> Option<&'a str>,
    ) {
        self.outcomes.clear();
        let batch = Batch {
            now,
            policy: &self.policy,
            operations,
        };
        self.store.apply(&batch, &mut self.outcomes);
        if let Some(audit) = &mut self.audit {
            audit.write(now, &self.outcomes, source);
        }
    }

    /// The outcomes of the latest batch.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Counts an outcome of the latest batch as answered.
    #[inline]
    pub(crate) fn count(&mut self, operation: usize) {
        let tally = &mut self.tally;
        let counter = match &self.outcomes.all()[operation] {
            Ok(Outcome::Valid { .. }) => &mut tally.validated,
            Ok(Outcome::Created { .. }) => &mut tally.created,
            Ok(Outcome::Invalid) => &mut tally.invalid,
            Ok(Outcome::Regenerated) => &mut tally.regenerated,
            Ok(Outcome::Refused(_)) | Err(_) => &mut tally.errors,
            Ok(_) => return,
        };
        *counter += 1;
    }

    /// The counts of a store, beside what was answered so far.
    pub(crate) fn stats_of(&self, outcome: &Outcome) -> Stats {
        self.tally.with(outcome)
    }

    fn answered(&self, operation: usize, new_id: Option<SessionId>) -> Answered<'_> {
        Answered {
            outcome: &self.outcomes.all()[operation],
            outcomes: &self.outcomes,
            new_id,
            tally: &self.tally,
        }
    }
}
