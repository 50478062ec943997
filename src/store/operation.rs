//! The input of a store: a batch of operations.

use std::borrow::Cow;
use std::time::Duration;

use super::Cursor;
use crate::limits::DEFAULT_LIST_LIMIT;
use crate::session::{Binding, Handle, Lifetime, Policy, SessionKey, Timestamp};

/// Operations that a store applies in order, at one time and under one policy.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The time of all operations.
    pub now: Timestamp,
    /// The rules that apply to all sessions.
    pub policy: &'a Policy,
    /// The operations, in order.
    pub operations: &'a [Operation<'a>],
}

/// Something to do to sessions.
///
/// A peer *presents* a key by sending the id that belongs to it. The key names the live session whose present key it
/// is. If the [`Policy`] remembers retired ids, the key may also be one that a regeneration retired. Within its grace
/// period, a retired key names its session in every operation, but regenerates nothing, and it proves no authentication
/// later than its retirement. After its grace period, it names no session; with
/// [`OnReuse::Revoke`](crate::session::OnReuse::Revoke), presenting it also ends its session.
///
/// `New` is the key of an id that the authority makes for the operation. An `Operation<'_, ()>` is a request, which has
/// no such key yet. The authority makes the key and adds it with [`Operation::with_key`].
#[derive(PartialEq, Eq)]
pub enum Operation<'a, New = SessionKey> {
    /// Create a session. The outcome is [`Outcome::Created`](super::Outcome::Created) or
    /// [`Outcome::Refused`](super::Outcome::Refused).
    Create {
        /// The key of an id that the authority made for this session. No other session has it.
        key: New,
        /// The name of the session's user.
        user: Cow<'a, str>,
        /// The properties that few requests set.
        options: Option<Box<CreateOptions<'a>>>,
    },
    /// Find the user of a live session. The outcome is [`Outcome::Valid`](super::Outcome::Valid), which counts as a use
    /// of the session, [`Outcome::ReauthenticationRequired`](super::Outcome::ReauthenticationRequired) or
    /// [`Outcome::Invalid`](super::Outcome::Invalid).
    Validate {
        /// The presented key.
        key: SessionKey,
        /// Further conditions that the session must meet.
        conditions: Option<Box<Conditions>>,
    },
    /// Give a session a new key and retire its present key, in one step: at any time, the session has exactly one
    /// present key. Everything else stays, unless `changes` says otherwise. Counts as a use of the session. The outcome
    /// is [`Outcome::Regenerated`](super::Outcome::Regenerated), [`Outcome::Invalid`](super::Outcome::Invalid),
    /// [`Outcome::Conflict`](super::Outcome::Conflict) if the key is a retired one within its grace period, or
    /// [`Outcome::Refused`](super::Outcome::Refused) if the session is to become another user's and that user's limit
    /// refuses it.
    Regenerate {
        /// The presented key.
        old: SessionKey,
        /// The key of an id that the authority made for this regeneration.
        new: New,
        /// Further changes to the session.
        changes: Option<Box<Changes<'a>>>,
    },
    /// Replace a session's data. Counts as a use of the session. The outcome is
    /// [`Outcome::Updated`](super::Outcome::Updated) or [`Outcome::Invalid`](super::Outcome::Invalid).
    Update {
        /// The presented key.
        key: SessionKey,
        /// The new data: a JSON object.
        data: Cow<'a, str>,
        /// Further conditions that the session must meet.
        conditions: Option<Box<UpdateConditions<'a>>>,
    },
    /// List a user's live sessions, in the order in which they became the user's. The outcome is
    /// [`Outcome::Sessions`](super::Outcome::Sessions) or [`Outcome::UnknownCursor`](super::Outcome::UnknownCursor).
    List {
        /// The user's name.
        user: Cow<'a, str>,
        /// The key that the caller presented as their own. The list marks its session.
        caller: Option<SessionKey>,
        /// Which part of the list to show, and how.
        options: Box<ListOptions>,
    },
    /// List the users who have live sessions, in an order that the store chooses. The outcome is
    /// [`Outcome::Users`](super::Outcome::Users) or [`Outcome::UnknownCursor`](super::Outcome::UnknownCursor).
    ListUsers {
        /// Which part of the list to show.
        options: Box<ListUsersOptions>,
    },
    /// End a session. The outcome is [`Outcome::Destroyed`](super::Outcome::Destroyed), even if no live session had the
    /// key.
    Destroy {
        /// The presented key.
        key: SessionKey,
        /// Whether the peer wants to know if a live session ended by this.
        detail: bool,
    },
    /// End the session of a user that has this handle. The outcome is
    /// [`Outcome::Destroyed`](super::Outcome::Destroyed), even if the user has no such session.
    DestroyByHandle {
        /// The user's name.
        user: Cow<'a, str>,
        /// The session's handle; `None` if the request's text cannot be a handle.
        handle: Option<Handle>,
        /// Whether the peer wants to know if a live session ended by this.
        detail: bool,
    },
    /// End all sessions of a user, or all but one, in one step. The outcome is
    /// [`Outcome::DestroyedMany`](super::Outcome::DestroyedMany).
    DestroyUser {
        /// The user's name.
        user: Cow<'a, str>,
        /// The presented key of the one session to keep.
        except: Option<SessionKey>,
    },
    /// End all sessions, in one step. The outcome is [`Outcome::DestroyedMany`](super::Outcome::DestroyedMany).
    DestroyAll,
    /// Count sessions and users. The outcome is [`Outcome::Stats`](super::Outcome::Stats).
    Stats,
}

