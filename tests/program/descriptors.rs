//! Standard descriptors that are closed, and those that lead nowhere, which are not the same.
#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use session_node_testing::{DEFAULTS, command};

const CREATE: &str = r#"{"type":"create_session","user_id":"alice"}"#;

/// Runs a node in a shell that sends it a request, with its descriptors redirected.
fn run(redirections: &str, args: &str) -> Output {
    let node = command(DEFAULTS);
    let script = format!(r#"printf '%s\n' "$1" | "$0" {args} {redirections}"#);
    Command::new("sh")
        .args(["-c", &script])
        .arg(node.get_program())
        .arg(CREATE)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("sh runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_closed_stdin_or_stdout_is_one_line_and_status_1() {
    for (redirections, stream) in [
        ("<&-", "the input (stdin)"),
        (">&-", "the output (stdout)"),
        ("<&- >&-", "the input (stdin)"),
    ] {
        let output = run(redirections, "");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{redirections}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{redirections}: {stderr}");
        assert!(stderr.starts_with("ERROR "), "{redirections}: {stderr}");
        assert!(stderr.contains(stream), "{redirections}: {stderr}");
        assert!(
            stderr.contains("Bad file descriptor"),
            "{redirections}: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
    let silent = run("<&- 2>&-", "");
    assert_eq!(silent.status.code(), Some(1));
}

#[test]
fn a_closed_stdout_is_found_before_anything_is_done() {
    let audit = std::env::temp_dir().join(format!("descriptors-{}", std::process::id()));
    let output = run(">&-", &format!("--audit {}", audit.display()));
    assert_eq!(output.status.code(), Some(1));
    assert!(!audit.exists());
}

#[test]
fn a_closed_stderr_is_none_of_the_nodes_business() {
    for args in ["", "--audit -", "--log debug"] {
        let output = run("2>&-", args);
        assert_eq!(output.status.code(), Some(0), "{args}");
        assert!(text(&output.stdout).contains("session_created"), "{args}");
    }
}

#[test]
fn a_descriptor_that_leads_nowhere_is_as_good_as_any() {
    for redirections in [
        "</dev/null",
        "<>/dev/null",
        ">/dev/null",
        "1<>/dev/null",
        "</dev/null >/dev/null",
    ] {
        let output = run(redirections, "");
        assert_eq!(output.status.code(), Some(0), "{redirections}");
        assert_eq!(text(&output.stderr), "", "{redirections}");
        assert_eq!(text(&output.stdout), "", "{redirections}");
    }
}

/// As Python's `subprocess.DEVNULL` and Node.js's `'ignore'` do.
#[test]
fn so_is_one_that_was_opened_for_reading_and_writing() {
    let nowhere = || {
        let opened = OpenOptions::new().read(true).write(true).open("/dev/null");
        Stdio::from(opened.expect("/dev/null opens"))
    };
    let child = command(DEFAULTS)
        .stdin(nowhere())
        .stdout(nowhere())
        .spawn()
        .expect("the node starts");
    let output = child.wait_with_output().expect("the node ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}
