//! Whom servers let in, with which rights, and which servers the node believes.
#![cfg(feature = "redis")]

use std::io::Write;
use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

use session_node_testing::redis_server::{RedisServer, free_port};
use session_node_testing::{Node, needs, run, text};

const CREATE: &str = r#"{"type":"create_session","user_id":"alice"}"#;

#[test]
fn a_server_lets_in_who_has_its_password_and_nobody_else() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start_with(&["--requirepass", "p@ss:w/rd"]);
    let port = server.port;
    let url = format!("redis://:p%40ss%3Aw%2Frd@127.0.0.1:{port}");
    let mut node = Node::start(&["--store", &url]);
    assert_eq!(node.ask(CREATE)["type"], "session_created");
    for wrong in [
        "redis://:5ecret@127.0.0.1:",
        "redis://127.0.0.1:",
        "redis-cluster://a:5ecret@127.0.0.1:",
    ] {
        let output = run(&["--store", &format!("{wrong}{port}")], "");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            output.stderr.contains(&format!("127.0.0.1:{port}")),
            "{}",
            output.stderr
        );
        assert!(!output.stderr.contains("5ecret"), "{}", output.stderr);
    }
}

#[test]
fn a_server_with_the_rights_that_the_documentation_lists_does_for_everything() {
    needs!(REDIS_SERVER);
    let documentation = include_str!("../../docs/operations.md");
    let line = documentation
        .lines()
        .find(|line| line.starts_with("ACL SETUSER"));
    let server = RedisServer::start();
    server.say(
        &line
            .expect("the line is there")
            .replace("PASSWORD", "secret"),
    );
    let url = format!("redis://session-node:secret@127.0.0.1:{}", server.port);
    let arguments = [
        "--store",
        &url,
        "--rotation-grace",
        "5",
        "--on-reuse",
        "revoke",
        "--max-sessions-per-user",
        "2",
    ];
    let mut node = Node::start(&arguments);
    let id = text(&node.ask(CREATE), "session_id");
    let requests = [
        format!(
            r#"{{"type":"regenerate_session","old_session_id":"{id}","reauthenticated":true,"data":{{}}}}"#
        ),
        format!(r#"{{"type":"validate_session","session_id":"{id}","binding":"x","max_age":5}}"#),
        r#"{"type":"create_session","user_id":"alice","idle_timeout":5,"data":{},"binding":"x"}"#
            .to_owned(),
        CREATE.to_owned(),
        format!(r#"{{"type":"update_session","session_id":"{id}","data":{{}}}}"#),
        r#"{"type":"list_sessions","user_id":"alice"}"#.to_owned(),
        r#"{"type":"list_sessions","user_id":"alice","order":"newest","limit":1}"#.to_owned(),
        r#"{"type":"list_users"}"#.to_owned(),
        format!(r#"{{"type":"destroy_session","session_id":"{id}"}}"#),
        r#"{"type":"destroy_user_sessions","user_id":"alice"}"#.to_owned(),
        r#"{"type":"destroy_all_sessions"}"#.to_owned(),
    ];
    for request in requests {
        let reply = node.ask(&request);
        assert_ne!(reply["type"], "error", "{request}: {reply}");
    }
    assert_eq!(server.say("ACL LOG"), redis::Value::Array(vec![]));
    assert_eq!(server.key_count(), 0);
}

/// Writes an authority's certificate, and one that it has signed for the loopback address with its key.
fn write_certificates(directory: &Path) {
    let authority = {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        CertifiedIssuer::self_signed(params, key).expect("a certificate")
    };
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let params = CertificateParams::new(names).expect("names");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    std::fs::create_dir_all(directory).expect("a directory");
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(directory.join(name), pem).expect("a file");
    }
}

#[test]
fn a_server_with_tls_is_believed_if_its_certificate_is_good() {
    needs!(REDIS_SERVER);
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    write_certificates(&directory);
    let file = |name: &str| directory.join(name).display().to_string();
    let server = RedisServer::start();
    for setting in [
        format!(
            "CONFIG SET tls-cert-file {} tls-key-file {} tls-ca-cert-file {}",
            file("server.pem"),
            file("key.pem"),
            file("ca.pem")
        ),
        "CONFIG SET tls-auth-clients no".to_owned(),
    ] {
        server.say(&setting);
    }
    let port = free_port();
    server.say(&format!("CONFIG SET tls-port {port}"));
    let url = format!("rediss://127.0.0.1:{port}");
    let run = |authority: &str| {
        let mut command = session_node_testing::command(&["--store", &url]);
        command.env("SSL_CERT_FILE", authority);
        let mut node = Node::spawn(&mut command);
        // It may have ended by then.
        let _ = writeln!(node.take_stdin(), "{CREATE}");
        node.collect()
    };
    let output = run(&file("ca.pem"));
    assert!(
        output.lines()[0].contains("session_created"),
        "{}",
        output.stderr
    );
    // Signed by nobody whom the node knows.
    write_certificates(&directory.join("other"));
    let output = run(&file("other/ca.pem"));
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(
        output.stderr.contains(&format!("127.0.0.1:{port}")),
        "{}",
        output.stderr
    );
    let _ = std::fs::remove_dir_all(&directory);
}
