//! The second pipeline: turns operations into commands that run scripts.

use super::exchange::Command;
use super::lookup::presented;
use super::places::{Known, Place, UserDigest, digest_of};
use super::pointers::Pointers;
use super::scripts::{self, ScriptName};
use crate::session::{
    Binding, MAX_RETIRED_IDS, OnReuse, OnUserLimit, Policy, SessionKey, whole_millis,
};
use crate::store::{
    Changes, Conditions, CreateOptions, Cursor, ListOptions, ListOrder, Operation, UpdateConditions,
};

/// The commands of the operations so far.
pub struct Requests<'a> {
    pub policy: &'a Policy,
    pub pointers: &'a mut Pointers,
    pub commands: Vec<Command>,
    /// Whether the present operation asks for the times of its session.
    pub detail: bool,
}

/// A session to begin. Times are in milliseconds.
pub struct Beginning<'a> {
    pub key: &'a SessionKey,
    pub place: Place,
    pub user: &'a str,
    pub ttl: u64,
    /// 0 for none.
    pub idle_timeout: u64,
    pub data: Option<&'a str>,
    pub binding: Option<&'a [u8]>,
    /// How many sessions the user may have.
    pub limit: Option<usize>,
    /// When the session was created, if it has left another user.
    pub created_at: Option<u64>,
}

/// A presented key, and where it leads.
pub type Presented<'k> = (&'k SessionKey, Known);

