//! What a store is asked: a batch of operations at one moment, under one policy.

use std::borrow::Cow;
use std::time::Duration;

use crate::session::{Binding, Handle, Lifetime, Policy, SessionKey, Timestamp};

/// Operations that a store applies in order, at one moment and under one policy.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The moment.
    pub now: Timestamp,
    /// The rules for all sessions.
    pub policy: &'a Policy,
    /// What to do.
    pub operations: &'a [Operation<'a>],
}

/// Something that is done to sessions.
///
/// A key that is *presented* is that of an id which a peer has shown. It names the live session whose current key it
/// is. Where the [`Policy`] remembers retired ids, it may also be one that a regeneration has retired: within
/// its grace it still validates and destroys its session, and does nothing else; after its grace, with
/// [`OnReuse::Revoke`](crate::session::OnReuse::Revoke), it ends the session and then names none.
///
/// `New` is the key of an id that the authority makes for the operation. An `Operation<'_, ()>` is a request: whoever
/// makes it has no ids to give away. The authority turns it into one for a store with [`Operation::with_key`].
#[derive(PartialEq, Eq)]
pub enum Operation<'a, New = SessionKey> {
    /// Begin a session. Answered with [`Outcome::Created`](super::Outcome::Created) or
    /// [`Outcome::Refused`](super::Outcome::Refused).
    Create {
        /// The key of an id that was made for this session: no other session has it.
        key: New,
        /// Whose session it is.
        user: Cow<'a, str>,
        /// What few requests ask for.
        options: Option<Box<CreateOptions<'a>>>,
    },
    /// Say whose session this is, which is a use of it. Answered with [`Outcome::Valid`](super::Outcome::Valid),
    /// [`Outcome::ReauthenticationRequired`](super::Outcome::ReauthenticationRequired) or
    /// [`Outcome::Invalid`](super::Outcome::Invalid).
    Validate {
        /// The key that was presented.
        key: SessionKey,
        /// Further conditions that the session must meet.
        conditions: Option<Box<Conditions>>,
    },
    /// Give a session a new key and retire the old one, in one step: nobody sees both live, or neither. All else stays
    /// as it is. A use of the session. Answered with [`Outcome::Regenerated`](super::Outcome::Regenerated) or
    /// [`Outcome::Invalid`](super::Outcome::Invalid).
    Regenerate {
        /// The key that was presented.
        old: SessionKey,
        /// The key of an id that was made for this step.
        new: New,
        /// What else changes.
        changes: Option<Box<Changes<'a>>>,
    },
    /// Replace a session's data, which is a use of it. Answered with [`Outcome::Updated`](super::Outcome::Updated) or
    /// [`Outcome::Invalid`](super::Outcome::Invalid).
    Update {
        /// The key that was presented.
        key: SessionKey,
        /// A JSON object.
        data: Cow<'a, str>,
    },
    /// Show a user's live sessions, the oldest first. Answered with [`Outcome::Sessions`](super::Outcome::Sessions).
    List {
        /// Whose.
        user: Cow<'a, str>,
        /// The key that the asker presented as their own, to mark their session.
        caller: Option<SessionKey>,
        /// How many sessions to show at the most.
        limit: usize,
    },
    /// End a session. Answered with [`Outcome::Destroyed`](super::Outcome::Destroyed), also when there was none.
    Destroy {
        /// The key that was presented.
        key: SessionKey,
    },
    /// End a user's session that is known by its handle. Answered with
    /// [`Outcome::Destroyed`](super::Outcome::Destroyed), also when the user has no such session.
    DestroyByHandle {
        /// Whose.
        user: Cow<'a, str>,
        /// Which; none where what was given cannot be a handle.
        handle: Option<Handle>,
    },
    /// End all sessions of a user, in one step. Answered with
    /// [`Outcome::DestroyedMany`](super::Outcome::DestroyedMany).
    DestroyUser {
        /// Whose.
        user: Cow<'a, str>,
        /// The key that was presented for the one session to spare.
        except: Option<SessionKey>,
    },
    /// End all sessions, in one step. Answered with [`Outcome::DestroyedMany`](super::Outcome::DestroyedMany).
    DestroyAll,
    /// Count. Answered with [`Outcome::Stats`](super::Outcome::Stats).
    Stats,
}

impl<'a, New> Operation<'a, New> {
    /// The same operation with a key that `make` makes, where it needs one.
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
            Self::Update { key, data } => Operation::Update { key, data },
            Self::List {
                user,
                caller,
                limit,
            } => Operation::List {
                user,
                caller,
                limit,
            },
            Self::Destroy { key } => Operation::Destroy { key },
            Self::DestroyByHandle { user, handle } => Operation::DestroyByHandle { user, handle },
            Self::DestroyUser { user, except } => Operation::DestroyUser { user, except },
            Self::DestroyAll => Operation::DestroyAll,
            Self::Stats => Operation::Stats,
        }
    }

    /// Whether it looks at sessions, or uses them, and changes nothing else.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Validate { .. } | Self::List { .. } | Self::Stats
        )
    }
}

/// What a create may ask for. Boxed in its operation, as are [`Conditions`] and [`Changes`]: operations are moved
/// about, and without the boxes a validation took 8 % longer.
#[derive(Default, PartialEq, Eq)]
pub struct CreateOptions<'a> {
    /// How long the session may live, from a second to [`Policy::max_ttl`]; [`Policy::ttl`] without it.
    pub ttl: Option<Duration>,
    /// How long it may go unused, up to [`Policy::max_ttl`], or zero for any time; [`Policy::idle_timeout`] without it.
    pub idle_timeout: Option<Duration>,
    /// What the application keeps in the session: a JSON object of up to [`Policy::max_data_bytes`].
    pub data: Option<Cow<'a, str>>,
    /// What the session is bound to.
    pub binding: Option<Binding>,
}

impl CreateOptions<'_> {
    /// The times of a session that begins at `now` with these options, or with none.
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
}

/// What a session must meet to be valid, beside being live.
#[derive(Default, PartialEq, Eq)]
pub struct Conditions {
    /// The binding that was presented: a session that is bound is valid with the same one only.
    pub binding: Option<Binding>,
    /// How many seconds ago the user may have authenticated at the most (OpenID Connect's `max_age`).
    pub max_age: Option<u64>,
}

/// What a regeneration changes beside the key.
#[derive(Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Whether the user has just authenticated again, so that the lifetime starts afresh.
    pub reauthenticated: bool,
    /// What replaces the session's data: a JSON object of up to [`Policy::max_data_bytes`].
    pub data: Option<Cow<'a, str>>,
}