impl<'a, New> Operation<'a, New> {
    /// Calls `make` for a new key, if the operation needs one, and adds the key to the operation.
    #[inline]
    pub fn with_key<Key>(self, make: impl FnOnce() -> Key) -> Operation<'a, Key> {
        match self {
            Self::Create { user, options, .. } => Operation::Create {
                key: make(),
                user,
                options,
            },
            Self::Validate { key, conditions } => Operation::Validate { key, conditions },
            Self::Regenerate { old, changes, .. } => Operation::Regenerate {
                old,
                new: make(),
                changes,
            },
            Self::Update {
                key,
                data,
                conditions,
            } => Operation::Update {
                key,
                data,
                conditions,
            },
            Self::List {
                user,
                caller,
                options,
            } => Operation::List {
                user,
                caller,
                options,
            },
            Self::ListUsers { options } => Operation::ListUsers { options },
            Self::Destroy { key, detail } => Operation::Destroy { key, detail },
            Self::DestroyByHandle {
                user,
                handle,
                detail,
            } => Operation::DestroyByHandle {
                user,
                handle,
                detail,
            },
            Self::DestroyUser { user, except } => Operation::DestroyUser { user, except },
            Self::DestroyAll => Operation::DestroyAll,
            Self::Stats => Operation::Stats,
        }
    }

    /// Whether the peer wants to know the times of the session, or whether a live one ended.
    pub fn wants_detail(&self) -> bool {
        match self {
            Self::Create { options, .. } => options.as_ref().is_some_and(|it| it.detail),
            Self::Validate { conditions, .. } => conditions.as_ref().is_some_and(|it| it.detail),
            Self::Regenerate { changes, .. } => changes.as_ref().is_some_and(|it| it.detail),
            Self::Update { conditions, .. } => conditions.as_ref().is_some_and(|it| it.detail),
            Self::Destroy { detail, .. } | Self::DestroyByHandle { detail, .. } => *detail,
            Self::List { .. }
            | Self::ListUsers { .. }
            | Self::DestroyUser { .. }
            | Self::DestroyAll
            | Self::Stats => false,
        }
    }

    /// Whether the operation changes nothing but the time of a session's last use.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Validate { .. } | Self::List { .. } | Self::ListUsers { .. } | Self::Stats
        )
    }
}