impl Requests<'_> {
    /// Adds an operation's commands, and returns how many: none if it concerns only a session whose place nobody
    /// knows. The operation's own script comes last. Before it, the node writes a pointer or resolves another key.
    pub fn add(&mut self, operation: &Operation<'_>, known: Option<Known>) -> usize {
        let first = self.commands.len();
        self.detail = operation.wants_detail();
        match (operation, presented(operation).zip(known)) {
            (Operation::Create { key, user, options }, _) => {
                self.create(key, user, options.as_deref());
            }
            (Operation::Validate { conditions, .. }, Some(session)) => {
                self.validate(session, conditions.as_deref());
            }
            (Operation::Regenerate { new, changes, .. }, Some(session)) => {
                self.regenerate(session, new, changes.as_deref());
            }
            (
                Operation::Update {
                    data, conditions, ..
                },
                Some(session),
            ) => self.update(session, data, conditions.as_deref()),
            (Operation::Destroy { .. }, Some(session)) => {
                self.on_session(ScriptName::Destroy, session);
            }
            (Operation::List { user, options, .. }, caller) => self.list(user, options, caller),
            (
                Operation::DestroyByHandle {
                    user,
                    handle: Some(handle),
                    ..
                },
                _,
            ) => {
                self.on_user(ScriptName::DestroyByHandle, user)
                    .arg(handle.as_bytes());
            }
            // A key to spare that leads nowhere ends nothing.
            (
                Operation::DestroyUser {
                    except: Some(_), ..
                },
                None,
            ) => {}
            (Operation::DestroyUser { user, .. }, except) => {
                let spared = self.resolve(except);
                let grace = whole_millis(self.policy.rotation_grace);
                let script = self.on_user(ScriptName::DestroyUser, user);
                script.arg(&spared).arg(grace);
            }
            _ => {}
        }
        self.commands.len() - first
    }

    /// Adds nothing if the cursor is none of a list of sessions.
    fn list(&mut self, user: &str, options: &ListOptions, caller: Option<Presented<'_>>) {
        let after = options.after.as_ref().map(Cursor::place);
        if after == Some(None) {
            return;
        }
        let after = after.flatten().map(|place| place.to_string());
        let own = self.resolve(caller);
        let grace = whole_millis(self.policy.rotation_grace);
        let script = self.on_user(ScriptName::List, user);
        script.arg(options.limit);
        script.arg(u8::from(options.order == ListOrder::NewestFirst));
        script.arg(after.unwrap_or_default());
        script.arg(u8::from(options.without_data));
        script.arg(&own).arg(grace);
    }

    fn create(&mut self, key: &SessionKey, user: &str, options: Option<&CreateOptions<'_>>) {
        let place = Place {
            user: digest_of(user),
            handle: key.handle(),
        };
        let (ttl, idle_timeout) = CreateOptions::durations(options, self.policy);
        let life = idle_timeout.map_or(ttl, |idle| (2 * idle).min(ttl));
        self.pointers.make(key, place, life, &mut self.commands);
        let binding = options.and_then(|options| options.binding.as_ref());
        self.begin(&Beginning {
            key,
            place,
            user,
            ttl: whole_millis(ttl),
            idle_timeout: idle_timeout.map_or(0, whole_millis),
            data: options.and_then(|options| options.data.as_deref()),
            binding: binding.map(|binding| &binding.as_bytes()[..]),
            limit: CreateOptions::user_limit(options, self.policy),
            created_at: None,
        });
    }

    /// Adds a session to a user's hash.
    pub fn begin(&mut self, session: &Beginning<'_>) {
        let rejects = self.policy.on_user_limit == OnUserLimit::Reject;
        let script = self.on_hash(ScriptName::Create, session.place.user);
        script.arg(session.place.handle.as_bytes());
        script.arg(session.key.as_bytes()).arg(session.user);
        script.arg(session.ttl).arg(session.idle_timeout);
        script.arg(session.data.unwrap_or_default());
        script.arg(session.binding.unwrap_or_default());
        script.arg(session.limit.unwrap_or(0));
        script.arg(u8::from(rejects));
        let created_at = session.created_at.map(|millis| millis.to_string());
        script.arg(created_at.unwrap_or_default());
    }

    fn validate(&mut self, session: Presented<'_>, conditions: Option<&Conditions>) {
        let binding = conditions.and_then(|conditions| conditions.binding.as_ref());
        let max_age = conditions.and_then(|conditions| conditions.max_age);
        let max_age = max_age.map(|seconds| seconds.saturating_mul(1000).to_string());
        let script = self.on_session(ScriptName::Validate, session);
        script.arg(binding.map_or(&[][..], |binding| binding.as_bytes()));
        script.arg(max_age.unwrap_or_default());
        script.arg(u8::from(
            conditions.is_some_and(|conditions| conditions.untouched),
        ));
    }

    fn update(
        &mut self,
        session: Presented<'_>,
        data: &str,
        conditions: Option<&UpdateConditions<'_>>,
    ) {
        let binding = conditions.and_then(|conditions| conditions.binding.as_ref());
        let expected = conditions.and_then(|conditions| conditions.expected_data.as_ref());
        let script = self.on_session(ScriptName::Update, session);
        script
            .arg(data)
            .arg(binding.map_or(&[][..], |binding| binding.as_bytes()));
        script.arg(match expected {
            None => String::new(),
            Some(None) => "-".to_owned(),
            Some(Some(expected)) => format!("+{expected}"),
        });
    }

    fn regenerate(
        &mut self,
        session: Presented<'_>,
        new: &SessionKey,
        changes: Option<&Changes<'_>>,
    ) {
        // If there is a user, it is the session's own, or the session would have left.
        let reauthenticated = changes.is_some_and(Changes::restarts_lifetime);
        let ttl = changes.and_then(|changes| changes.ttl).map(whole_millis);
        let idle_timeout = changes.and_then(|changes| changes.idle_timeout);
        let text = |millis: Option<u64>| millis.map_or_else(String::new, |it| it.to_string());
        let data = changes.and_then(|changes| changes.data.as_deref());
        let remembers_retired = self.policy.remembers_retired();
        let script = self.on_session(ScriptName::Regenerate, session);
        script.arg(new.as_bytes()).arg(u8::from(reauthenticated));
        script.arg(data.unwrap_or_default());
        script.arg(if remembers_retired {
            MAX_RETIRED_IDS
        } else {
            0
        });
        let bytes =
            |binding: Option<&Binding>| binding.map_or(Vec::new(), |it| it.as_bytes().into());
        let binding = changes.and_then(|changes| changes.binding.as_ref());
        let new_binding = changes.and_then(|changes| changes.new_binding.as_ref());
        script.arg(bytes(binding)).arg(bytes(new_binding));
        script
            .arg(text(ttl))
            .arg(text(idle_timeout.map(whole_millis)));
        // Later operations of the batch may present the new key.
        self.pointers.places.insert(new, session.1);
    }

    /// Resolves a key that an operation on a user presents, and returns the two arguments that name its session.
    fn resolve(&mut self, session: Option<Presented<'_>>) -> [Vec<u8>; 2] {
        let Some((key, known)) = session else {
            return [Vec::new(), Vec::new()];
        };
        self.on_session(ScriptName::Resolve, (key, known));
        [known.place.handle.as_bytes().into(), key.as_bytes().into()]
    }

    /// Runs a script on the session that a presented key leads to.
    pub fn on_session(&mut self, name: ScriptName, (key, known): Presented<'_>) -> &mut Command {
        let grace = whole_millis(self.policy.rotation_grace);
        let revokes = self.policy.on_reuse == OnReuse::Revoke;
        let script = self.on_hash(name, known.place.user);
        script
            .arg(known.place.handle.as_bytes())
            .arg(key.as_bytes());
        script.arg(grace).arg(u8::from(revokes))
    }

    fn on_user(&mut self, name: ScriptName, user: &str) -> &mut Command {
        self.on_hash(name, digest_of(user))
    }

    /// Runs a script on a user's hash. The caller adds the script's arguments.
    pub fn on_hash(&mut self, name: ScriptName, user: UserDigest) -> &mut Command {
        let last = self.commands.len();
        self.commands.push(scripts::run(
            name,
            self.pointers.hash(user),
            self.policy,
            self.detail,
        ));
        &mut self.commands[last]
    }
}
