//! Runs a web server whose requests share one session authority.
//!
//! ```sh
//! cargo run --example web_server --features async
//! curl -c cookies http://localhost:3000/login/alice
//! curl -b cookies http://localhost:3000/
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use session_node::SessionAuthority;
use session_node::authority::{AuthorityHandle, Error};

/// The cookie's name. The prefix `__Host-` prevents other hosts and plain HTTP from setting the cookie (OWASP Session
/// Management Cheat Sheet).
const COOKIE: &str = "__Host-session";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hour = Duration::from_secs(3600);
    let sessions = SessionAuthority::builder()
        .ttl(8 * hour)
        .idle_timeout(hour)
        .build()?
        .into_handle()?;
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(sessions)).await?;
    Ok(())
}

/// The routes of the server.
pub fn app(sessions: AuthorityHandle) -> Router {
    Router::new()
        .route("/", get(home))
        // A real login checks a password, and is a POST request.
        .route("/login/{user}", get(log_in))
        .route("/logout", post(log_out))
        .with_state(sessions)
}

async fn home(
    State(sessions): State<AuthorityHandle>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let validation = sessions.validate(session_id(&headers)).await?;
    Ok(match validation.user() {
        Some(user) => format!("hello, {user}\n").into_response(),
        None => (StatusCode::UNAUTHORIZED, "log in first\n").into_response(),
    })
}

async fn log_in(
    State(sessions): State<AuthorityHandle>,
    Path(user): Path<String>,
) -> Result<Response, Failure> {
    let id = sessions.create(user).await?.id;
    Ok(with_cookie(
        &format!("{COOKIE}={}", id.expose()),
        "logged in\n",
    ))
}

async fn log_out(
    State(sessions): State<AuthorityHandle>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    sessions.destroy(session_id(&headers)).await?;
    Ok(with_cookie(
        &format!("{COOKIE}=; Max-Age=0"),
        "logged out\n",
    ))
}

/// The id that the browser presents. Without one, the empty id stands for it, which no session has.
fn session_id(headers: &HeaderMap) -> &str {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split("; "))
        .filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(name, _)| *name == COOKIE);
    found.map_or("", |(_, id)| id)
}

fn with_cookie(cookie: &str, body: &'static str) -> Response {
    let cookie = format!("{cookie}; Path=/; Secure; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], body).into_response()
}

/// The response to a browser if the authority cannot answer.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0 {
            Error::Invalid { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, format!("{}\n", self.0)).into_response()
    }
}