/// Properties of a new session that few requests set.
///
/// An operation boxes them, as it boxes [`Conditions`] and [`Changes`]. Operations are moved, and without the boxes a
/// validation took 8 % longer.
#[derive(Default, PartialEq, Eq)]
pub struct CreateOptions<'a> {
    /// How long the session may live: from 1 second to [`Policy::max_ttl`]. The default is [`Policy::ttl`].
    pub ttl: Option<Duration>,
    /// How long the session may go unused before it ends: from 1 second to [`Policy::max_ttl`], or zero for no limit.
    /// The default is [`Policy::idle_timeout`].
    pub idle_timeout: Option<Duration>,
    /// The application's data: a JSON object of up to [`Policy::max_data_bytes`] bytes.
    pub data: Option<Cow<'a, str>>,
    /// The property of the client to which the session is bound.
    pub binding: Option<Binding>,
    /// How many live sessions this user may have: at least 1. The default is [`Policy::max_sessions_per_user`].
    pub max_sessions_per_user: Option<usize>,
    /// Whether [`Outcomes::detail`](super::Outcomes::detail) is to tell the session's times.
    pub detail: bool,
}

impl CreateOptions<'_> {
    /// Makes the lifetime of a session that begins at `now`, with these options or with the defaults of `policy`.
    #[inline]
    pub fn lifetime(options: Option<&Self>, now: Timestamp, policy: &Policy) -> Lifetime {
        let (ttl, idle_timeout) = Self::durations(options, policy);
        Lifetime::begin(now, ttl, idle_timeout)
    }

    /// How long such a session may live, and how long it may go unused.
    #[inline]
    pub fn durations(options: Option<&Self>, policy: &Policy) -> (Duration, Option<Duration>) {
        let ttl = options.and_then(|options| options.ttl);
        let idle_timeout = match options.and_then(|options| options.idle_timeout) {
            None => policy.idle_timeout,
            Some(Duration::ZERO) => None,
            some => some,
        };
        (ttl.unwrap_or(policy.ttl), idle_timeout)
    }

    /// How many live sessions the user of such a session may have, if there is a limit.
    #[inline]
    pub fn user_limit(options: Option<&Self>, policy: &Policy) -> Option<usize> {
        let own = options.and_then(|options| options.max_sessions_per_user);
        own.or(policy.max_sessions_per_user)
    }
}

/// Further conditions that a live session must meet to be valid.
#[derive(Default, PartialEq, Eq)]
pub struct Conditions {
    /// The presented binding. A bound session is valid only with its own binding.
    pub binding: Option<Binding>,
    /// The largest number of seconds since the user authenticated (`max_age` of OpenID Connect Core 1.0).
    pub max_age: Option<u64>,
    /// Whether the validation is no use of the session, so that neither its idle timeout nor its last use moves.
    pub untouched: bool,
    /// Whether [`Outcomes::detail`](super::Outcomes::detail) is to tell the session's times.
    pub detail: bool,
}

/// Further conditions that a live session must meet to be updated.
#[derive(Default, PartialEq, Eq)]
pub struct UpdateConditions<'a> {
    /// The presented binding. A bound session is updated only with its own binding.
    pub binding: Option<Binding>,
    /// The data that the session must have, as compact JSON, or `Some(None)` if it must have none. Otherwise the
    /// outcome is [`Outcome::Conflict`](super::Outcome::Conflict).
    pub expected_data: Option<Option<Cow<'a, str>>>,
    /// Whether [`Outcomes::detail`](super::Outcomes::detail) is to tell the session's times.
    pub detail: bool,
}

