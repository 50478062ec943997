//! Connects the wire and the authority. The handler turns a request into an operation and a pending reply, and later
//! settles the reply with the operation's outcome.

use std::borrow::Cow;

use crate::authority::{SessionAuthority, Stats};
use crate::id::SessionId;
use crate::limits::CURSOR_MUST_BE;
use crate::protocol::{self, Error, ErrorCode, ListedSession, Reply, Request};
use crate::store::{
    Conflict, Detail, Listed, ListedUser, Operation, Outcome, Outcomes, Refusal, StoreError,
};

/// Turns requests into operations, and outcomes into replies.
pub struct Handler {
    /// Carries out the operations.
    pub authority: SessionAuthority,
    /// How many requests the handler refused because they were malformed or of an unknown type.
    refused: u64,
}

/// A reply that may still need the outcome of an operation.
pub enum PendingReply<'a> {
    /// The reply to `init`.
    InitOk,
    /// The reply to `echo`, with its JSON.
    EchoOk(Cow<'a, str>),
    /// The reply to a malformed request, or to one of an unknown type.
    Refused(Error),
    /// A reply that the outcome of an operation settles.
    Outcome {
        /// The operation's place in its batch.
        operation: usize,
        /// The id that the authority made for the operation. The reply hands it out if the operation succeeds.
        new_id: Option<SessionId>,
    },
}

impl PendingReply<'_> {
    /// The place of the operation that settles the reply, if it needs one.
    pub fn operation(&self) -> Option<usize> {
        match self {
            Self::Outcome { operation, .. } => Some(*operation),
            Self::InitOk | Self::EchoOk(_) | Self::Refused(_) => None,
        }
    }
}

impl Handler {
    /// Makes a handler that asks `authority`.
    pub fn new(authority: SessionAuthority) -> Self {
        Self {
            authority,
            refused: 0,
        }
    }

    /// Adds the operation of a request, if it needs one, to `operations`.
    pub fn begin<'a>(
        &mut self,
        request: Result<Request<'a>, Error>,
        operations: &mut Vec<Operation<'a>>,
    ) -> PendingReply<'a> {
        match request {
            Ok(Request::Sessions(request)) => {
                let (operation, new_id) = self.authority.make_operation(request);
                operations.push(operation);
                PendingReply::Outcome {
                    operation: operations.len() - 1,
                    new_id,
                }
            }
            Ok(Request::Init) => PendingReply::InitOk,
            Ok(Request::Echo { json }) => PendingReply::EchoOk(json),
            Err(error) => PendingReply::Refused(error),
        }
    }

    /// Counts a reply as sent. The node counts replies in the order of their requests, because `stats` tells how many
    /// came before it.
    #[inline]
    pub fn count(&mut self, pending: &PendingReply<'_>) {
        match pending {
            PendingReply::InitOk | PendingReply::EchoOk(_) => {}
            PendingReply::Refused(_) => self.refused += 1,
            PendingReply::Outcome { operation, .. } => self.authority.count(*operation),
        }
    }

    /// Makes the reply.
    #[inline]
    pub fn reply<'r>(
        &'r self,
        pending: &'r PendingReply<'_>,
        operations: &[Operation<'_>],
    ) -> Reply<'r> {
        match pending {
            PendingReply::InitOk => Reply::InitOk,
            PendingReply::EchoOk(json) => Reply::EchoOk { json },
            PendingReply::Refused(error) => Reply::Error(Cow::Borrowed(error)),
            PendingReply::Outcome { operation, new_id } => {
                self.settle(*operation, new_id.as_ref(), operations)
            }
        }
    }

    /// The detail that the request asked for.
    #[inline]
    pub fn detail(&self, pending: &PendingReply<'_>) -> Option<&Detail> {
        self.authority.outcomes().detail(pending.operation()?)
    }

    fn settle<'r>(
        &'r self,
        operation: usize,
        new_id: Option<&'r SessionId>,
        operations: &[Operation<'_>],
    ) -> Reply<'r> {
        let outcomes = self.authority.outcomes();
        let outcome = match &outcomes.all()[operation] {
            Ok(outcome) => outcome,
            Err(error) => return Reply::Error(Cow::Owned(explain(error))),
        };
        let new_id = || new_id.expect("an id was made for every operation that needs one");
        match outcome {
            Outcome::Valid {
                user,
                data,
                expires_at,
            } => Reply::SessionValid {
                user_id: outcomes.text(user),
                expires_at: *expires_at,
                data: data.as_ref().map(|data| outcomes.text(data)),
            },
            Outcome::Created { expires_at } => Reply::SessionCreated {
                session_id: new_id(),
                expires_at: *expires_at,
            },
            Outcome::Invalid => Reply::SessionInvalid,
            Outcome::Regenerated => Reply::SessionRegenerated {
                new_session_id: new_id(),
            },
            Outcome::Destroyed { ended } => {
                let wants_detail = operations[operation].wants_detail();
                let ended = wants_detail.then_some(*ended);
                Reply::SessionDestroyed { ended }
            }
            Outcome::ReauthenticationRequired { user, auth_age } => {
                Reply::ReauthenticationRequired {
                    user_id: outcomes.text(user),
                    auth_age: *auth_age,
                }
            }
            Outcome::Updated => Reply::SessionUpdated,
            Outcome::Sessions { listed, next } => Reply::SessionList {
                sessions: list(outcomes.listed(listed), outcomes),
                next: next.as_ref().map(|next| outcomes.text(next)),
            },
            Outcome::Users { listed, next } => Reply::UserList {
                users: list_users(outcomes.users(listed), outcomes),
                next: next.as_ref().map(|next| outcomes.text(next)),
            },
            Outcome::UnknownCursor => unknown_cursor(&operations[operation]),
            Outcome::DestroyedMany { count } => match operations[operation] {
                Operation::DestroyUser { .. } => Reply::UserSessionsDestroyed { count: *count },
                _ => Reply::AllSessionsDestroyed { count: *count },
            },
            Outcome::Conflict(conflict) => conflict_of(*conflict),
            Outcome::Refused(refusal) => refuse(refusal, &operations[operation]),
            outcome @ Outcome::Stats { .. } => Reply::Stats(self.stats(outcome)),
        }
    }

    #[cold]
    fn stats(&self, outcome: &Outcome) -> Stats {
        let mut stats = self.authority.stats_of(outcome);
        stats.errors += self.refused;
        stats
    }
}

