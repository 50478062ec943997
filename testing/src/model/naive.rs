//! What the protocol promises, in the simplest way that could be right: one list of sessions, and a search through
//! all of it for everything. Shares no code with the node.

use serde_json::{Map, Value, json};

/// How the node is set up. Durations are in seconds.
#[derive(Clone, Debug)]
pub struct Rules {
    pub ttl: u64,
    pub idle_timeout: Option<u64>,
    pub max_sessions: usize,
    pub max_sessions_per_user: Option<usize>,
    pub evict_oldest: bool,
    pub rotation_grace: u64,
    pub revoke_on_reuse: bool,
}

/// A live session. Times are in milliseconds.
struct Session {
    id: String,
    user: Value,
    created_at: u64,
    auth_time: u64,
    last_seen_at: u64,
    ends_at: u64,
    ttl: u64,
    idle_timeout: Option<u64>,
    data: Option<Value>,
    binding: Option<Value>,
    retired: Vec<Retired>,
    /// Greater than those of sessions that became their users' before it.
    place: u64,
    /// Once it has been seen in a list.
    handle: Option<String>,
}

/// An id that was a session's, when it was retired, and when the user had last authenticated until then.
struct Retired {
    id: String,
    at: u64,
    auth_time: u64,
}

impl Session {
    /// What a list and a detail tell. Takes a handle that is new from what was `told`; it must not be one of those that
    /// were `seen`, which ids are too.
    fn times(&mut self, told: &Value, seen: &mut Vec<String>) -> Value {
        let handle = self.handle.get_or_insert_with(|| {
            let new = told["handle"].as_str().unwrap_or("missing").to_owned();
            assert!(
                !seen.contains(&new),
                "the handle {new} is another's, or an id"
            );
            seen.push(new.clone());
            new
        });
        json!({
            "handle": handle,
            "created_at": self.created_at / 1000,
            "last_seen_at": self.last_seen_at / 1000,
            "auth_time": self.auth_time / 1000,
            "ends_at": self.ends_at / 1000,
            "expires_at": self.expires_at() / 1000,
        })
    }

    fn is_bound_to(&self, request: &Map<String, Value>) -> bool {
        self.binding.is_none() || self.binding.as_ref() == request.get("binding")
    }

    fn expires_at(&self) -> u64 {
        match self.idle_timeout {
            Some(idle_timeout) => self.ends_at.min(self.last_seen_at + idle_timeout),
            None => self.ends_at,
        }
    }
}

#[derive(Default)]
struct Counts {
    created: u64,
    validated: u64,
    invalid: u64,
    regenerated: u64,
    destroyed: u64,
    expired: u64,
    errors: u64,
}

pub struct Model {
    rules: Rules,
    pub now: u64,
    /// Every id that was ever handed out.
    pub ids: Vec<String>,
    /// Handles of sessions that have ended.
    old_handles: Vec<String>,
    /// The live ones, as they became their users'.
    sessions: Vec<Session>,
    places: u64,
    /// Every cursor that was given, and the place from which it continues a list.
    pub cursors: Vec<(String, u64)>,
    counts: Counts,
}

/// The session that an id stands for, whether it is a retired id of it, and which authentication it proves.
struct Presented {
    at: usize,
    is_retired: bool,
    auth_time: u64,
}

