//! Many nodes on one server: what they share, what they race for, and what they leave behind.
#![cfg(feature = "redis")]

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::Value;
use session_node::session::{Handle, OnReuse, OnUserLimit, SessionKey, Timestamp};
use session_node::store::{
    CreateOptions, ListOptions, Operation, Outcome, Outcomes, Policy, RedisStore,
};

use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix, wait_until};
use session_node_testing::ruled::Ruled;
use session_node_testing::{needs, turns};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A store under the default policy.
fn default(url: &str, prefix: &str) -> Ruled<RedisStore> {
    Ruled::new(connect(url, prefix), Policy::default())
}

fn key(id: &str) -> SessionKey {
    SessionKey::of(id)
}

/// Carries out one operation, told a given time.
fn one_at(now: Timestamp, store: &mut Ruled<RedisStore>, operation: Operation<'_>) -> Outcomes {
    store.apply(now, &[operation])
}

fn one(store: &mut Ruled<RedisStore>, operation: Operation<'_>) -> Outcomes {
    one_at(NOW, store, operation)
}

fn outcome(outcomes: &Outcomes) -> &Outcome {
    outcomes.all()[0].as_ref().expect("the server works")
}

fn create_for(store: &mut Ruled<RedisStore>, id: &str, user: &str, ttl: Duration) {
    let operation = Operation::Create {
        key: key(id),
        user: user.into(),
        options: Some(Box::new(CreateOptions {
            ttl: Some(ttl),
            ..CreateOptions::default()
        })),
    };
    let outcomes = one(store, operation);
    assert!(matches!(outcome(&outcomes), Outcome::Created { .. }));
}

fn create(store: &mut Ruled<RedisStore>, id: &str, user: &str) {
    create_for(store, id, user, HOUR);
}

fn is_valid(store: &mut Ruled<RedisStore>, id: &str) -> bool {
    let validate = Operation::Validate {
        key: key(id),
        conditions: None,
    };
    matches!(outcome(&one(store, validate)), Outcome::Valid { .. })
}

fn regenerate(store: &mut Ruled<RedisStore>, old: &str, new: &str) -> bool {
    let regenerate = Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: None,
    };
    *outcome(&one(store, regenerate)) == Outcome::Regenerated
}

fn destroy_user(store: &mut Ruled<RedisStore>, user: &str) -> u64 {
    let destroy = Operation::DestroyUser {
        user: user.into(),
        except: None,
    };
    match outcome(&one(store, destroy)) {
        Outcome::DestroyedMany { count } => *count,
        other => panic!("{other:?}"),
    }
}

fn handles(store: &mut Ruled<RedisStore>, user: &str) -> HashSet<Handle> {
    let list = Operation::List {
        user: user.into(),
        caller: None,
        options: Box::new(ListOptions {
            limit: 1000,
            ..ListOptions::default()
        }),
    };
    let outcomes = one(store, list);
    let Outcome::Sessions { listed, .. } = outcome(&outcomes) else {
        panic!("{outcomes:?}");
    };
    let listed = outcomes.listed(listed).iter();
    listed.map(|listed| listed.handle).collect()
}

#[test]
fn what_one_node_does_the_others_see() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    let mut nodes: Vec<_> = (0..3).map(|_| default(&server.url(), "")).collect();
    create(&mut nodes[0], "a", "alice");
    for node in &mut nodes {
        assert!(is_valid(node, "a"));
    }
    assert!(regenerate(&mut nodes[1], "a", "b"));
    for node in &mut nodes {
        assert!(!is_valid(node, "a") && is_valid(node, "b"));
        assert_eq!(handles(node, "alice"), HashSet::from([key("a").handle()]));
    }
    assert_eq!(destroy_user(&mut nodes[2], "alice"), 1);
    for node in &mut nodes {
        assert!(!is_valid(node, "b"));
    }
}

#[test]
fn nodes_with_other_prefixes_share_nothing() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    let mut shop = default(&server.url(), "shop:");
    let mut bank = default(&server.url(), "bank:");
    create(&mut shop, "a", "alice");
    assert!(!is_valid(&mut bank, "a"));
    assert_eq!(destroy_user(&mut bank, "alice"), 0);
    let all = one(&mut bank, Operation::DestroyAll);
    assert_eq!(*outcome(&all), Outcome::DestroyedMany { count: 0 });
    assert!(is_valid(&mut shop, "a"));
}

#[test]
fn nodes_whose_clocks_are_hours_apart_agree_on_what_is_live() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    let connect = || default(&server.url(), "");
    let (mut early, mut late) = (connect(), connect());
    let much_later = NOW + 5 * HOUR;
    let short = Duration::from_secs(2);
    create_for(&mut early, "a", "alice", short);
    create_for(&mut early, "b", "alice", HOUR);
    let validate = |id| Operation::Validate {
        key: key(id),
        conditions: None,
    };
    let seen =
        |store: &mut Ruled<RedisStore>, now, id| match outcome(&one_at(now, store, validate(id))) {
            Outcome::Valid { expires_at, .. } => Some(expires_at.seconds_from(now)),
            _ => None,
        };
    // By its own clock either would be wrong.
    assert_eq!(seen(&mut late, much_later, "a"), Some(2));
    assert!(seen(&mut late, much_later, "b") >= Some(3590));
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(seen(&mut early, NOW, "a"), None);
    assert_eq!(seen(&mut late, much_later, "a"), None);
    assert!(seen(&mut early, NOW, "b").is_some());
}

