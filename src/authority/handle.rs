//! One authority for all tasks of an async program.
//!
//! A store that never blocks is asked where the task runs, under a lock: an operation in memory takes less time than
//! waking another thread would. A store that may block gets a thread of its own, which carries out what has arrived
//! from all tasks as one batch, as a node does with lines. So all that wait share a commit to a file, or a round trip
//! to a server.

use std::sync::{Arc, Mutex, mpsc};
use std::{io, iter, thread};

use tokio::sync::oneshot;

use super::SessionAuthority;
use super::answer::{Answer, Answered, Created, Error, SessionList, Stats, Validation};
use super::request::{self, Request};
use crate::id::SessionId;
use crate::session::Policy;
use crate::store::{Changes, Conditions, CreateOptions, Operation};

/// The most operations that one batch takes, so that the first of them does not wait for a flood behind it.
const MOST_AT_ONCE: usize = 1024;

/// A hand on a [`SessionAuthority`] that many tasks share. Clones are hands on the same one.
///
/// ```
/// # tokio_test(async {
/// use session_node::SessionAuthority;
///
/// let sessions = SessionAuthority::builder().build()?.into_handle()?;
/// let id = sessions.create("alice").await?.id;
/// let for_a_task = sessions.clone();
/// assert_eq!(for_a_task.validate(id.expose()).await?.user(), Some("alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # });
/// # fn tokio_test<T>(task: impl Future<Output = Result<T, Box<dyn std::error::Error>>>) {
/// #     let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// #     runtime.block_on(task).map(|_| ()).unwrap();
/// # }
/// ```
///
/// Any async runtime will do. The methods are those of [`SessionAuthority`], and fail as they do; besides with
/// [`Error::Stopped`] after a panic of the store. A request whose future is dropped before it is answered may or may
/// not be carried out.
///
/// No task is ever held up by a disk or a server: a store that [may block](crate::store::Store::may_block) works on a
/// thread of its own, which ends when the last handle is dropped and everything that was asked has been answered.
#[derive(Clone)]
pub struct AuthorityHandle {
    authority: Shared,
    policy: Arc<Policy>,
}

#[derive(Clone)]
enum Shared {
    /// One that never blocks.
    Locked(Arc<Mutex<SessionAuthority>>),
    /// One on a thread of its own.
    Threaded(mpsc::Sender<Asked>),
}

/// A request, and who waits for the answer.
struct Asked {
    request: Request<'static>,
    answer: Box<dyn FnOnce(Answered<'_>) + Send>,
}

impl SessionAuthority {
    /// Makes the authority one that tasks share.
    ///
    /// # Errors
    ///
    /// When its store may block, and the system does not give it a thread.
    pub fn into_handle(self) -> io::Result<AuthorityHandle> {
        let policy = Arc::new(self.policy.clone());
        let authority = if self.store.may_block() {
            let (requests, asked) = mpsc::channel();
            let thread = thread::Builder::new().name("session-authority".to_owned());
            thread.spawn(move || self.serve(&asked))?;
            Shared::Threaded(requests)
        } else {
            Shared::Locked(Arc::new(Mutex::new(self)))
        };
        Ok(AuthorityHandle { authority, policy })
    }

    fn serve(mut self, asked: &mpsc::Receiver<Asked>) {
        let mut operations = Vec::new();
        let mut waiting = Vec::new();
        while let Ok(first) = asked.recv() {
            let arrived = iter::once(first).chain(asked.try_iter());
            for Asked { request, answer } in arrived.take(MOST_AT_ONCE) {
                let (operation, new_id) = self.make_operation(request);
                operations.push(operation);
                waiting.push((new_id, answer));
            }
            let now = self.now();
            self.carry_out(now, &operations, |_| None);
            operations.clear();
            for (operation, (new_id, answer)) in waiting.drain(..).enumerate() {
                self.count(operation);
                answer(self.answered(operation, new_id));
            }
        }
    }
}

#[allow(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl AuthorityHandle {
    /// As [`SessionAuthority::create`].
    pub async fn create(&self, user: impl Into<String>) -> Result<Created, Error> {
        self.create_with(user, CreateOptions::default()).await
    }

    /// As [`SessionAuthority::create_with`].
    pub async fn create_with(
        &self,
        user: impl Into<String>,
        options: CreateOptions<'static>,
    ) -> Result<Created, Error> {
        self.ask(request::create(user.into(), options)).await
    }

    /// As [`SessionAuthority::validate`].
    pub async fn validate(&self, id: &str) -> Result<Validation, Error> {
        self.validate_with(id, Conditions::default()).await
    }

    /// As [`SessionAuthority::validate_with`].
    pub async fn validate_with(
        &self,
        id: &str,
        conditions: Conditions,
    ) -> Result<Validation, Error> {
        self.ask(request::validate(id, conditions)).await
    }

    /// As [`SessionAuthority::regenerate`].
    pub async fn regenerate(&self, old_id: &str) -> Result<Option<SessionId>, Error> {
        self.regenerate_with(old_id, Changes::default()).await
    }

    /// As [`SessionAuthority::regenerate_with`].
    pub async fn regenerate_with(
        &self,
        old_id: &str,
        changes: Changes<'static>,
    ) -> Result<Option<SessionId>, Error> {
        self.ask(request::regenerate(old_id, changes)).await
    }

    /// As [`SessionAuthority::update`].
    pub async fn update(&self, id: &str, data: impl Into<String>) -> Result<bool, Error> {
        self.ask(request::update(id, data.into())).await
    }

    /// As [`SessionAuthority::list`].
    pub async fn list(
        &self,
        user: impl Into<String>,
        own_id: Option<&str>,
        limit: usize,
    ) -> Result<SessionList, Error> {
        self.ask(request::list(user.into(), own_id, limit)).await
    }

    /// As [`SessionAuthority::destroy`].
    pub async fn destroy(&self, id: &str) -> Result<(), Error> {
        self.ask(request::destroy(id)).await
    }

    /// As [`SessionAuthority::destroy_by_handle`].
    pub async fn destroy_by_handle(
        &self,
        user: impl Into<String>,
        handle: &str,
    ) -> Result<(), Error> {
        self.ask(request::destroy_by_handle(user.into(), handle))
            .await
    }

    /// As [`SessionAuthority::destroy_user`].
    pub async fn destroy_user(
        &self,
        user: impl Into<String>,
        except: Option<&str>,
    ) -> Result<u64, Error> {
        self.ask(request::destroy_user(user.into(), except)).await
    }

    /// As [`SessionAuthority::destroy_all`].
    pub async fn destroy_all(&self) -> Result<u64, Error> {
        self.ask(Operation::DestroyAll).await
    }

    /// As [`SessionAuthority::stats`].
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.ask(Operation::Stats).await
    }

    async fn ask<A: Answer + Send + 'static>(&self, request: Request<'static>) -> Result<A, Error> {
        let request = request::check(request, &self.policy)?;
        let requests = match &self.authority {
            Shared::Threaded(requests) => requests,
            Shared::Locked(authority) => {
                let mut authority = authority.lock().map_err(|_| Error::Stopped)?;
                return authority.ask_checked(request);
            }
        };
        let (sender, receiver) = oneshot::channel();
        let answer = Box::new(|answered: Answered<'_>| {
            // Where nobody waits any more, nobody has to be told.
            let _ = sender.send(A::read(answered));
        });
        let asked = Asked { request, answer };
        requests.send(asked).map_err(|_| Error::Stopped)?;
        receiver.await.map_err(|_| Error::Stopped)?
    }
}
