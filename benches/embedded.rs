//! Compares sessions in a Rust web server: session-node's authority beside the in-memory store of tower-sessions, both
//! behind axum. Requests go to the router without a network, whose cost would be the same for both.

use std::hint::black_box;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, header};
use axum::routing::get;
use rustix::time::{ClockId, clock_gettime};
use session_node::SessionAuthority;
use session_node::authority::AuthorityHandle;
use tower::ServiceExt;
use tower_sessions::cookie::time;
use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

/// Odd, so that there is a median.
const ROUNDS: usize = 15;
/// Tasks that ask at the same time.
const TASKS: usize = 64;
const REQUESTS_PER_TASK: usize = 1000;

fn main() -> anyhow::Result<()> {
    // One thread, whose CPU time is that of all tasks.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for (what, path) in [("validate", "/"), ("log in", "/login")] {
        let (ours, theirs) = (authority()?, tower_sessions());
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let ours = runtime.block_on(cpu_time(&ours, path));
            let theirs = runtime.block_on(cpu_time(&theirs, path));
            rounds.push((ours.as_secs_f64() / theirs.as_secs_f64(), ours, theirs));
        }
        rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, ours, theirs) = rounds[ROUNDS / 2];
        let (least, most) = (rounds[0].0, rounds[ROUNDS - 1].0);
        let [ours, theirs] = [ours, theirs].map(|time| time.as_secs_f64() * 1e6);
        println!(
            "{what}: {ours:.2} µs of CPU time, tower-sessions {theirs:.2} µs: \
             {ratio:.2} times ({least:.2} to {most:.2})"
        );
    }
    Ok(())
}

/// The CPU time of a request to `path`, of tasks that are all logged in.
async fn cpu_time(app: &Router, path: &'static str) -> Duration {
    let mut cookies = Vec::new();
    for _ in 0..TASKS {
        let reply = ask(app.clone(), "/login", "").await;
        let cookie = reply.headers()[header::SET_COOKIE].to_str();
        let cookie = cookie.expect("a cookie is text").split(';').next();
        cookies.push(cookie.expect("a cookie has a value").to_owned());
    }
    let began = thread_time();
    let tasks: Vec<_> = cookies
        .into_iter()
        .map(|cookie| {
            let app = app.clone();
            tokio::spawn(async move {
                for _ in 0..REQUESTS_PER_TASK {
                    let cookie = if path == "/" { &*cookie } else { "" };
                    let reply = ask(app.clone(), path, cookie).await;
                    black_box(axum::body::to_bytes(reply.into_body(), 100).await)
                        .is_ok_and(|body| &body[..] == b"alice")
                        .then_some(())
                        .expect("the server knows who asks");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    let requests = u32::try_from(TASKS * REQUESTS_PER_TASK).expect("the product is small");
    thread_time().saturating_sub(began) / requests
}

async fn ask(app: Router, path: &str, cookie: &str) -> axum::response::Response {
    let request = Request::get(path).header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).expect("a request");
    app.oneshot(request).await.expect("a router never fails")
}

fn thread_time() -> Duration {
    let time = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    time.expect("CPU time is not negative")
}

fn authority() -> anyhow::Result<Router> {
    async fn log_in(
        State(sessions): State<AuthorityHandle>,
    ) -> ([(header::HeaderName, String); 1], &'static str) {
        let created = sessions.create("alice").await.expect("there is room");
        let id = created.id.expose();
        let cookie = format!("id={id}; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=3600");
        ([(header::SET_COOKIE, cookie)], "alice")
    }

    async fn who(State(sessions): State<AuthorityHandle>, headers: HeaderMap) -> String {
        let cookies = headers[header::COOKIE].to_str().unwrap_or_default();
        let id = cookies
            .split("; ")
            .find_map(|pair| pair.strip_prefix("id="));
        let validation = sessions.validate(id.unwrap_or_default()).await;
        let validation = validation.expect("the store works");
        validation.user().unwrap_or_default().to_owned()
    }

    let sessions = SessionAuthority::builder().build()?.into_handle()?;
    let routes = Router::new()
        .route("/", get(who))
        .route("/login", get(log_in));
    Ok(routes.with_state(sessions))
}

fn tower_sessions() -> Router {
    async fn log_in(session: Session) -> &'static str {
        let inserted = session.insert("user", "alice").await;
        inserted.expect("the store works");
        "alice"
    }

    async fn who(session: Session) -> String {
        let user = session.get::<String>("user").await;
        user.expect("the store works").unwrap_or_default()
    }

    let expiry = Expiry::OnInactivity(time::Duration::hours(1));
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_expiry(expiry);
    let routes = Router::new()
        .route("/", get(who))
        .route("/login", get(log_in));
    routes.layer(sessions)
}
