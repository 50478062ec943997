//! The session handler, between the wire and the store: what a request asks of the store, and what the
//! store's outcome says to the one who asked. Here ids are made, and here they turn into keys.

use std::borrow::Cow;
use std::time::Duration;

use crate::id::{IdGenerator, SessionId};
use crate::protocol::{Error, ErrorCode, Reply, Request};
use crate::session::{SessionKey, Timestamp};
use crate::store::{Operation, Outcome, Outcomes, StoreError};

/// Takes up requests.
pub struct Handler {
    ids: IdGenerator,
    ttl: Duration,
}

/// A request that was taken up: all that its reply needs beside the store's outcome.
pub enum Taken<'a> {
    /// The store is not asked, and the reply is known.
    Init,
    /// The same, for `echo`.
    Echo(Cow<'a, str>),
    /// The same, for what is not a request.
    Refused(Error),
    /// The store is asked, and no id was made.
    Asked,
    /// The store is asked, and this id was made: handed out if the store agrees, forgotten if not.
    AskedWith(SessionId),
}

impl Handler {
    /// A handler whose sessions have ids from `ids` and live for `ttl`.
    pub fn new(ids: IdGenerator, ttl: Duration) -> Self {
        Self { ids, ttl }
    }

    /// Asks for a session of `user` under an id that was chosen beforehand: for tests and demonstrations only.
    pub fn preload(&self, id: &str, user: &str) -> Operation<'static> {
        Operation::Create {
            key: SessionKey::of(id),
            user: Cow::Owned(user.to_owned()),
            ttl: self.ttl,
        }
    }

    /// What the store is to be asked, if anything, and what the reply will need.
    pub fn take_up<'a>(
        &mut self,
        request: Result<Request<'a>, Error>,
    ) -> (Taken<'a>, Option<Operation<'a>>) {
        let request = match request {
            Ok(request) => request,
            Err(error) => return (Taken::Refused(error), None),
        };
        match request {
            Request::Init => (Taken::Init, None),
            Request::Echo { json } => (Taken::Echo(json), None),
            Request::CreateSession { user_id } => {
                let id = self.ids.generate();
                let operation = Operation::Create {
                    key: id.key(),
                    user: user_id,
                    ttl: self.ttl,
                };
                (Taken::AskedWith(id), Some(operation))
            }
            Request::ValidateSession { session_id } => {
                let key = SessionKey::of(&session_id);
                (Taken::Asked, Some(Operation::Validate { key }))
            }
            Request::RegenerateSession { old_session_id } => {
                let id = self.ids.generate();
                let operation = Operation::Regenerate {
                    old: SessionKey::of(&old_session_id),
                    new: id.key(),
                };
                (Taken::AskedWith(id), Some(operation))
            }
            Request::DestroySession { session_id } => {
                let key = SessionKey::of(&session_id);
                (Taken::Asked, Some(Operation::Destroy { key }))
            }
        }
    }
}

impl Taken<'_> {
    /// The reply. Takes the outcome that belongs to this request from `outcomes_left`, if the store was asked;
    /// so the replies have to be asked for in the order of the requests.
    pub fn reply<'r>(
        &'r self,
        outcomes_left: &mut impl Iterator<Item = &'r Result<Outcome, StoreError>>,
        outcomes: &'r Outcomes,
        now: Timestamp,
    ) -> Reply<'r> {
        let new_id = match self {
            Self::Init => return Reply::InitOk,
            Self::Echo(json) => return Reply::EchoOk { json },
            Self::Refused(error) => return Reply::Error(Cow::Borrowed(error)),
            Self::Asked => None,
            Self::AskedWith(id) => Some(id),
        };
        let outcome = outcomes_left
            .next()
            .expect("a store gives one outcome for each operation");
        match (outcome, new_id) {
            (Ok(Outcome::Created { ends_at }), Some(session_id)) => Reply::SessionCreated {
                session_id,
                expires_at: ends_at.unix_seconds(),
            },
            (Ok(Outcome::Valid { user, ends_at }), _) => Reply::SessionValid {
                user_id: outcomes.text(user),
                expires_in: ends_at.seconds_from(now),
            },
            (Ok(Outcome::Regenerated), Some(new_session_id)) => {
                Reply::SessionRegenerated { new_session_id }
            }
            (Ok(Outcome::Invalid), _) => Reply::SessionInvalid,
            (Ok(Outcome::Destroyed), _) => Reply::SessionDestroyed,
            (Ok(Outcome::Full { max_sessions }), _) => Reply::Error(Cow::Owned(Error::new(
                ErrorCode::TemporarilyUnavailable,
                format!(
                    "create_session: the node already holds its limit of {max_sessions} live sessions \
                     (--max-sessions)"
                ),
            ))),
            (Ok(Outcome::Created { .. } | Outcome::Regenerated), None) => {
                unreachable!("an id was made for every operation that needs one")
            }
            (Err(error), _) => Reply::Error(Cow::Owned(explain(error))),
        }
    }
}

fn explain(error: &StoreError) -> Error {
    let code = match error {
        StoreError::NoEffect(_) => ErrorCode::TemporarilyUnavailable,
        StoreError::MayHaveTakenEffect(_) => ErrorCode::Crash,
    };
    Error::new(code, error.to_string())
}
