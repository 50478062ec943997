//! Shares one authority among all tasks of an async program.
//!
//! If neither the store nor an audit can block, a task asks the authority in place, under a lock: an operation in
//! memory takes less time than waking another thread. Otherwise the authority gets a thread of its own. That thread
//! carries out what has arrived from all tasks as one batch, as a node does with lines. So the waiting tasks share one
//! commit to a file, or one round trip to a server.

use std::sync::{Arc, Mutex, mpsc};
use std::{io, iter, thread};

use tokio::sync::oneshot;

use super::SessionAuthority;
use super::answer::{Answer, Answered, Created, Error, SessionList, Stats, UserList, Validation};
use super::request::{self, Request};
use crate::id::SessionId;
use crate::session::Policy;
use crate::store::{
    Changes, Conditions, CreateOptions, ListOptions, ListUsersOptions, Operation, UpdateConditions,
};

/// The largest number of operations in a batch. Under a flood of requests, the first one must not wait for all others.
const MAX_BATCH: usize = 1024;

/// A [`SessionAuthority`] that many tasks share. Clones share the same authority.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// use session_node::SessionAuthority;
///
/// let sessions = SessionAuthority::builder().build()?.into_handle()?;
/// let id = sessions.create("alice").await?.id;
/// let for_a_task = sessions.clone();
/// assert_eq!(for_a_task.validate(id.expose()).await?.user(), Some("alice"));
/// # Ok(())
/// # })
/// # }
/// ```
///
/// The handle works with any async runtime. Its methods do what those of [`SessionAuthority`] do, with the same errors,
/// and fail with [`Error::Stopped`] after a panic of the store. If a caller drops a future before its answer arrives,
/// the authority may or may not carry out the request.
///
/// No task blocks on a disk or a server: an authority whose store [may block](crate::store::Store::may_block), or that
/// writes an audit, runs on a thread of its own. The thread ends when the last handle is dropped and all requests have
/// been answered.
#[derive(Clone)]
pub struct AuthorityHandle {
    authority: Shared,
    policy: Arc<Policy>,
}

#[derive(Clone)]
enum Shared {
    /// An authority that never blocks.
    Locked(Arc<Mutex<SessionAuthority>>),
    /// The queue of an authority on a thread of its own.
    Threaded(mpsc::Sender<QueuedRequest>),
}

/// A request, and the function that delivers its answer to the waiting task.
struct QueuedRequest {
    request: Request<'static>,
    answer: Box<dyn FnOnce(Answered<'_>) + Send>,
}

impl SessionAuthority {
    /// Makes a handle through which tasks share this authority.
    ///
    /// # Errors
    ///
    /// If the authority may block, and the system cannot start a thread for it.
    pub fn into_handle(self) -> io::Result<AuthorityHandle> {
        let policy = Arc::new(self.policy.clone());
        let authority = if self.store.may_block() || self.audit.is_some() {
            let (requests, queue) = mpsc::channel();
            let thread = thread::Builder::new().name("session-authority".to_owned());
            thread.spawn(move || self.serve(&queue))?;
            Shared::Threaded(requests)
        } else {
            Shared::Locked(Arc::new(Mutex::new(self)))
        };
        Ok(AuthorityHandle { authority, policy })
    }

    fn serve(mut self, queue: &mpsc::Receiver<QueuedRequest>) {
        let mut operations = Vec::new();
        let mut waiting = Vec::new();
        while let Ok(first) = queue.recv() {
            let arrived = iter::once(first).chain(queue.try_iter());
            for QueuedRequest { request, answer } in arrived.take(MAX_BATCH) {
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
    /// See [`SessionAuthority::create`].
    pub async fn create(&self, user: impl Into<String>) -> Result<Created, Error> {
        self.create_with(user, CreateOptions::default()).await
    }

    /// See [`SessionAuthority::create_with`].
    pub async fn create_with(
        &self,
        user: impl Into<String>,
        options: CreateOptions<'static>,
    ) -> Result<Created, Error> {
        self.ask(request::create(user.into(), options)).await
    }

    /// See [`SessionAuthority::validate`].
    pub async fn validate(&self, id: &str) -> Result<Validation, Error> {
        self.validate_with(id, Conditions::default()).await
    }

    /// See [`SessionAuthority::validate_with`].
    pub async fn validate_with(
        &self,
        id: &str,
        conditions: Conditions,
    ) -> Result<Validation, Error> {
        self.ask(request::validate(id, conditions)).await
    }

    /// See [`SessionAuthority::regenerate`].
    pub async fn regenerate(&self, old_id: &str) -> Result<Option<SessionId>, Error> {
        self.regenerate_with(old_id, Changes::default()).await
    }

    /// See [`SessionAuthority::regenerate_with`].
    pub async fn regenerate_with(
        &self,
        old_id: &str,
        changes: Changes<'static>,
    ) -> Result<Option<SessionId>, Error> {
        self.ask(request::regenerate(old_id, changes)).await
    }

    /// See [`SessionAuthority::update`].
    pub async fn update(&self, id: &str, data: impl Into<String>) -> Result<bool, Error> {
        self.update_with(id, data, UpdateConditions::default())
            .await
    }

    /// See [`SessionAuthority::update_with`].
    pub async fn update_with(
        &self,
        id: &str,
        data: impl Into<String>,
        conditions: UpdateConditions<'static>,
    ) -> Result<bool, Error> {
        self.ask(request::update(id, data.into(), conditions)).await
    }

    /// See [`SessionAuthority::list`].
    pub async fn list(
        &self,
        user: impl Into<String>,
        own_id: Option<&str>,
    ) -> Result<SessionList, Error> {
        self.list_with(user, own_id, ListOptions::default()).await
    }

    /// See [`SessionAuthority::list_with`].
    pub async fn list_with(
        &self,
        user: impl Into<String>,
        own_id: Option<&str>,
        options: ListOptions,
    ) -> Result<SessionList, Error> {
        self.ask(request::list(user.into(), own_id, options)).await
    }

    /// See [`SessionAuthority::list_users`].
    pub async fn list_users(&self, options: ListUsersOptions) -> Result<UserList, Error> {
        self.ask(request::list_users(options)).await
    }

    /// See [`SessionAuthority::destroy`].
    pub async fn destroy(&self, id: &str) -> Result<bool, Error> {
        self.ask(request::destroy(id)).await
    }

    /// See [`SessionAuthority::destroy_by_handle`].
    pub async fn destroy_by_handle(
        &self,
        user: impl Into<String>,
        handle: &str,
    ) -> Result<bool, Error> {
        self.ask(request::destroy_by_handle(user.into(), handle))
            .await
    }

    /// See [`SessionAuthority::destroy_user`].
    pub async fn destroy_user(
        &self,
        user: impl Into<String>,
        except: Option<&str>,
    ) -> Result<Option<u64>, Error> {
        self.ask(request::destroy_user(user.into(), except)).await
    }

    /// See [`SessionAuthority::destroy_all`].
    pub async fn destroy_all(&self) -> Result<u64, Error> {
        self.ask(Operation::DestroyAll).await
    }

    /// See [`SessionAuthority::stats`].
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
            // Sending fails if the task has dropped its future. Then nobody wants the answer.
            let _ = sender.send(A::read(answered));
        });
        let queued = QueuedRequest { request, answer };
        requests.send(queued).map_err(|_| Error::Stopped)?;
        receiver.await.map_err(|_| Error::Stopped)?
    }
}