/// A life for each of many sessions, after which all of them have ended in one way or another, or soon will. `longest`
/// is for how long those may live that go unused.
fn live_and_end(node: &mut Ruled<RedisStore>, other: &mut Ruled<RedisStore>, longest: Duration) {
    for number in 0..300 {
        let user = format!("user {}", number / 3);
        let (id, next) = (format!("{number}"), format!("{number} next"));
        match number % 3 {
            0 => create(node, &id, &user),
            1 => {
                let idle = Operation::Create {
                    key: key(&id),
                    user: user.as_str().into(),
                    options: Some(Box::new(CreateOptions {
                        ttl: Some(longest),
                        idle_timeout: Some(Duration::from_secs(1)),
                        ..CreateOptions::default()
                    })),
                };
                one(node, idle);
            }
            _ => {
                create_for(node, &id, &user, Duration::from_secs(1));
            }
        }
        if number % 2 == 0 {
            assert!(regenerate(other, &id, &next));
        }
        let newest = if number % 2 == 0 { &next } else { &id };
        assert!(is_valid(node, newest));
        if number % 3 == 0 {
            match number % 4 {
                0 => {
                    one(
                        other,
                        Operation::Destroy {
                            key: key(newest),
                            detail: false,
                        },
                    );
                }
                1 => {
                    destroy_user(other, &user);
                }
                2 => {
                    let handle = Some(key(&id).handle());
                    let user = user.as_str().into();
                    one(
                        other,
                        Operation::DestroyByHandle {
                            user,
                            handle,
                            detail: false,
                        },
                    );
                }
                _ => {
                    one(other, Operation::DestroyAll);
                }
            }
        }
    }
}

#[test]
fn nothing_is_left_behind_when_all_sessions_have_ended() {
    needs!(REDIS_SERVER);
    let plain = Policy::default();
    let limited = Policy {
        max_sessions_per_user: Some(1),
        ..Policy::default()
    };
    let remembering = Policy {
        rotation_grace: Duration::from_secs(1),
        on_reuse: OnReuse::Revoke,
        ..Policy::default()
    };
    let server = RedisServer::start();
    for policy in [plain, limited, remembering] {
        let prefix = prefix();
        let connect = || Ruled::new(connect(&server.url(), &prefix), policy.clone());
        let (mut node, mut other) = (connect(), connect());
        // Where reuse is to be detected, pointers of retired ids stay for as long as their session could have lived.
        let longest = if policy.on_reuse == OnReuse::Revoke {
            Duration::from_secs(2)
        } else {
            HOUR
        };
        live_and_end(&mut node, &mut other, longest);
        assert!(server.key_count() > 0, "some are still to expire");
    }
    // What expires does so within two seconds, and its pointer some seconds later.
    wait_until("no key is left", || server.key_count() == 0);
}

#[test]
fn no_session_id_reaches_the_server() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    let mut watcher = redis::Client::open(server.url())
        .and_then(|client| client.get_connection())
        .expect("the server can be reached");
    watcher
        .send_packed_command(&redis::cmd("MONITOR").get_packed_command())
        .expect("the command is sent");
    assert_eq!(watcher.recv_response(), Ok(Value::Okay));
    let requests = [
        r#"{"type":"create_session","user_id":"alice"}"#.to_owned(),
        r#"{"type":"list_sessions","user_id":"alice"}"#.to_owned(),
    ];
    let url = server.url();
    let mut node = session_node_testing::Node::start(&["--store", &url, "--rotation-grace", "5"]);
    let mut ask = |request: &str| node.ask(request);
    let id = ask(&requests[0])["session_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    ask(&format!(
        r#"{{"type":"validate_session","session_id":"{id}"}}"#
    ));
    let reply = ask(&format!(
        r#"{{"type":"regenerate_session","old_session_id":"{id}"}}"#
    ));
    let next = reply["new_session_id"].as_str().expect("an id").to_owned();
    ask(&requests[1]);
    ask(&format!(
        r#"{{"type":"update_session","session_id":"{next}","data":{{}}}}"#
    ));
    ask(&format!(
        r#"{{"type":"destroy_session","session_id":"{id}"}}"#
    ));
    server.say("ECHO finished");
    let mut log = String::new();
    while !log.contains("finished") {
        match watcher.recv_response().expect("a line of the monitor") {
            Value::SimpleString(line) => log += &line,
            other => panic!("{other:?}"),
        }
    }
    assert!(log.to_lowercase().contains("evalsha") && log.contains("alice"));
    for id in [id, next] {
        assert!(!log.contains(&id));
        assert!(!log.contains(&id.replace('-', "")));
    }
}