/// Further changes that a regeneration makes.
#[derive(Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Whether the user has just authenticated again. If so, the lifetime restarts.
    pub reauthenticated: bool,
    /// The user who has just authenticated, and to whom the session belongs from now on: the log-in of a visitor, whose
    /// data the session keeps. The lifetime restarts. If the session belonged to another user, all its earlier keys are
    /// forgotten, so that nobody who knew one is logged in with it (OWASP: session fixation).
    pub user: Option<Cow<'a, str>>,
    /// How long the session lives from now on: from 1 second to [`Policy::max_ttl`]. Only a regeneration that restarts
    /// the lifetime may set it. `None` keeps the session's own length.
    pub ttl: Option<Duration>,
    /// How long the session may go unused from now on: from 1 second to [`Policy::max_ttl`], or zero for no limit. Only
    /// a regeneration that restarts the lifetime may set it. `None` keeps the session's own limit.
    pub idle_timeout: Option<Duration>,
    /// How many live sessions [`Changes::user`] may have: at least 1. The default is [`Policy::max_sessions_per_user`].
    pub max_sessions_per_user: Option<usize>,
    /// The presented binding. A bound session is regenerated only with its own binding.
    pub binding: Option<Binding>,
    /// The session's new binding. `None` keeps the binding.
    pub new_binding: Option<Binding>,
    /// The session's new data: a JSON object of up to [`Policy::max_data_bytes`] bytes. `None` keeps the data.
    pub data: Option<Cow<'a, str>>,
    /// Whether [`Outcomes::detail`](super::Outcomes::detail) is to tell the session's times.
    pub detail: bool,
}

impl Changes<'_> {
    /// Whether the regeneration restarts the lifetime, because the user has just authenticated.
    pub fn restarts_lifetime(&self) -> bool {
        self.reauthenticated || self.user.is_some()
    }

    /// Returns the name of a change that only another change allows, and what it must be; `None` if all are in place.
    pub(crate) fn out_of_place(&self) -> Option<(&'static str, &'static str)> {
        let restarts = "absent unless reauthenticated or user_id restarts the lifetime";
        if self.ttl.is_some() && !self.restarts_lifetime() {
            Some(("ttl", restarts))
        } else if self.idle_timeout.is_some() && !self.restarts_lifetime() {
            Some(("idle_timeout", restarts))
        } else if self.max_sessions_per_user.is_some() && self.user.is_none() {
            Some(("max_sessions_per_user", "absent without user_id"))
        } else {
            None
        }
    }

    /// The lifetime of the session after a regeneration at `now`.
    pub(crate) fn apply_to(&self, mut lifetime: Lifetime, now: Timestamp) -> Lifetime {
        lifetime.use_at(now);
        if self.restarts_lifetime() {
            lifetime.restart(now, self.ttl, self.idle_timeout);
        }
        lifetime
    }

    /// How many live sessions the session's new user may have, if there is a limit.
    pub fn user_limit(&self, policy: &Policy) -> Option<usize> {
        self.max_sessions_per_user.or(policy.max_sessions_per_user)
    }
}

/// Which part of a user's list of sessions to show, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// The largest number of sessions to list: from 1 to 1000.
    pub limit: usize,
    /// Where the list begins.
    pub order: ListOrder,
    /// The cursor of the page before, which had the same order. `None` begins the list.
    pub after: Option<Cursor>,
    /// Whether to leave out the sessions' data.
    pub without_data: bool,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIST_LIMIT,
            order: ListOrder::default(),
            after: None,
            without_data: false,
        }
    }
}

/// Which session of a user comes first in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// The session that became the user's first.
    #[default]
    OldestFirst,
    /// The session that became the user's last.
    NewestFirst,
}

impl ListOrder {
    /// Whether a list in this order that goes on after the place `after` shows a session at `place`.
    pub fn is_beyond(self, after: Option<u128>, place: u128) -> bool {
        after.is_none_or(|after| match self {
            Self::OldestFirst => place > after,
            Self::NewestFirst => place < after,
        })
    }
}

/// Which part of the list of users to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUsersOptions {
    /// The largest number of users to list: from 1 to 1000.
    pub limit: usize,
    /// The cursor of the page before. `None` begins the list.
    pub after: Option<Cursor>,
}

impl Default for ListUsersOptions {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIST_LIMIT,
            after: None,
        }
    }
}
