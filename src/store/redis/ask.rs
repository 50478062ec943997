//! Which scripts an operation runs, and with which arguments.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Cmd;

use super::batch::Batch;
use super::commands::Commands;
use super::places::{Known, Place, UserDigest};
use super::pointers::{POINTER_SLACK, write_pointer};
use super::scripts::{self, ScriptName};
use crate::session::whole_millis;
use crate::session::{MAX_RETIRED_IDS, OnReuse, OnUserLimit, SessionKey};
use crate::store::Operation;

impl Batch<'_> {
    /// Adds what is to be asked for an operation: nothing where it presents a key that leads nowhere.
    pub fn ask(&mut self, operation: &Operation<'_>, commands: &mut Commands) {
        match operation {
            Operation::Create { .. } => self.ask_to_create(operation, commands),
            Operation::Validate { key, conditions } => {
                let conditions = conditions.as_deref();
                let binding = conditions.and_then(|conditions| conditions.binding.as_ref());
                let max_age = conditions.and_then(|conditions| conditions.max_age);
                let max_age = max_age.map(|seconds| seconds.saturating_mul(1000).to_string());
                self.ask_of_session(ScriptName::Validate, key, commands, |command| {
                    command.arg(binding.map_or(&[][..], |binding| binding.as_bytes()));
                    command.arg(max_age.unwrap_or_default());
                });
            }
            Operation::Regenerate { old, new, changes } => {
                let changes = changes.as_deref();
                let is_new = changes.is_some_and(|changes| changes.reauthenticated);
                let data = changes.and_then(|changes| changes.data.as_deref());
                let remembered = if self.policy.remembers_retired() {
                    MAX_RETIRED_IDS
                } else {
                    0
                };
                self.ask_of_session(ScriptName::Regenerate, old, commands, |command| {
                    command.arg(new.as_bytes()).arg(u8::from(is_new));
                    command.arg(data.unwrap_or_default()).arg(remembered);
                });
                if let Some(known) = self.places.get(old, self.now) {
                    self.places.insert(*new, known);
                }
            }
            Operation::Update { key, data } => {
                self.ask_of_session(ScriptName::Update, key, commands, |command| {
                    command.arg(&**data);
                });
            }
            Operation::Destroy { key } => {
                self.ask_of_session(ScriptName::Destroy, key, commands, |_| {});
            }
            Operation::List {
                user,
                caller,
                limit,
            } => {
                let own = self.present(caller.as_ref(), commands);
                self.ask_of_user(ScriptName::List, user, commands, |command| {
                    command.arg(limit);
                    add_session(command, own);
                });
            }
            Operation::DestroyByHandle { user, handle } => {
                if let Some(handle) = handle {
                    self.ask_of_user(ScriptName::DestroyByHandle, user, commands, |command| {
                        command.arg(handle.as_bytes());
                    });
                }
            }
            Operation::DestroyUser { user, except } => {
                let spared = self.present(except.as_ref(), commands);
                self.ask_of_user(ScriptName::DestroyUser, user, commands, |command| {
                    add_session(command, spared);
                });
            }
            Operation::DestroyAll | Operation::Stats => {}
        }
    }

    fn ask_to_create(&mut self, operation: &Operation<'_>, commands: &mut Commands) {
        let Operation::Create {
            key,
            user,
            ttl,
            idle_timeout,
            extras,
        } = operation
        else {
            return;
        };
        let place = Place {
            user: UserDigest::of(user),
            handle: key.handle(),
        };
        let stay = idle_timeout.map_or(*ttl, |idle| (2 * idle).min(*ttl)) + POINTER_SLACK;
        let pointer = self.pointer(key);
        commands.add(&pointer, &write_pointer(&pointer, place, stay));
        let pointer_until = self.now + stay;
        self.places.insert(
            *key,
            Known {
                place,
                pointer_until,
                since: self.now,
            },
        );
        let extras = extras.as_deref();
        let data = extras.and_then(|extras| extras.data.as_deref());
        let binding = extras.and_then(|extras| extras.binding.as_ref());
        let rejects = self.policy.on_user_limit == OnUserLimit::Reject;
        self.ask_of_user(ScriptName::Create, user, commands, |command| {
            command.arg(place.handle.as_bytes()).arg(key.as_bytes());
            command.arg(&**user).arg(whole_millis(*ttl));
            command.arg(idle_timeout.map_or(0, whole_millis));
            command.arg(data.unwrap_or_default());
            command.arg(binding.map_or(&[][..], |binding| binding.as_bytes()));
            command.arg(self.policy.max_sessions_per_user.unwrap_or(0));
            command.arg(u8::from(rejects));
        });
    }

    fn ask_of_user(
        &self,
        script: ScriptName,
        user: &str,
        commands: &mut Commands,
        arguments: impl FnOnce(&mut Cmd),
    ) {
        let hash = self.hash(UserDigest::of(user));
        let mut command = scripts::run(script, &hash);
        arguments(&mut command);
        commands.add(&hash, &command);
    }

    /// Asks something of the session that `key` leads to, if it leads to one.
    fn ask_of_session(
        &mut self,
        script: ScriptName,
        key: &SessionKey,
        commands: &mut Commands,
        arguments: impl FnOnce(&mut Cmd),
    ) {
        let Some(Known { place, .. }) = self.places.get(key, self.now) else {
            return;
        };
        let hash = self.hash(place.user);
        let mut command = scripts::run(script, &hash);
        command.arg(place.handle.as_bytes()).arg(key.as_bytes());
        command.arg(whole_millis(self.policy.rotation_grace));
        command.arg(u8::from(self.policy.on_reuse == OnReuse::Revoke));
        arguments(&mut command);
        commands.add(&hash, &command);
    }

    /// Presents a key beside an operation on a user, with all that this brings about. Gives what it leads to.
    fn present<'k>(
        &mut self,
        key: Option<&'k SessionKey>,
        commands: &mut Commands,
    ) -> Option<(Place, &'k SessionKey)> {
        let key = key?;
        self.ask_of_session(ScriptName::Present, key, commands, |_| {});
        Some((self.places.get(key, self.now)?.place, key))
    }

    /// The key of a user's hash. What is in braces says the slot.
    fn hash(&self, user: UserDigest) -> String {
        let name = URL_SAFE_NO_PAD.encode(user.as_bytes());
        format!("{}u:{{{name}}}", self.options.prefix)
    }
}

pub fn add_session(command: &mut Cmd, session: Option<(Place, &SessionKey)>) {
    match session {
        Some((place, key)) => command.arg(place.handle.as_bytes()).arg(key.as_bytes()),
        None => command.arg("").arg(""),
    };
}
