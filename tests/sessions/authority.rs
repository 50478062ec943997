//! The typed interface: the same sessions under the same limits as on the wire.

use std::time::Duration;

use session_node::authority::{BuildError, Error, Validation};
use session_node::clock::ManualClock;
use session_node::session::{Binding, OnUserLimit, Policy, PolicyError, Timestamp};
use session_node::store::{
    Changes, Conditions, Conflict, CreateOptions, Cursor, ListOptions, ListUsersOptions,
    MemoryStore, Record, Refusal, UpdateConditions,
};
use session_node::{IdFormat, SessionAuthority};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn authority() -> SessionAuthority {
    SessionAuthority::builder().build().expect("the defaults")
}

fn with_data(data: &str) -> CreateOptions<'_> {
    CreateOptions {
        data: Some(data.into()),
        ..CreateOptions::default()
    }
}

fn with_ttl(ttl: Duration) -> CreateOptions<'static> {
    CreateOptions {
        ttl: Some(ttl),
        ..CreateOptions::default()
    }
}

/// Which argument was refused.
fn refused<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error::Invalid { argument, .. }) => argument,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn a_session_goes_through_its_life() {
    let clock = ManualClock::at(START);
    let builder = SessionAuthority::builder().ttl(HOUR).clock(clock.clone());
    let mut sessions = builder.build().expect("the policy is right");
    let created = sessions.create("alice").expect("a session");
    assert_eq!(created.expires_at, START + HOUR);
    let valid = Validation::Valid {
        user: "alice".to_owned(),
        data: None,
        expires_at: START + HOUR,
        detail: None,
    };
    let id = created.id.expose();
    assert_eq!(sessions.validate(id).expect("an answer"), valid);
    assert!(sessions.update(id, r#"{"cart": [1]}"#).expect("an answer"));

    let new = sessions.regenerate(id).expect("an answer");
    let new = new.expect("the session is live");
    assert_eq!(sessions.validate(id).expect("an answer").user(), None);
    assert!(sessions.regenerate(id).expect("an answer").is_none());
    assert!(!sessions.update(id, "{}").expect("an answer"));

    let other = sessions.create("alice").expect("a session").id;
    let mut options = limit(1);
    let list = sessions.list_with("alice", Some(new.expose()), options.clone());
    let list = list.expect("a list");
    assert_eq!(list.sessions.len(), 1);
    let shown = &list.sessions[0];
    assert!(shown.is_current);
    assert_eq!(shown.data.as_deref(), Some(r#"{"cart":[1]}"#));
    assert_eq!(shown.lifetime.created_at, START);
    options.after = list.next;
    let rest = sessions.list_with("alice", None, options).expect("a list");
    assert_eq!((rest.sessions.len(), rest.next), (1, None));
    let all = sessions.list("alice", None).expect("a list").sessions;
    assert_eq!((all.len(), &all[1]), (2, &rest.sessions[0]));
    assert_eq!(all[0].handle, shown.handle);
    let users = sessions.list_users(ListUsersOptions::default());
    let users = users.expect("a list").users;
    let alice = ("alice".to_owned(), 2);
    assert_eq!(users.len(), 1);
    assert_eq!((users[0].user.clone(), users[0].sessions), alice);

    let count = sessions.destroy_user("alice", Some(new.expose()));
    assert_eq!(count.expect("an answer"), Some(1));
    let stale = sessions.destroy_user("alice", Some(id));
    assert_eq!(stale.expect("an answer"), None);
    assert_eq!(
        sessions.validate(other.expose()).expect("an answer").user(),
        None
    );
    let handle = shown.handle.to_string();
    sessions
        .destroy_by_handle("alice", &handle)
        .expect("an answer");
    assert_eq!(
        sessions.validate(new.expose()).expect("an answer").user(),
        None
    );
    let again = sessions.destroy(new.expose());
    assert!(!again.expect("also when it has ended"));
    assert_eq!(sessions.destroy_all().expect("an answer"), 0);

    sessions.create("bob").expect("a session");
    clock.advance(HOUR);
    let stats = sessions.stats().expect("counts");
    assert_eq!((stats.sessions, stats.users), (Some(0), Some(0)));
    assert_eq!(
        (stats.created, stats.validated, stats.regenerated),
        (3, 1, 1)
    );
    assert_eq!((stats.destroyed, stats.expired, stats.errors), (2, 1, 0));
    assert_eq!(stats.invalid, 6);
}

#[test]
fn conditions_and_changes_are_those_of_the_wire() {
    let clock = ManualClock::at(START);
    let builder = SessionAuthority::builder().clock(clock.clone());
    let mut sessions = builder.build().expect("the policy is right");
    let binding = Some(Binding::to("certificate"));
    let options = CreateOptions {
        binding,
        ..with_ttl(2 * HOUR)
    };
    let id = sessions
        .create_with("alice", options)
        .expect("a session")
        .id;
    assert_eq!(
        sessions.validate(id.expose()).expect("an answer"),
        Validation::Invalid
    );
    clock.advance(61 * SECOND);
    let recent = |max_age| Conditions {
        binding,
        max_age: Some(max_age),
        ..Conditions::default()
    };
    let old = sessions.validate_with(id.expose(), recent(60));
    let expected = Validation::ReauthenticationRequired {
        user: "alice".to_owned(),
        auth_age: 61,
    };
    assert_eq!(old.expect("an answer"), expected);

    let changes = Changes {
        reauthenticated: true,
        data: Some("{\"step\":\t2}".into()),
        binding,
        ..Changes::default()
    };
    let new = sessions.regenerate_with(id.expose(), changes);
    let new = new.expect("an answer").expect("the session is live");
    let valid = Validation::Valid {
        user: "alice".to_owned(),
        data: Some("{\"step\":2}".to_owned()),
        expires_at: START + 61 * SECOND + 2 * HOUR,
        detail: None,
    };
    let seen = sessions.validate_with(new.expose(), recent(0));
    assert_eq!(seen.expect("an answer"), valid);
}

#[test]
fn whoever_asks_for_detail_gets_the_times_of_the_session() {
    let clock = ManualClock::at(START);
    let builder = SessionAuthority::builder().ttl(HOUR).clock(clock.clone());
    let mut sessions = builder.build().expect("the policy is right");
    let options = CreateOptions {
        detail: true,
        ..CreateOptions::default()
    };
    let created = sessions.create_with("alice", options).expect("a session");
    let begun = created.detail.expect("a detail");
    assert_eq!(begun.lifetime.ends_at, START + HOUR);
    clock.advance(SECOND);
    let conditions = Conditions {
        detail: true,
        ..Conditions::default()
    };
    let valid = sessions.validate_with(created.id.expose(), conditions);
    let Ok(Validation::Valid { detail, .. }) = valid else {
        panic!("the session is live");
    };
    let now = detail.expect("a detail");
    assert_eq!(now.handle, begun.handle);
    assert_eq!(now.lifetime.last_used_at, START + SECOND);
    assert!(sessions.destroy(created.id.expose()).expect("an answer"));
}

fn limit(limit: usize) -> ListOptions {
    ListOptions {
        limit,
        ..ListOptions::default()
    }
}

fn as_user(user: &str) -> Changes<'_> {
    Changes {
        user: Some(user.into()),
        ..Changes::default()
    }
}

#[test]
fn a_visitor_logs_in_with_the_data_of_the_visit() {
    let mut sessions = authority();
    let visit = sessions.create("visitor-1").expect("a session").id;
    let cart = r#"{"cart":[1]}"#;
    assert!(sessions.update(visit.expose(), cart).expect("an answer"));
    let id = sessions.regenerate_with(visit.expose(), as_user("alice"));
    let id = id.expect("an answer").expect("the session is live");
    let valid = sessions.validate(id.expose()).expect("an answer");
    assert_eq!(valid.user(), Some("alice"));
    assert!(matches!(valid, Validation::Valid { data, .. } if data.as_deref() == Some(cart)));
    let visit = sessions.validate(visit.expose()).expect("an answer");
    assert_eq!(visit, Validation::Invalid);
}

#[test]
fn a_change_that_needs_another_is_refused_without_it() {
    let mut sessions = authority();
    let id = sessions.create("alice").expect("a session").id;
    let changes = |argument| {
        let is = |name| argument == name;
        Changes {
            ttl: is("ttl").then_some(SECOND),
            idle_timeout: is("idle_timeout").then_some(SECOND),
            max_sessions_per_user: is("max_sessions_per_user").then_some(1),
            ..Changes::default()
        }
    };
    for argument in ["ttl", "idle_timeout", "max_sessions_per_user"] {
        let refusal = refused(sessions.regenerate_with(id.expose(), changes(argument)));
        assert_eq!(refusal, argument);
        let wrong = Changes {
            ttl: Some(Duration::ZERO),
            reauthenticated: true,
            ..Changes::default()
        };
        assert_eq!(refused(sessions.regenerate_with(id.expose(), wrong)), "ttl");
        let none = Changes {
            max_sessions_per_user: Some(0),
            ..as_user("alice")
        };
        let refusal = refused(sessions.regenerate_with(id.expose(), none));
        assert_eq!(refusal, "max_sessions_per_user");
    }
    let valid = sessions.validate(id.expose()).expect("an answer");
    assert_eq!(valid.user(), Some("alice"));
}

#[test]
fn every_argument_keeps_to_the_limits_of_the_wire() {
    let mut sessions = authority();
    let long = "x".repeat(257);
    for user in ["", &long] {
        assert_eq!(refused(sessions.create(user)), "user");
        assert_eq!(refused(sessions.list(user, None)), "user");
        assert_eq!(
            refused(sessions.regenerate_with("x", as_user(user))),
            "user"
        );
        assert_eq!(refused(sessions.destroy_user(user, None)), "user");
        assert_eq!(refused(sessions.destroy_by_handle(user, "x")), "user");
    }
    sessions.create(&long[1..]).expect("256 bytes are allowed");

    let month = Policy::default().max_ttl;
    for ttl in [
        Duration::ZERO,
        Duration::from_millis(999),
        month + Duration::from_millis(1),
        Duration::from_secs(u64::MAX),
    ] {
        assert_eq!(refused(sessions.create_with("alice", with_ttl(ttl))), "ttl");
        if !ttl.is_zero() {
            let options = CreateOptions {
                idle_timeout: Some(ttl),
                ..CreateOptions::default()
            };
            assert_eq!(
                refused(sessions.create_with("alice", options)),
                "idle_timeout"
            );
        }
    }
    for ttl in [SECOND, month] {
        let created = sessions.create_with("alice", with_ttl(ttl));
        created.expect("both ends of the range are allowed");
    }
    for wrong in [0, 1001] {
        let list = sessions.list_with("alice", None, limit(wrong));
        assert_eq!(refused(list), "limit");
        let (limit, after) = (wrong, None);
        let users = sessions.list_users(ListUsersOptions { limit, after });
        assert_eq!(refused(users), "limit");
    }
    let list = sessions.list_with("alice", None, limit(1000));
    list.expect("a list");
    let after = Cursor::parse("none");
    let options = ListOptions {
        after: after.clone(),
        ..ListOptions::default()
    };
    assert_eq!(refused(sessions.list_with("alice", None, options)), "after");
    let users = sessions.list_users(ListUsersOptions { limit: 1, after });
    assert_eq!(refused(users), "after");
    // None of the refused ones has left anything behind.
    assert_eq!(sessions.stats().expect("counts").created, 3);
}

#[test]
fn data_is_one_json_object_that_fits_on_a_line() {
    let mut sessions = authority();
    let id = sessions.create("alice").expect("a session").id;
    let of = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for data in [
        "",
        "}{\n",
        "{",
        "{} {}",
        "[]",
        "1",
        "null",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\n\"}",
        &of(4097),
    ] {
        assert_eq!(
            refused(sessions.create_with("alice", with_data(data))),
            "data",
            "{data}"
        );
        assert_eq!(
            refused(sessions.update(id.expose(), data)),
            "data",
            "{data}"
        );
        let changes = Changes {
            data: Some(data.into()),
            ..Changes::default()
        };
        assert_eq!(
            refused(sessions.regenerate_with(id.expose(), changes)),
            "data"
        );
    }
    let expecting = |expected: &'static str| UpdateConditions {
        expected_data: Some(Some(expected.into())),
        ..UpdateConditions::default()
    };
    let refusal = sessions.update_with(id.expose(), "{}", expecting("}{"));
    let text = refusal.expect_err("it is no JSON").to_string();
    assert_eq!(
        text,
        "expected_data must be a JSON object without lone surrogates"
    );
    let conflict = sessions.update_with(id.expose(), "{}", expecting("{ }"));
    assert!(matches!(conflict, Err(Error::Conflict(Conflict::Data))));
    for (data, kept) in [
        ("{}", "{}"),
        (
            " {\r\n \"a b\" : [ 1.0 , \"\\\" c\" ] } \n",
            "{\"a b\":[1.0,\"\\\" c\"]}",
        ),
        (&of(4096), &of(4096)),
    ] {
        assert!(sessions.update(id.expose(), data).expect("an answer"));
        let Ok(Validation::Valid { data, .. }) = sessions.validate(id.expose()) else {
            panic!("the session is live");
        };
        assert_eq!(data.as_deref(), Some(kept));
    }
}

#[test]
fn a_limit_on_sessions_is_told_in_words() {
    let builder = SessionAuthority::builder().max_sessions(2);
    let builder = builder.max_sessions_per_user(1, OnUserLimit::Reject);
    let mut sessions = builder.build().expect("the policy is right");
    sessions.create("alice").expect("a session");
    let Err(Error::Refused(refusal)) = sessions.create("alice") else {
        panic!("it was not refused");
    };
    let max_sessions_per_user = 1;
    assert_eq!(
        refusal,
        Refusal::UserLimit {
            max_sessions_per_user
        }
    );
    sessions.create("bob").expect("a session");
    let error = sessions.create("carol").err().expect("it is full");
    let text = "the node already holds its limit of 2 live sessions";
    assert_eq!(error.to_string(), text);
    assert_eq!(sessions.stats().expect("counts").errors, 2);
}

#[test]
fn what_does_not_go_together_is_no_authority() {
    let day = 24 * HOUR;
    let wrong = [
        SessionAuthority::builder().ttl(day).max_ttl(HOUR),
        SessionAuthority::builder().ttl(Duration::ZERO),
        SessionAuthority::builder()
            .ttl(Policy::LONGEST)
            .max_ttl(Duration::MAX),
        SessionAuthority::builder().idle_timeout(Duration::from_millis(999)),
        SessionAuthority::builder().rotation_grace(Duration::MAX),
        SessionAuthority::builder().max_sessions(0),
        SessionAuthority::builder().max_sessions(4_000_000_001),
        SessionAuthority::builder().max_sessions_per_user(0, OnUserLimit::Reject),
        SessionAuthority::builder().max_data_bytes(1),
        SessionAuthority::builder().max_data_bytes(1024 * 1024 + 1),
    ];
    let texts = wrong.map(|builder| match builder.build() {
        Err(BuildError::Policy(error)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was built"),
    });
    assert_eq!(
        texts,
        [
            "ttl must not be longer than max_ttl",
            "ttl must be from 1 s to 36500 days",
            "max_ttl must be from 1 s to 36500 days",
            "idle_timeout must be from 1 s to 36500 days",
            "rotation_grace must be from 1 s to 36500 days",
            "max_sessions must be from 1 to 4000000000",
            "max_sessions must be from 1 to 4000000000",
            "max_sessions_per_user must be from 1 to 4000000000",
            "max_data_bytes must be from 2 to 1048576",
            "max_data_bytes must be from 2 to 1048576",
        ]
    );
    let policy = Policy {
        ttl: Policy::LONGEST,
        max_ttl: Policy::LONGEST,
        idle_timeout: Some(SECOND),
        rotation_grace: Policy::LONGEST,
        max_sessions: Policy::MOST_SESSIONS,
        max_sessions_per_user: Some(1),
        max_data_bytes: 1024 * 1024,
        ..Policy::default()
    };
    assert_eq!(policy.check(), Ok::<(), PolicyError>(()));
}

#[test]
fn the_audit_of_an_authority_names_no_peer() {
    #[derive(Clone, Default)]
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one at a time").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let audit = Shared::default();
    let mut sessions = SessionAuthority::builder()
        .store(MemoryStore::new())
        .clock(ManualClock::at(START))
        .id_format(IdFormat::Token)
        .audit(audit.clone(), Record::Changes)
        .build()
        .expect("the policy is right");
    let id = sessions.create("alice").expect("a session").id;
    assert_eq!(id.expose().len(), 43);
    sessions.validate(id.expose()).expect("an answer");
    sessions.destroy(id.expose()).expect("an answer");
    let audit = audit.0.lock().expect("one at a time").clone();
    let audit = String::from_utf8(audit).expect("UTF-8");
    let events: Vec<serde_json::Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let names: Vec<_> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(names, ["created", "destroyed"]);
    assert!(events.iter().all(|event| event.get("src").is_none()));
    assert!(!audit.contains(id.expose()));
}
