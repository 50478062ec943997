//! The command line: what each option does, and what is said of a wrong one.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use session_node_testing::needs;

const CREATE: &str = r#"{"type":"create_session","user_id":"alice"}"#;
const VALIDATE: &str =
    r#"{"src":"c1","dest":"n1","body":{"type":"validate_session","session_id":"abc123"}}"#;

/// Runs the node with these arguments and variables on these lines.
fn run(args: &[&str], variables: &[(&str, &str)], lines: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_session-node"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // A node that refuses its command line has gone before it reads.
    let _ = writeln!(stdin, "{}", lines.join("\n"));
    drop(stdin);
    child.wait_with_output().expect("the node ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[track_caller]
fn assert_replies(args: &[&str], variables: &[(&str, &str)], lines: &[&str], pattern: &str) {
    let output = run(args, variables, lines);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let pattern = Regex::new(&format!("^{pattern}\n$")).expect("a pattern");
    let replies = text(&output.stdout);
    assert!(pattern.is_match(&replies), "{replies}");
}

#[test]
fn a_wrong_value_ends_with_status_2_and_says_what_was_expected() {
    let cases: &[(&[&str], &str)] = &[
        (&["--ttl", "0"], "--ttl"),
        (&["--ttl", "0"], "a number with a unit"),
        (&["--ttl", "soon"], "--ttl"),
        (&["--ttl", "-1"], "a number with a unit"),
        (&["--max-sessions", "-1"], "a whole number from 1"),
        (
            &["--ttl", "2d", "--max-ttl", "1d"],
            "--ttl must not be longer than --max-ttl",
        ),
        (&["--max-ttl", "1.5"], "--max-ttl"),
        (&["--idle-timeout", "1ms"], "or 0"),
        (&["--rotation-grace", "soon"], "--rotation-grace"),
        (&["--on-reuse", "report"], "ignore, revoke"),
        (&["--on-user-limit", "evict"], "evict-oldest, reject"),
        (&["--max-sessions-per-user", "0"], "a whole number from 1"),
        (&["--max-data-bytes", "1"], "a whole number from 2"),
        (&["--max-data-bytes", "1048577"], "to 1048576"),
        (&["--max-user-id-bytes", "0"], "a whole number from 1"),
        (
            &["--max-user-id-bytes", "3", "--preload", "abc123=user"],
            "a USER of 1 to 3",
        ),
        (&["--max-user-id-bytes", "1025"], "to 1024"),
        (&["--max-sessions", "0"], "a whole number from 1"),
        (&["--max-sessions", "many"], "--max-sessions"),
        (&["--max-line-bytes", "63"], "a whole number from 64"),
        (&["--max-line-bytes", "1073741825"], "to 1073741824"),
        (&["--id-format", "serial"], "uuid, token"),
        (&["--reply-format", "xml"], "envelope, body"),
        (&["--log", "loud"], "error, warn, info, debug"),
        (&["--store", "disk:"], "expected memory:"),
        (&["--store", "memory:x"], "expected memory:"),
        #[cfg(not(feature = "sqlite"))]
        (&["--store", "sqlite:x"], "build it with --features sqlite"),
        #[cfg(feature = "sqlite")]
        (&["--store", "sqlite:"], "the path of a file after sqlite:"),
        (&["--preload", "abc123"], "ID=USER"),
        (
            &["--preload", "a=b", "--preload", "a=c"],
            "the same ID twice",
        ),
        (
            &["--preload", "a=b,c=d", "--max-sessions", "1"],
            "--max-sessions",
        ),
        (&["--nonsense"], "--nonsense"),
        (
            &["--prelod", "a=b"],
            "a similar argument exists: '--preload'",
        ),
        (&["-x"], "unexpected argument '-x'"),
        (&["positional"], "takes options only"),
        (
            &["--audit-validated=yes"],
            "unexpected value '…' for '--audit-validated'",
        ),
        (&["--ttl=soon"], "invalid value '…' for '--ttl <DURATION>'"),
        (&["--ttl="], "invalid value '' for '--ttl <DURATION>'"),
        (&["--store", "sqlite://x"], "--store: write sqlite:PATH"),
        (&["--store", "sqlite:///x"], "--store: write sqlite:PATH"),
    ];
    for (args, expected) in cases {
        let output = run(args, &[], &[CREATE]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn what_was_wrong_is_not_repeated_since_it_may_be_secret() {
    let cases: [&[&str]; 16] = [
        &["--preload", "5ecret"],
        &["--preload", "5ecret="],
        &["--preload", "5ecret=a,5ecret=b"],
        &["--preload", "a=b", "5ecret=d"],
        &["5ecret=user"],
        &["--", "5ecret"],
        &["--5ecret-id-of-a-session=user"],
        &["-5ecret"],
        &["--audit-validated=5ecret"],
        &["--help=5ecret"],
        &["--ttl", "5ecret"],
        &["--log=5ecret"],
        &["--store", "redis://:5ecret@host:port"],
        &["--store", "redis-cluster://:5ecret@host/1"],
        &["--store", "sqlite:///home/5ecret"],
        &["--store", "5ecret"],
    ];
    for args in cases {
        let output = run(args, &[], &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(!stderr.contains("5ecret"), "{stderr}");
    }
}

#[test]
fn a_wrong_variable_is_not_repeated_either() {
    for name in [
        "TTL",
        "MAX_TTL",
        "IDLE_TIMEOUT",
        "ROTATION_GRACE",
        "ON_REUSE",
        "ID_FORMAT",
        "PRELOAD",
        "MAX_SESSIONS",
        "MAX_SESSIONS_PER_USER",
        "ON_USER_LIMIT",
        "MAX_DATA_BYTES",
        "MAX_LINE_BYTES",
        "REPLY_FORMAT",
        "STORE",
        "AUDIT_VALIDATED",
        "LOG",
    ] {
        let variable = format!("SESSION_NODE_{name}");
        let output = run(&[], &[(&variable, "5ecret")], &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(!stderr.contains("5ecret"), "{stderr}");
        let help = text(&run(&["--help"], &[(&variable, "5ecret")], &[]).stdout);
        assert!(!help.contains("5ecret"), "{help}");
    }
}

#[test]
fn help_groups_the_options_and_names_their_defaults_and_variables() {
    let help = text(&run(&["--help"], &[], &[]).stdout);
    for part in [
        "Sessions:",
        "Limits:",
        "Running:",
        "--ttl <DURATION>",
        "[default: 3600]",
        "[default: 30d]",
        "[default: 10000000]",
        "[default: 1048576]",
        "[default: uuid]",
        "[default: envelope]",
        "[default: memory:]",
        "[default: warn]",
        "SESSION_NODE_MAX_LINE_BYTES",
        "30m, 1h, 7d",
        "Example:",
        "Exit status:",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
    let short = run(&["-h"], &[], &[]);
    assert_eq!(short.status.code(), Some(0));
    assert!(text(&short.stdout).contains("--preload"));
}

#[test]
fn the_version_is_the_crates() {
    let version = text(&run(&["--version"], &[], &[]).stdout);
    assert_eq!(
        version,
        concat!("session-node ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_lifetime_may_be_given_with_a_unit() {
    for (ttl, seconds) in [
        ("90", "90"),
        ("30m", "1800"),
        ("2h", "7200"),
        ("7d", "604800"),
    ] {
        let args = [
            "--ttl",
            ttl,
            "--preload",
            "abc123=user123",
            "--reply-format",
            "body",
        ];
        let reply =
            format!(r#"\{{"type":"session_valid","user_id":"user123","expires_in":{seconds}\}}"#);
        assert_replies(&args, &[], &[VALIDATE], &reply);
    }
}

#[test]
fn ids_are_uuids_or_tokens() {
    let reply = |id: &str| {
        format!(r#"\{{"type":"session_created","session_id":"{id}","expires_at":\d+\}}"#)
    };
    let uuid = reply("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
    assert_replies(&[], &[], &[CREATE], &uuid);
    assert_replies(&["--id-format", "uuid"], &[], &[CREATE], &uuid);
    let token = reply("[A-Za-z0-9_-]{43}");
    assert_replies(&["--id-format", "token"], &[], &[CREATE], &token);
}

#[test]
fn several_sessions_may_be_preloaded() {
    let ask = |id: &str| format!(r#"{{"type":"validate_session","session_id":"{id}"}}"#);
    let lines = [ask("a"), ask("b"), ask("c"), ask("d")];
    let lines = [&*lines[0], &lines[1], &lines[2], &lines[3]];
    let user = |name: &str| {
        format!(r#"\{{"type":"session_valid","user_id":"{name}","expires_in":3600\}}"#)
    };
    let replies = [
        user("alice"),
        user("b=b"),
        user("carol"),
        r#"\{"type":"session_invalid"\}"#.into(),
    ];
    let args = ["--preload", "a=alice,b=b=b", "--preload", "c=carol"];
    assert_replies(&args, &[], &lines, &replies.join("\n"));
}

#[test]
fn sessions_follow_the_rules_that_the_options_set() {
    let create = |fields: &str| format!(r#"{{"type":"create_session","user_id":"alice"{fields}}}"#);
    let created = |expires_at: &str| {
        format!(r#"\{{"type":"session_created","session_id":"[^"]+","expires_at":{expires_at}\}}"#)
    };
    let regenerate = r#"{"type":"regenerate_session","old_session_id":"abc123"}"#;
    let regenerated = r#"\{"type":"session_regenerated","new_session_id":"[^"]+"\}"#;
    let valid = r#"\{"type":"session_valid","user_id":"user123","expires_in":3600\}"#;
    let invalid = r#"\{"type":"session_invalid"\}"#;
    let preload = ["--preload", "abc123=user123", "--reply-format", "body"];
    let with = |args: &[&'static str]| [&preload[..], args].concat();

    let idle = r#"\{"type":"session_valid","user_id":"user123","expires_in":60\}"#;
    assert_replies(&with(&["--idle-timeout", "1m"]), &[], &[VALIDATE], idle);
    assert_replies(&with(&["--idle-timeout", "0"]), &[], &[VALIDATE], valid);

    let lines = [regenerate, VALIDATE];
    let grace = format!("{regenerated}\n{valid}");
    assert_replies(&with(&["--rotation-grace", "30"]), &[], &lines, &grace);
    let no_grace = format!("{regenerated}\n{invalid}");
    assert_replies(&with(&[]), &[], &lines, &no_grace);

    let stats = r#"{"type":"stats"}"#;
    let sessions = |count: u8| format!(r#"\{{"type":"stats","sessions":{count},.*\}}"#);
    for (on_reuse, left) in [("ignore", 1), ("revoke", 0)] {
        let replies = format!("{no_grace}\n{}", sessions(left));
        let lines = [regenerate, VALIDATE, stats];
        assert_replies(&with(&["--on-reuse", on_reuse]), &[], &lines, &replies);
    }

    let two = [&*create(""), &*create(""), stats];
    let evicted = format!("{0}\n{0}\n{1}", created(r"\d+"), sessions(1));
    let body = ["--reply-format", "body", "--max-sessions-per-user", "1"];
    assert_replies(&body, &[], &two, &evicted);
    let error =
        r#"\{"type":"error","code":11,"text":"create_session: [^"]*limit of 1 live sessions"\}"#;
    let rejected = format!("{}\n{error}\n{}", created(r"\d+"), sessions(1));
    let args = [&body[..], &["--on-user-limit", "reject"]].concat();
    assert_replies(&args, &[], &two, &rejected);
}

#[test]
fn every_option_has_a_variable_and_the_option_beats_it() {
    let variables = [
        ("SESSION_NODE_TTL", "5m"),
        ("SESSION_NODE_MAX_TTL", "10m"),
        ("SESSION_NODE_IDLE_TIMEOUT", "300"),
        ("SESSION_NODE_ROTATION_GRACE", "30"),
        ("SESSION_NODE_ON_REUSE", "revoke"),
        ("SESSION_NODE_MAX_SESSIONS_PER_USER", "9"),
        ("SESSION_NODE_ON_USER_LIMIT", "reject"),
        ("SESSION_NODE_MAX_DATA_BYTES", "99"),
        ("SESSION_NODE_MAX_SESSIONS", "3"),
        ("SESSION_NODE_MAX_LINE_BYTES", "100"),
        ("SESSION_NODE_ID_FORMAT", "token"),
        ("SESSION_NODE_PRELOAD", "abc123=user123,a=alice"),
        ("SESSION_NODE_REPLY_FORMAT", "body"),
        ("SESSION_NODE_STRICT", "true"),
        ("SESSION_NODE_STORE", "memory:"),
        ("SESSION_NODE_LOG", "warn"),
    ];
    let valid = r#"\{"type":"session_valid","user_id":"user123","expires_in":300\}"#;
    assert_replies(&[], &variables, &[VALIDATE], valid);
    assert_replies(
        &["--ttl", "600", "--idle-timeout", "0"],
        &variables,
        &[VALIDATE],
        &valid.replace("300", "600"),
    );
    let enveloped = format!(r#"\{{"src":"n1","dest":"c1","body":{valid}\}}"#);
    assert_replies(
        &["--reply-format", "envelope"],
        &variables,
        &[VALIDATE],
        &enveloped,
    );
    let created =
        r#"\{"type":"session_created","session_id":"[A-Za-z0-9_-]{43}","expires_at":\d+\}"#;
    let full =
        r#"\{"type":"error","code":11,"text":"create_session: [^"]*limit of 3 live sessions"\}"#;
    assert_replies(
        &[],
        &variables,
        &[CREATE, CREATE],
        &format!("{created}\n{full}"),
    );

    let refused = |name: &str, value| run(&[], &[(name, value)], &[]).status.code();
    assert_eq!(refused("SESSION_NODE_TTL", "31d"), Some(2));
    assert_eq!(refused("SESSION_NODE_MAX_TTL", "1s"), Some(2));
    for name in [
        "IDLE_TIMEOUT",
        "ROTATION_GRACE",
        "ON_REUSE",
        "MAX_SESSIONS_PER_USER",
        "ON_USER_LIMIT",
        "MAX_DATA_BYTES",
    ] {
        assert_eq!(
            refused(&format!("SESSION_NODE_{name}"), "x"),
            Some(2),
            "{name}"
        );
    }
    assert_eq!(refused("SESSION_NODE_STORE", "disk:"), Some(2));
    assert_eq!(refused("SESSION_NODE_LOG", "loud"), Some(2));
    let long = format!("{}{}", " ".repeat(60), CREATE);
    let refused = r#"\{"type":"error","code":12,"text":"line 1: longer than 100 bytes, [^"]*"\}"#;
    assert_replies(&[], &variables, &[&long], refused);
    let misspelt = r#"{"type":"validate_session","session_id":"abc123","maxage":60}"#;
    let refused =
        r#"\{"type":"error","code":12,"text":"validate_session: field 3 of the body [^"]*"\}"#;
    assert_replies(&[], &variables, &[misspelt], refused);
}

#[test]
fn the_log_level_decides_what_is_said() {
    let lines = [VALIDATE, "nonsense"];
    let stderr = |level| text(&run(&["--log", level], &[], &lines).stderr);
    assert_eq!(stderr("error"), "");
    for level in ["warn", "info", "debug"] {
        assert!(stderr(level).contains("line 2: not JSON"), "{level}");
    }
}

/// Runs the node on a terminal of its own, as util-linux's `script` makes one.
#[test]
fn on_a_terminal_one_line_says_what_to_type() {
    needs!(SCRIPT);
    let node = env!("CARGO_BIN_EXE_session-node");
    let output = Command::new("script")
        .args(["-qec", &format!("{node} 2>&1 >/dev/null"), "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("it led to script"))
        .stdin(Stdio::null())
        .output()
        .expect("script runs");
    let shown = text(&output.stdout);
    let hints = shown.lines().filter(|line| {
        line.contains("session-node: type or paste one JSON object, on one line or over several")
    });
    let hints: Vec<_> = hints.collect();
    assert_eq!(hints.len(), 1, "{shown}");
    assert!(hints[0].contains("create_session") && hints[0].contains("Ctrl-D ends"));

    assert_eq!(text(&run(&[], &[], &[CREATE]).stderr), "");
}