impl Model {
    pub fn new(rules: Rules, now: u64) -> Self {
        Self {
            rules,
            now,
            ids: Vec::new(),
            old_handles: Vec::new(),
            sessions: Vec::new(),
            places: 0,
            cursors: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Every handle that was ever seen.
    pub fn handles(&self) -> impl Iterator<Item = &str> {
        let live = self
            .sessions
            .iter()
            .filter_map(|session| session.handle.as_deref());
        self.old_handles.iter().map(String::as_str).chain(live)
    }

    fn handles_and_ids(&self) -> Vec<String> {
        let handles = self.handles().map(str::to_owned);
        handles.chain(self.ids.iter().cloned()).collect()
    }

    fn with_detail(
        &mut self,
        mut answer: Value,
        at: usize,
        request: &Map<String, Value>,
        reply: &Value,
    ) -> Value {
        if wants_detail(request) {
            let mut seen = self.handles_and_ids();
            answer["detail"] = self.sessions[at].times(&reply["detail"], &mut seen);
        }
        answer
    }

    /// The moments to come at which something ends.
    pub fn ends(&self) -> Vec<u64> {
        let grace = self.rules.rotation_grace * 1000;
        let retired = self.sessions.iter().flat_map(|session| &session.retired);
        self.sessions
            .iter()
            .map(Session::expires_at)
            .chain(retired.map(|retired| retired.at + grace))
            .filter(|end| *end > self.now)
            .collect()
    }

    pub fn wait(&mut self, millis: u64) {
        self.now += millis;
        let before = self.sessions.len();
        let now = self.now;
        for session in self
            .sessions
            .iter()
            .filter(|session| session.expires_at() <= now)
        {
            self.old_handles.extend(session.handle.clone());
        }
        self.sessions.retain(|session| now < session.expires_at());
        self.counts.expired += (before - self.sessions.len()) as u64;
    }

    /// What a request is to be answered. What only the node can know, ids and handles, is taken from its `reply` if
    /// it is new.
    pub fn answer(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        match request["type"].as_str().expect("a type") {
            "create_session" => self.create(request, reply),
            "validate_session" => self.validate(request, reply),
            "regenerate_session" => self.regenerate(request, reply),
            "update_session" => self.update(request, reply),
            "list_sessions" => self.list(request, reply),
            "list_users" => self.list_users(reply),
            "destroy_session" => {
                let before = self.sessions.len();
                let revoked = self.destroy(request);
                let ended = self.sessions.len() < before && !revoked;
                let mut reply =
                    json!({"type": "session_destroyed", "message": "Session destroyed"});
                if wants_detail(request) {
                    reply["ended"] = ended.into();
                }
                reply
            }
            "destroy_user_sessions" => {
                let spared = self.present(request.get("except_session_id"));
                let spared = spared.map(|presented| &self.sessions[presented.at]);
                let is_users = |session: &&Session| session.user == request["user_id"];
                let spared = spared.filter(is_users).map(|session| session.id.clone());
                if request.contains_key("except_session_id") && spared.is_none() {
                    return self.invalid();
                }
                let count = self.end_all(|session| {
                    session.user == request["user_id"] && Some(&session.id) != spared.as_ref()
                });
                json!({"type": "user_sessions_destroyed", "count": count})
            }
            "destroy_all_sessions" => {
                let count = self.end_all(|_| true);
                json!({"type": "all_sessions_destroyed", "count": count})
            }
            "stats" => self.stats(reply),
            other => panic!("the model does not know {other}"),
        }
    }

    fn create(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        let user = &request["user_id"];
        let own_limit = request.get("max_sessions_per_user").map(number);
        let own_limit = own_limit.map(|limit| usize::try_from(limit).expect("small"));
        if let Err(why) = self.make_room(user, own_limit.or(self.rules.max_sessions_per_user)) {
            return self.refuse(&format!("create_session: {why}"));
        }
        let limit = self.rules.max_sessions;
        if self.sessions.len() >= limit {
            return self.refuse(&format!(
                "create_session: the node already holds its limit of {limit} live sessions"
            ));
        }
        self.places += 1;
        let ttl = request.get("ttl").map_or(self.rules.ttl, number) * 1000;
        let idle_timeout = match request.get("idle_timeout").map(number) {
            Some(0) => None,
            Some(seconds) => Some(seconds),
            None => self.rules.idle_timeout,
        };
        let session = Session {
            id: self.new_id(&reply["session_id"]),
            user: user.clone(),
            created_at: self.now,
            auth_time: self.now,
            last_seen_at: self.now,
            ends_at: self.now + ttl,
            ttl,
            idle_timeout: idle_timeout.map(|seconds| seconds * 1000),
            data: request.get("data").cloned(),
            binding: request.get("binding").cloned(),
            retired: Vec::new(),
            place: self.places,
            handle: None,
        };
        self.counts.created += 1;
        let created = json!({
            "type": "session_created", "session_id": session.id, "expires_at": session.expires_at() / 1000
        });
        self.sessions.push(session);
        self.with_detail(created, self.sessions.len() - 1, request, reply)
    }

    /// Makes room for one more session of a user, or says why there is none.
    fn make_room(&mut self, user: &Value, limit: Option<usize>) -> Result<(), String> {
        let of_user = self.sessions.iter().filter(|one| one.user == *user).count();
        let Some(limit) = limit.filter(|limit| of_user >= *limit) else {
            return Ok(());
        };
        if !self.rules.evict_oldest {
            return Err(format!(
                "the user already has the limit of {limit} live sessions"
            ));
        }
        for _ in 0..=of_user - limit {
            let oldest = self.sessions.iter().position(|one| one.user == *user);
            self.end(oldest.expect("there is one"));
        }
        Ok(())
    }

    fn validate(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        let Some(presented) = self.present(request.get("session_id")) else {
            return self.invalid();
        };
        let session = &mut self.sessions[presented.at];
        if !session.is_bound_to(request) {
            return self.invalid();
        }
        let age = self.now - presented.auth_time;
        if let Some(max_age) = request.get("max_age").map(number)
            && age > max_age * 1000
        {
            return json!({
                "type": "reauthentication_required", "user_id": session.user, "auth_age": age.div_ceil(1000)
            });
        }
        if request.get("touch") != Some(&Value::Bool(false)) {
            session.last_seen_at = self.now;
        }
        self.counts.validated += 1;
        let mut valid = json!({
            "type": "session_valid", "user_id": session.user,
            "expires_in": (session.expires_at() - self.now).div_ceil(1000)
        });
        if let Some(data) = &session.data {
            valid["data"] = data.clone();
        }
        self.with_detail(valid, presented.at, request, reply)
    }

    fn regenerate(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        let Some(presented) = self.present(request.get("old_session_id")) else {
            return self.invalid();
        };
        let mut at = presented.at;
        if !self.sessions[at].is_bound_to(request) {
            return self.invalid();
        }
        if presented.is_retired {
            return self.conflict("regenerate_session: this id was regenerated a moment ago");
        }
        let user = request.get("user_id");
        let new_user = user.filter(|user| self.sessions[at].user != **user);
        if let Some(user) = new_user {
            let id = self.sessions[at].id.clone();
            if let Err(why) = self.make_room(user, self.rules.max_sessions_per_user) {
                return self.refuse(&format!("regenerate_session: {why}"));
            }
            let all = &mut self.sessions;
            let place = all.iter().position(|one| one.id == id);
            let mut moved = all.remove(place.expect("it is another user's"));
            self.places += 1;
            moved.user = user.clone();
            moved.place = self.places;
            all.push(moved);
            at = all.len() - 1;
        }
        let new_id = self.new_id(&reply["new_session_id"]);
        let session = &mut self.sessions[at];
        let id = std::mem::replace(&mut session.id, new_id.clone());
        session.retired.push(Retired {
            id,
            at: self.now,
            auth_time: session.auth_time,
        });
        if new_user.is_some() {
            session.retired.clear();
        }
        if let Some(binding) = request.get("new_binding") {
            session.binding = Some(binding.clone());
        }
        session.last_seen_at = self.now;
        if request.get("reauthenticated") == Some(&Value::Bool(true)) || user.is_some() {
            if let Some(ttl) = request.get("ttl").map(number) {
                session.ttl = ttl * 1000;
            }
            if let Some(idle_timeout) = request.get("idle_timeout").map(number) {
                session.idle_timeout = Some(idle_timeout * 1000).filter(|idle| *idle > 0);
            }
            session.auth_time = self.now;
            session.ends_at = self.now + session.ttl;
        }
        if let Some(data) = request.get("data") {
            session.data = Some(data.clone());
        }
        self.counts.regenerated += 1;
        let regenerated = json!({"type": "session_regenerated", "new_session_id": new_id});
        self.with_detail(regenerated, at, request, reply)
    }

    fn update(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        let Some(presented) = self.present(request.get("session_id")) else {
            return self.invalid();
        };
        let session = &mut self.sessions[presented.at];
        if !session.is_bound_to(request) {
            return self.invalid();
        }
        if let Some(expected) = request.get("expected_data")
            && *expected != session.data.clone().unwrap_or_default()
        {
            return self.conflict("update_session: the session's data is not the expected data");
        }
        session.last_seen_at = self.now;
        session.data = Some(request["data"].clone());
        let updated = json!({"type": "session_updated"});
        self.with_detail(updated, presented.at, request, reply)
    }

    fn list(&mut self, request: &Map<String, Value>, reply: &Value) -> Value {
        let own = self.present(request.get("session_id"));
        let own = own.map(|presented| self.sessions[presented.at].id.clone());
        let limit = request.get("limit").map_or(100, number);
        let mut seen = self.handles_and_ids();
        let mut listed = Vec::new();
        let user = &request["user_id"];
        let after = request.get("cursor").map(|cursor| {
            let given = self.cursors.iter().find(|(given, _)| given == cursor);
            given.expect("it was given").1
        });
        let is_newest_first = request.get("order") == Some(&"newest".into());
        let mut of_user: Vec<_> = self.sessions.iter_mut().collect();
        of_user.retain(|one| one.user == *user);
        if is_newest_first {
            of_user.reverse();
        }
        of_user.retain(|one| {
            after.is_none_or(|after| (one.place < after) == is_newest_first && one.place != after)
        });
        let more = of_user.len() as u64 > limit;
        let mut end = 0;
        for session in of_user.into_iter().take(limit.try_into().expect("small")) {
            end = session.place;
            let mut one = session.times(&reply["sessions"][listed.len()], &mut seen);
            if let Some(data) = &session.data
                && request.get("data") != Some(&Value::Bool(false))
            {
                one["data"] = data.clone();
            }
            if own.as_ref() == Some(&session.id) {
                one["current"] = true.into();
            }
            listed.push(one);
        }
        let mut list = json!({"type": "session_list", "sessions": listed});
        if more {
            list["more"] = true.into();
            let cursor = reply["cursor"].as_str().unwrap_or("missing").to_owned();
            list["cursor"] = cursor.clone().into();
            self.cursors.push((cursor, end));
        }
        list
    }

    /// The users in the order in which the node tells them.
    fn list_users(&self, reply: &Value) -> Value {
        let mut users: Vec<(&Value, u64)> = Vec::new();
        for session in &self.sessions {
            match users.iter_mut().find(|(user, _)| *user == &session.user) {
                Some((_, sessions)) => *sessions += 1,
                None => users.push((&session.user, 1)),
            }
        }
        let told = reply["users"].as_array().cloned().unwrap_or_default();
        users.sort_by_key(|(user, _)| told.iter().position(|one| one["user_id"] == **user));
        let user = |(user, sessions)| json!({"user_id": user, "sessions": sessions});
        let users: Vec<_> = users.into_iter().map(user).collect();
        json!({"type": "user_list", "users": users})
    }

    /// Ends what a request names, and says whether a session ended because its id was stolen.
    fn destroy(&mut self, request: &Map<String, Value>) -> bool {
        let before = self.sessions.len();
        if let Some(handle) = request.get("handle") {
            let is_it = |session: &Session| {
                session.user == request["user_id"] && session.handle.as_deref() == handle.as_str()
            };
            self.end_all(is_it);
        } else if let Some(presented) = self.present(request.get("session_id")) {
            self.end(presented.at);
        } else {
            return self.sessions.len() < before;
        }
        false
    }

    fn stats(&self, reply: &Value) -> Value {
        let mut users: Vec<&Value> = Vec::new();
        for session in &self.sessions {
            if !users.contains(&&session.user) {
                users.push(&session.user);
            }
        }
        let counts = &self.counts;
        json!({
            "type": "stats",
            "sessions": self.sessions.len(),
            "users": users.len(),
            "created": counts.created,
            "validated": counts.validated,
            "invalid": counts.invalid,
            "regenerated": counts.regenerated,
            "destroyed": counts.destroyed,
            "expired": counts.expired,
            "errors": counts.errors,
            "version": reply["version"],
            "protocol": 2,
        })
    }

    /// Finds what an id stands for; one that was retired too long ago ends its session, if that is the rule.
    fn present(&mut self, id: Option<&Value>) -> Option<Presented> {
        let id = id?.as_str()?;
        for at in 0..self.sessions.len() {
            let session = &self.sessions[at];
            if session.id == id {
                return Some(Presented {
                    at,
                    is_retired: false,
                    auth_time: session.auth_time,
                });
            }
            if let Some(retired) = session.retired.iter().find(|retired| retired.id == id) {
                if self.now < retired.at + self.rules.rotation_grace * 1000 {
                    return Some(Presented {
                        at,
                        is_retired: true,
                        auth_time: retired.auth_time,
                    });
                }
                if self.rules.revoke_on_reuse {
                    self.end(at);
                }
                return None;
            }
        }
        None
    }

    fn end(&mut self, at: usize) {
        let session = self.sessions.remove(at);
        self.old_handles.extend(session.handle);
        self.counts.destroyed += 1;
    }

    fn end_all(&mut self, which: impl Fn(&Session) -> bool) -> usize {
        let before = self.sessions.len();
        while let Some(at) = self.sessions.iter().position(&which) {
            self.end(at);
        }
        before - self.sessions.len()
    }

    fn new_id(&mut self, id: &Value) -> String {
        let id = id.as_str().unwrap_or("missing").to_owned();
        assert!(!self.ids.contains(&id), "an id was handed out twice");
        self.ids.push(id.clone());
        id
    }

    fn invalid(&mut self) -> Value {
        self.counts.invalid += 1;
        json!({"type": "session_invalid"})
    }

    fn conflict(&mut self, text: &str) -> Value {
        self.counts.errors += 1;
        json!({"type": "error", "code": 22, "text": text})
    }

    fn refuse(&mut self, why: &str) -> Value {
        self.counts.errors += 1;
        json!({"type": "error", "code": 11, "text": why})
    }
}

fn wants_detail(request: &Map<String, Value>) -> bool {
    request.get("detail") == Some(&Value::Bool(true))
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number that is not negative")
}
