//! The session handler, between the wire and the store: what a request asks of the store, and what the
//! store's outcome says to the one who asked. Here ids are made, and here they turn into keys.

use std::borrow::Cow;
use std::time::Duration;

use crate::id::{IdGenerator, SessionId};
use crate::protocol::{
    CreateOptions, Error, ErrorCode, ListedSession, Reply, Request, Stats, ValidateOptions,
};
use crate::session::{Binding, Handle, SessionKey, Timestamp};
use crate::store::{Changes, Conditions, Extras, Listed, Operation, Outcome, Outcomes, StoreError};

/// Defaults for sessions whose request sets no lifetime.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// For how long it may live.
    pub ttl: Duration,
    /// For how long it may go unused.
    pub idle_timeout: Option<Duration>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            idle_timeout: None,
        }
    }
}

/// Takes up requests.
pub struct Handler {
    ids: IdGenerator,
    terms: Terms,
    /// What has been replied so far. What the store counts is filled in when it is asked.
    stats: Stats,
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
    /// The store is asked to end sessions of one user, rather than everybody's.
    AskedOfUser,
}

impl Taken<'_> {
    /// Whether the store was asked.
    pub fn asks(&self) -> bool {
        match self {
            Self::Init | Self::Echo(_) | Self::Refused(_) => false,
            Self::Asked | Self::AskedWith(_) | Self::AskedOfUser => true,
        }
    }
}

impl Handler {
    /// A handler whose sessions have ids from `ids` and, unless they ask for others, these terms.
    pub fn new(ids: IdGenerator, terms: Terms) -> Self {
        Self {
            ids,
            terms,
            stats: Stats::default(),
        }
    }

    /// Asks for a session of `user` under an id that was chosen beforehand: for tests and demonstrations only.
    pub fn preload(&self, id: &str, user: &str) -> Operation<'static> {
        Operation::Create {
            key: SessionKey::of(id),
            user: Cow::Owned(user.to_owned()),
            ttl: self.terms.ttl,
            idle_timeout: self.terms.idle_timeout,
            extras: None,
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
        let key = |id: &Cow<'_, str>| SessionKey::of(id);
        let operation = match request {
            Request::Init => return (Taken::Init, None),
            Request::Echo { json } => return (Taken::Echo(json), None),
            Request::ValidateSession {
                session_id,
                options,
            } => Operation::Validate {
                key: key(&session_id),
                conditions: options.map(|options| Box::new(conditions(&options))),
            },
            Request::CreateSession { user_id, options } => {
                let id = self.ids.generate();
                let key = id.key();
                let operation = match options {
                    None => Operation::Create {
                        key,
                        user: user_id,
                        ttl: self.terms.ttl,
                        idle_timeout: self.terms.idle_timeout,
                        extras: None,
                    },
                    Some(options) => self.create(key, user_id, *options),
                };
                return (Taken::AskedWith(id), Some(operation));
            }
            Request::RegenerateSession {
                old_session_id,
                options,
            } => {
                let id = self.ids.generate();
                let operation = Operation::Regenerate {
                    old: key(&old_session_id),
                    new: id.key(),
                    changes: options.map(|options| {
                        Box::new(Changes {
                            reauthenticated: options.reauthenticated,
                            data: options.data,
                        })
                    }),
                };
                return (Taken::AskedWith(id), Some(operation));
            }
            Request::UpdateSession(update) => Operation::Update {
                key: key(&update.session_id),
                data: update.data,
            },
            Request::ListSessions(list) => Operation::List {
                user: list.user_id,
                caller: list.session_id.as_ref().map(key),
                limit: list.limit,
            },
            Request::DestroySession { session_id } => Operation::Destroy {
                key: key(&session_id),
            },
            Request::DestroySessionByHandle(destroy) => Operation::DestroyByHandle {
                user: destroy.user_id,
                handle: Handle::parse(&destroy.handle),
            },
            Request::DestroyUserSessions(destroy) => {
                let operation = Operation::DestroyUser {
                    user: destroy.user_id,
                    except: destroy.except_session_id.as_ref().map(key),
                };
                return (Taken::AskedOfUser, Some(operation));
            }
            Request::DestroyAllSessions => Operation::DestroyAll,
            Request::Stats => Operation::Stats,
        };
        (Taken::Asked, Some(operation))
    }

