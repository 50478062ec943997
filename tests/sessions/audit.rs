//! The audit: every event of a session, and never an id.
#![cfg(unix)]

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use session_node_testing::Node;

/// A path of its own for each test, removed afterwards.
struct AuditFile(PathBuf);

impl AuditFile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("the audit is there")
    }

    fn entries(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("an entry is JSON"))
            .collect()
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn create(node: &mut Node, user: &str) -> String {
    let created = node.ask(json!({"type": "create_session", "user_id": user}));
    session_node_testing::text(&created, "session_id")
}

fn events(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["event"].as_str().expect("an event"))
        .collect()
}

#[test]
fn every_event_is_a_line_that_says_when_what_whose_which_and_from_where() {
    let file = AuditFile::new("audit-events");
    let args = [
        "--audit",
        file.path(),
        "--on-reuse",
        "revoke",
        "--max-sessions-per-user",
        "2",
    ];
    let mut node = Node::start(&args);
    let mut ids = vec![create(&mut node, "alice")];
    let regenerated = node.ask(json!({"type": "regenerate_session", "old_session_id": ids[0]}));
    ids.push(session_node_testing::text(&regenerated, "new_session_id"));
    node.ask(json!({"type": "validate_session", "session_id": ids[1]}));
    node.ask(json!({"type": "validate_session", "session_id": "unknown"}));
    node.ask(json!({"type": "validate_session", "session_id": ids[0]}));
    for _ in 0..3 {
        ids.push(create(&mut node, "bob"));
    }
    node.ask(json!({"type": "destroy_session", "session_id": ids[3]}));
    let list = node.ask(json!({"type": "list_sessions", "user_id": "bob"}));
    let handle = session_node_testing::text(&list["sessions"][0], "handle");
    node.ask(json!({"type": "destroy_session", "user_id": "bob", "handle": handle}));
    ids.push(create(&mut node, "carol"));
    node.ask(json!({"type": "destroy_user_sessions", "user_id": "carol"}));
    ids.push(create(&mut node, "dave"));
    node.ask(json!({"type": "destroy_all_sessions"}));
    node.finish().ended_well();

    let entries = file.entries();
    assert_eq!(
        events(&entries),
        [
            "created",
            "regenerated",
            "invalid",
            "reuse_detected",
            "destroyed",
            "invalid",
            "created",
            "created",
            "evicted",
            "created",
            "destroyed",
            "destroyed",
            "created",
            "destroyed",
            "created",
            "all_destroyed",
        ]
    );
    let reasons: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["reuse", "id", "handle", "user"]);
    assert_eq!(entries[15]["count"], 1);
    // One session, one handle, whatever its id.
    assert_eq!(entries[0]["handle"], entries[1]["handle"]);
    assert_eq!(entries[0]["handle"], entries[4]["handle"]);
    assert_eq!(entries[11]["handle"], handle);
    assert_eq!(entries[8]["user"], "bob");

    let text = file.text();
    let first = Regex::new(
        r#"^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","event":"created","user":"alice","handle":"[\w-]{22}","src":"c1"\}\n"#,
    );
    assert!(first.expect("a pattern").is_match(&text), "{text}");
    for id in ids {
        assert!(!text.contains(&id));
    }
    assert!(!text.contains("unknown"));
}

#[test]
fn successful_validations_are_audited_on_request() {
    let file = AuditFile::new("audit-validated");
    let args = [
        "--audit",
        file.path(),
        "--audit-validated",
        "--preload",
        "abc123=alice",
    ];
    let mut node = Node::start(&args);
    node.ask(json!({"type": "validate_session", "session_id": "abc123"}));
    node.finish().ended_well();
    let entries = file.entries();
    assert_eq!(events(&entries), ["created", "validated"]);
    assert_eq!(entries[0].get("src"), None);
    assert_eq!(entries[1]["src"], "c1");
    assert_eq!(entries[0]["handle"], entries[1]["handle"]);
    assert!(!file.text().contains("abc123"));
}

#[test]
fn an_expired_session_is_audited_when_it_is_removed() {
    let file = AuditFile::new("audit-expired");
    let mut node = Node::start(&["--audit", file.path(), "--max-sessions", "1"]);
    node.ask(json!({"type": "create_session", "user_id": "alice", "ttl": 1}));
    node.ask(json!({"type": "create_session", "user_id": "bob"}));
    sleep(Duration::from_millis(2100));
    node.ask(json!({"type": "stats"}));
    node.finish().ended_well();
    let entries = file.entries();
    assert_eq!(events(&entries), ["created", "rejected", "expired"]);
    assert_eq!(
        (&entries[1]["user"], entries[1].get("handle")),
        (&json!("bob"), None)
    );
    assert_eq!(entries[2]["user"], "alice");
    assert_eq!(entries[2]["handle"], entries[0]["handle"]);
    assert_eq!(entries[2].get("src"), None, "nobody asked for it");
}

#[test]
fn an_event_stands_in_the_file_before_its_reply_leaves_and_is_appended() {
    let file = AuditFile::new("audit-order");
    for round in 1..=2 {
        let mut node = Node::start(&["--audit", file.path()]);
        create(&mut node, "alice");
        assert_eq!(file.entries().len(), round);
        node.finish().ended_well();
    }
}

#[test]
fn an_audit_may_go_to_stderr() {
    let request = r#"{"type":"create_session","user_id":"alice"}"#;
    let output = session_node_testing::run(&["--audit", "-"], request).ended_well();
    assert!(
        output
            .stderr
            .contains(r#""event":"created","user":"alice""#)
    );
    assert_eq!(output.stderr.lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_is_named_before_anything_is_served() {
    let request = r#"{"type":"create_session","user_id":"alice"}"#;
    let output = session_node_testing::run(&["--audit", "/nonexistent/audit.jsonl"], request);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("--audit: cannot append to /nonexistent/audit.jsonl")
    );
    assert!(output.stderr.contains("No such file or directory"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_once_and_loses_no_reply() {
    let mut node = Node::start(&["--audit", "/dev/full"]);
    for _ in 0..3 {
        create(&mut node, "alice");
    }
    let output = node.finish().ended_well();
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("session events are being lost"));
}

#[test]
fn the_flag_for_validations_needs_an_audit() {
    let output = session_node_testing::run(&["--audit-validated"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        output.stderr.contains("--audit <FILE>"),
        "{}",
        output.stderr
    );
}
