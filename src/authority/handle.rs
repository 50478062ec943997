//! One authority for all tasks of an async program: its own thread carries out what has arrived from all of them as one
//! batch, as a node does with lines. So a commit to a file, or a round trip to a server, is shared by all that wait.

use std::sync::{Arc, mpsc};
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

/// A hand on a [`SessionAuthority`] that runs on a thread of its own. Clones are hands on the same one; the thread ends
/// when the last is dropped and everything that was asked has been answered.
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
/// [`Error::Stopped`] where the thread has ended. A request whose future is dropped before it is answered may or may
/// not be carried out.
#[derive(Clone)]
pub struct AuthorityHandle {
    requests: mpsc::Sender<Asked>,
    policy: Arc<Policy>,
}

/// A request, and who waits for the answer.
struct Asked {
    request: Request<'static>,
    answer: Box<dyn FnOnce(Answered<'_>) + Send>,
}

impl SessionAuthority {
    /// Moves the authority to a thread of its own, for tasks to share.
    ///
    /// # Errors
    ///
    /// When the system does not give a thread.
    pub fn into_handle(self) -> io::Result<AuthorityHandle> {
        let policy = Arc::new(self.policy.clone());
        let (requests, asked) = mpsc::channel();
        let thread = thread::Builder::new().name("session-authority".to_owned());
        thread.spawn(move || self.serve(&asked))?;
        Ok(AuthorityHandle { requests, policy })
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
        let (sender, receiver) = oneshot::channel();
        let answer = Box::new(|answered: Answered<'_>| {
            // Where nobody waits any more, nobody has to be told.
            let _ = sender.send(A::read(answered));
        });
        let asked = Asked { request, answer };
        self.requests.send(asked).map_err(|_| Error::Stopped)?;
        receiver.await.map_err(|_| Error::Stopped)?
    }
}
