//! The example of a web server does what it shows.
#![cfg(feature = "async")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[path = "../../examples/web_server.rs"]
#[allow(dead_code, reason = "an example has a main function")]
mod example;

/// The whole reply to a request.
async fn ask(address: std::net::SocketAddr, request: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    let head =
        format!("{request} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("it answers");
    reply
}

#[tokio::test]
async fn a_browser_logs_in_and_out() {
    let authority = session_node::SessionAuthority::builder().build();
    let sessions = authority.expect("the defaults").into_handle();
    let app = example::app(sessions.expect("a thread"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });

    let stranger = ask(address, "GET /", "").await;
    assert!(stranger.starts_with("HTTP/1.1 401 "), "{stranger}");
    let logged_in = ask(address, "GET /login/alice", "").await;
    let (_, cookie) = logged_in.split_once("set-cookie: ").expect("a cookie");
    let (cookie, attributes) = cookie.split_once("; ").expect("attributes");
    assert!(
        attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax\r\n"),
        "{attributes}"
    );
    let cookies = format!("theme=dark; {cookie}");
    let home = ask(address, "GET /", &cookies).await;
    assert!(home.ends_with("hello, alice\n"), "{home}");
    let logged_out = ask(address, "POST /logout", &cookies).await;
    assert!(
        logged_out.contains("__Host-session=; Max-Age=0; "),
        "{logged_out}"
    );
    let home = ask(address, "GET /", &cookies).await;
    assert!(home.starts_with("HTTP/1.1 401 "), "{home}");
    let name = "x".repeat(257);
    let refused = ask(address, &format!("GET /login/{name}"), "").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}