/// Lets four nodes regenerate one session at the same moment, again and again.
fn race_to_regenerate(url: &str, policy: &Policy, races: usize) {
    const RACERS: usize = 4;
    let _turn = turns::busy();
    let prefix = prefix();
    let mut owner = Ruled::new(connect(url, &prefix), policy.clone());
    let won = AtomicUsize::new(0);
    let winner = AtomicUsize::new(0);
    let (begin, end) = (Barrier::new(RACERS + 1), Barrier::new(RACERS + 1));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for racer in 0..RACERS {
            let mut node = Ruled::new(connect(url, &prefix), policy.clone());
            let (begin, end, is_over) = (&begin, &end, &is_over);
            let (won, winner) = (&won, &winner);
            scope.spawn(move || {
                for race in 0.. {
                    begin.wait();
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    if regenerate(&mut node, &format!("{race}"), &format!("{race} {racer}")) {
                        won.fetch_add(1, Ordering::SeqCst);
                        winner.store(racer, Ordering::SeqCst);
                    }
                    end.wait();
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for race in 0..races {
                create(&mut owner, &format!("{race}"), "alice");
                won.store(0, Ordering::SeqCst);
                begin.wait();
                end.wait();
                assert_eq!(won.load(Ordering::SeqCst), 1, "winners of race {race}");
                let winner = winner.load(Ordering::SeqCst);
                for racer in 0..RACERS {
                    let id = format!("{race} {racer}");
                    assert_eq!(is_valid(&mut owner, &id), racer == winner, "race {race}");
                }
                assert_eq!(handles(&mut owner, "alice").len(), 1);
                assert_eq!(destroy_user(&mut owner, "alice"), 1);
            }
        }));
        is_over.store(true, Ordering::SeqCst);
        begin.wait();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn of_four_nodes_that_regenerate_one_session_exactly_one_wins() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    race_to_regenerate(&server.url(), &Policy::default(), 2000);
    let with_grace = Policy {
        rotation_grace: HOUR,
        ..Policy::default()
    };
    race_to_regenerate(&server.url(), &with_grace, 500);
}

#[test]
fn of_four_nodes_on_a_cluster_that_regenerate_one_session_exactly_one_wins() {
    needs!(REDIS_SERVER);
    race_to_regenerate(&Cluster::start().url(), &Policy::default(), 1000);
}

/// Four nodes create sessions of one user, over and over, while `act` is called; gives all ids that they were told of.
fn while_others_create(
    url: &str,
    policy: &Policy,
    act: impl FnOnce(&mut Ruled<RedisStore>, &(dyn Fn() -> Vec<String> + Sync)),
) {
    let _turn = turns::busy();
    let prefix = prefix();
    let created = std::sync::Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    let mut own = Ruled::new(connect(url, &prefix), policy.clone());
    thread::scope(|scope| {
        for creator in 0..4 {
            let mut node = Ruled::new(connect(url, &prefix), policy.clone());
            let (created, is_over) = (&created, &is_over);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let id = format!("{creator} {number}");
                    create(&mut node, &id, "alice");
                    created.lock().expect("no creator has panicked").push(id);
                }
            });
        }
        let so_far = || created.lock().expect("no creator has panicked").clone();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            act(&mut own, &so_far);
        }));
        is_over.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    // Whatever is live now can be found and ended.
    let live = handles(&mut own, "alice").len() as u64;
    assert_eq!(destroy_user(&mut own, "alice"), live);
    for id in created.into_inner().expect("no creator has panicked") {
        assert!(!is_valid(&mut own, &id), "{id} lives on");
    }
}

#[test]
fn all_sessions_of_a_user_end_that_were_there_while_others_begin() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    while_others_create(&server.url(), &Policy::default(), |node, so_far| {
        let mut random = StdRng::seed_from_u64(1);
        let mut checked = 0;
        while checked < 3000 {
            let before = so_far();
            destroy_user(node, "alice");
            // The latest, which are the likely ones to have slipped through, and some others.
            let latest = before.len().saturating_sub(40)..before.len();
            let others = (0..10).map(|_| random.random_range(0..before.len().max(1)));
            for place in latest.chain(others) {
                if let Some(id) = before.get(place) {
                    assert!(!is_valid(node, id), "{id} lives on");
                    checked += 1;
                }
            }
        }
    });
}

#[test]
fn a_users_limit_holds_while_four_nodes_create_their_sessions() {
    needs!(REDIS_SERVER);
    let cluster = Cluster::start();
    let policy = Policy {
        max_sessions_per_user: Some(3),
        on_user_limit: OnUserLimit::EvictOldest,
        ..Policy::default()
    };
    while_others_create(&cluster.url(), &policy, |node, so_far| {
        for _ in 0..500 {
            assert!(handles(node, "alice").len() <= 3);
        }
        let all = so_far();
        let live = all.iter().filter(|id| is_valid(node, id)).count();
        assert!(live <= 3, "{live} of {} are live", all.len());
    });
}