    #[cold]
    fn create<'a>(
        &self,
        key: SessionKey,
        user: Cow<'a, str>,
        options: CreateOptions<'a>,
    ) -> Operation<'a> {
        let CreateOptions {
            ttl,
            idle_timeout,
            data,
            binding,
        } = options;
        let binding = binding.map(|property| Binding::to(&property));
        Operation::Create {
            key,
            user,
            ttl: ttl.map_or(self.terms.ttl, Duration::from_secs),
            idle_timeout: match idle_timeout {
                None => self.terms.idle_timeout,
                Some(0) => None,
                Some(seconds) => Some(Duration::from_secs(seconds)),
            },
            extras: (data.is_some() || binding.is_some())
                .then(|| Box::new(Extras { data, binding })),
        }
    }

    /// The reply. Takes the outcome that belongs to this request from `outcomes_left`, if the store was asked;
    /// so the replies have to be asked for in the order of the requests.
    pub fn reply<'r>(
        &mut self,
        taken: &'r Taken<'_>,
        outcomes_left: &mut impl Iterator<Item = &'r Result<Outcome, StoreError>>,
        outcomes: &'r Outcomes,
        now: Timestamp,
    ) -> Reply<'r> {
        let reply = match taken {
            Taken::Init => Reply::InitOk,
            Taken::Echo(json) => Reply::EchoOk { json },
            Taken::Refused(error) => Reply::Error(Cow::Borrowed(error)),
            Taken::Asked | Taken::AskedWith(_) | Taken::AskedOfUser => {
                let outcome = outcomes_left
                    .next()
                    .expect("a store gives one outcome for each operation");
                self.reply_with(taken, outcome, outcomes, now)
            }
        };
        self.count(&reply);
        reply
    }

    fn reply_with<'r>(
        &self,
        taken: &'r Taken<'_>,
        outcome: &'r Result<Outcome, StoreError>,
        outcomes: &'r Outcomes,
        now: Timestamp,
    ) -> Reply<'r> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Reply::Error(Cow::Owned(explain(error))),
        };
        match (outcome, taken) {
            (
                Outcome::Valid {
                    user,
                    data,
                    expires_at,
                },
                _,
            ) => Reply::SessionValid {
                user_id: outcomes.text(user),
                expires_in: expires_at.seconds_from(now),
                data: data.as_ref().map(|data| outcomes.text(data)),
            },
            (Outcome::Created { expires_at }, Taken::AskedWith(session_id)) => {
                Reply::SessionCreated {
                    session_id,
                    expires_at: expires_at.unix_seconds(),
                }
            }
            (Outcome::Regenerated, Taken::AskedWith(new_session_id)) => {
                Reply::SessionRegenerated { new_session_id }
            }
            (Outcome::Created { .. } | Outcome::Regenerated, _) => {
                unreachable!("an id was made for every operation that needs one")
            }
            (Outcome::ReauthenticationRequired { user, auth_age }, _) => {
                Reply::ReauthenticationRequired {
                    user_id: outcomes.text(user),
                    auth_age: *auth_age,
                }
            }
            (Outcome::Invalid, _) => Reply::SessionInvalid,
            (Outcome::Updated, _) => Reply::SessionUpdated,
            (Outcome::Sessions { listed, more }, _) => Reply::SessionList {
                sessions: list(outcomes.listed(listed), outcomes),
                more: *more,
            },
            (Outcome::Destroyed, _) => Reply::SessionDestroyed,
            (Outcome::DestroyedMany { count }, Taken::AskedOfUser) => {
                Reply::UserSessionsDestroyed { count: *count }
            }
            (Outcome::DestroyedMany { count }, _) => Reply::AllSessionsDestroyed { count: *count },
            (Outcome::Full { max_sessions }, _) => refuse_create(&format!(
                "the node already holds its limit of {max_sessions} live sessions (--max-sessions)"
            )),
            (
                Outcome::UserLimit {
                    max_sessions_per_user,
                },
                _,
            ) => refuse_create(&format!(
                "the user already has the limit of {max_sessions_per_user} live sessions \
                 (--max-sessions-per-user)"
            )),
            (
                &Outcome::Stats {
                    sessions,
                    users,
                    destroyed,
                    expired,
                },
                _,
            ) => Reply::Stats(Stats {
                sessions,
                users,
                destroyed,
                expired,
                ..self.stats
            }),
        }
    }

    fn count(&mut self, reply: &Reply<'_>) {
        let stats = &mut self.stats;
        let counter = match reply {
            Reply::SessionValid { .. } => &mut stats.validated,
            Reply::SessionCreated { .. } => &mut stats.created,
            Reply::SessionInvalid => &mut stats.invalid,
            Reply::SessionRegenerated { .. } => &mut stats.regenerated,
            Reply::Error(_) => &mut stats.errors,
            _ => return,
        };
        *counter += 1;
    }
}

fn conditions(options: &ValidateOptions<'_>) -> Conditions {
    Conditions {
        binding: options.binding.as_deref().map(Binding::to),
        max_age: options.max_age,
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
fn refuse_create(why: &str) -> Reply<'static> {
    Reply::Error(Cow::Owned(Error::new(
        ErrorCode::TemporarilyUnavailable,
        format!("create_session: {why}"),
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