#[cold]
fn list<'r>(listed: &'r [Listed], outcomes: &'r Outcomes) -> Vec<ListedSession<'r>> {
    let show = |listed: &'r Listed| ListedSession {
        handle: listed.handle,
        lifetime: listed.lifetime,
        data: listed.data.as_ref().map(|data| outcomes.text(data)),
        is_current: listed.is_current,
    };
    listed.iter().map(show).collect()
}

#[cold]
fn list_users<'r>(
    listed: &'r [ListedUser],
    outcomes: &'r Outcomes,
) -> Vec<protocol::ListedUser<'r>> {
    let show = |listed: &'r ListedUser| protocol::ListedUser {
        user_id: outcomes.text(&listed.user),
        sessions: listed.sessions,
    };
    listed.iter().map(show).collect()
}

#[cold]
fn unknown_cursor(operation: &Operation<'_>) -> Reply<'static> {
    let request = match operation {
        Operation::ListUsers { .. } => "list_users",
        _ => "list_sessions",
    };
    let text = format!("{request}: cursor must be {CURSOR_MUST_BE}");
    Reply::Error(Cow::Owned(Error::malformed(text)))
}

#[cold]
fn conflict_of(conflict: Conflict) -> Reply<'static> {
    let request = match conflict {
        Conflict::Regenerated => "regenerate_session",
        Conflict::Data => "update_session",
    };
    Reply::Error(Cow::Owned(Error::new(
        ErrorCode::PreconditionFailed,
        format!("{request}: {conflict}"),
    )))
}

#[cold]
fn refuse(refusal: &Refusal, operation: &Operation<'_>) -> Reply<'static> {
    let request = match operation {
        Operation::Regenerate { .. } => "regenerate_session",
        _ => "create_session",
    };
    Reply::Error(Cow::Owned(Error::new(
        ErrorCode::TemporarilyUnavailable,
        format!("{request}: {refusal}"),
    )))
}

#[cold]
fn explain(error: &StoreError) -> Error {
    let code = match error {
        StoreError::NoEffect(_) | StoreError::OutOfMemory => ErrorCode::TemporarilyUnavailable,
        StoreError::MayHaveTakenEffect(_) => ErrorCode::Crash,
    };
    Error::new(code, error.to_string())
}
