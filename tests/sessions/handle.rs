//! One authority for many tasks.
#![cfg(feature = "async")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use session_node::SessionAuthority;
use session_node::authority::{AuthorityHandle, Error};
use session_node::store::{Batch, CreateOptions, MemoryStore, Outcomes, Record, Store};

fn handle(store: impl Store + 'static) -> AuthorityHandle {
    let authority = SessionAuthority::builder().store(store).build();
    let authority = authority.expect("the defaults");
    authority.into_handle().expect("a thread")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_task_gets_the_answer_to_its_own_request() {
    each_task_asks_for_itself(handle(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_task_gets_the_answer_to_its_own_request_from_another_thread() {
    let open = Arc::new((Mutex::new(true), Condvar::new()));
    each_task_asks_for_itself(handle(Held::at(open))).await;
}

async fn each_task_asks_for_itself(sessions: AuthorityHandle) {
    let tasks = (0..200).map(|number| {
        let sessions = sessions.clone();
        tokio::spawn(async move {
            let user = format!("user{number}");
            for _ in 0..20 {
                let id = sessions.create(&user).await.expect("a session").id;
                let valid = sessions.validate(id.expose()).await.expect("an answer");
                assert_eq!(valid.user(), Some(&*user));
                let new = sessions.regenerate(id.expose()).await.expect("an answer");
                let new = new.expect("the session is live");
                let old = sessions.validate(id.expose()).await.expect("an answer");
                assert_eq!(old.user(), None);
                let data = format!("{{\"n\":{number}}}");
                assert!(
                    sessions
                        .update(new.expose(), data)
                        .await
                        .expect("an answer")
                );
            }
            let list = sessions.list(&user, None).await.expect("a list");
            let data = format!("{{\"n\":{number}}}");
            assert_eq!(list.sessions.len(), 20);
            assert!(
                list.sessions
                    .iter()
                    .all(|one| one.data.as_ref() == Some(&data))
            );
            let handle = list.sessions[0].handle.to_string();
            sessions
                .destroy_by_handle(&user, &handle)
                .await
                .expect("an answer");
            let count = sessions.destroy_user(&user, None).await;
            assert_eq!(count.expect("an answer"), Some(19));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no task has panicked");
    }
    assert_eq!(sessions.destroy_all().await.expect("an answer"), 0);
    let stats = sessions.stats().await.expect("counts");
    assert_eq!((stats.created, stats.regenerated), (4000, 4000));
    assert_eq!((stats.sessions, stats.destroyed), (Some(0), 4000));
}

/// A store that waits with its first batch until it is let go, and counts its batches.
struct Held {
    store: MemoryStore,
    gate: Arc<(Mutex<bool>, Condvar)>,
    batches: Arc<AtomicUsize>,
}

impl Held {
    fn at(gate: Arc<(Mutex<bool>, Condvar)>) -> Self {
        Self {
            store: MemoryStore::new(),
            gate,
            batches: Arc::default(),
        }
    }
}

impl Store for Held {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let (is_open, changed) = &*self.gate;
        let mut is_open = is_open.lock().expect("one at a time");
        while !*is_open {
            is_open = changed.wait(is_open).expect("one at a time");
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.store.apply(batch, outcomes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_meanwhile_is_one_batch() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Held::at(gate.clone());
    let batches = held.batches.clone();
    let sessions = handle(held);
    // Polled once each, so that all have been asked.
    let mut asked: Vec<_> = (0..500)
        .map(|_| Box::pin(sessions.create("alice")))
        .collect();
    for one in &mut asked {
        assert!(tokio::time::timeout(Duration::ZERO, one).await.is_err());
    }
    let given_up = asked.pop();
    drop(given_up);
    *gate.0.lock().expect("one at a time") = true;
    gate.1.notify_all();
    for one in asked {
        one.await.expect("a session");
    }
    // The first may have gone alone, or with some that came before the thread woke up.
    let batches = batches.load(Ordering::SeqCst);
    assert!(batches <= 2, "{batches} batches");
    assert_eq!(sessions.stats().await.expect("counts").created, 500);
}

#[tokio::test]
async fn an_argument_that_breaks_a_limit_is_refused_to_who_gave_it() {
    let sessions = handle(MemoryStore::new());
    assert!(matches!(
        sessions.create("").await,
        Err(Error::Invalid {
            argument: "user",
            ..
        })
    ));
    let options = CreateOptions {
        data: Some("}{\n".into()),
        ..CreateOptions::default()
    };
    assert!(matches!(
        sessions.create_with("alice", options).await,
        Err(Error::Invalid {
            argument: "data",
            ..
        })
    ));
    let stats = sessions.stats().await.expect("counts");
    assert_eq!(stats.created, 0);
}

/// An audit that only tells on which thread it is written.
#[derive(Clone, Default)]
struct ThreadOfAudit(Arc<Mutex<Option<String>>>);

impl std::io::Write for ThreadOfAudit {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let name = std::thread::current().name().map(str::to_owned);
        *self.0.lock().expect("one at a time") = name;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_task_writes_the_audit_itself() {
    let audit = ThreadOfAudit::default();
    let authority = SessionAuthority::builder().audit(audit.clone(), Record::Changes);
    let sessions = authority.build().expect("the defaults").into_handle();
    let sessions = sessions.expect("a thread");
    sessions.create("alice").await.expect("a session");
    let thread = audit.0.lock().expect("one at a time").clone();
    assert_eq!(thread.as_deref(), Some("session-authority"));
}

/// A store with a bug.
struct Broken {
    may_block: bool,
}

impl Store for Broken {
    fn apply(&mut self, _: &Batch<'_>, _: &mut Outcomes) {
        panic!("a bug in a store");
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}

#[tokio::test]
async fn nobody_waits_for_a_store_that_has_panicked() {
    let is_stopped = |answer| matches!(answer, Err(Error::Stopped));
    let sessions = handle(Broken { may_block: true });
    for _ in 0..2 {
        assert!(is_stopped(sessions.destroy("an id").await));
    }
    let sessions = handle(Broken { may_block: false });
    let of_a_task = sessions.clone();
    let task = tokio::spawn(async move { of_a_task.destroy("an id").await });
    assert!(task.await.expect_err("the task has panicked").is_panic());
    assert!(is_stopped(sessions.destroy("an id").await));
}

#[test]
fn a_handle_is_for_any_thread_and_any_task() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn can_move<T: Send>(future: T) -> T {
        future
    }
    let sessions = handle(MemoryStore::new());
    is_shared(&sessions);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let created = runtime.block_on(can_move(sessions.create("alice")));
    created.expect("a session");
}
