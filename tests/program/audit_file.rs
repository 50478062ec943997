//! The audit's file: who may read it, and how it is rotated under a running node.
#![cfg(unix)]

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_node_testing::{DEADLINE, DEFAULTS, Node, command, message};

/// A directory of its own for each test, removed afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(audit: &Path) -> Node {
    Node::start(&["--audit", audit.to_str().expect("a path in UTF-8")])
}

fn create(user: usize) -> Value {
    json!({"type": "create_session", "user_id": format!("user{user}")})
}

fn hang_up(node: &Node) {
    let status = Command::new("kill")
        .args(["-HUP", &node.child.id().to_string()])
        .status();
    assert!(status.expect("kill(1) runs").success());
}

/// The users whose creates these files hold, each line of which must be a whole entry.
fn users(files: &[PathBuf]) -> Vec<String> {
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("it is there"));
    let of_line = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("an entry is whole");
        session_node_testing::text(&entry, "user")
    };
    texts
        .flat_map(|text| text.lines().map(of_line).collect::<Vec<_>>())
        .collect()
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|user| format!("user{user}")).collect()
}

/// Creates, hundreds of them on their way at a time.
#[derive(Default)]
struct Load {
    sent: usize,
}

impl Load {
    /// Fits into a pipe, as do the replies.
    const AT_ONCE: usize = 400;

    fn send(&mut self, node: &mut Node) {
        let users = self.sent..self.sent + Self::AT_ONCE;
        node.write(
            users
                .map(|user| message(create(user)) + "\n")
                .collect::<String>(),
        );
        self.sent += Self::AT_ONCE;
    }

    fn receive(node: &mut Node) {
        for _ in 0..Self::AT_ONCE {
            node.recv();
        }
    }

    /// Goes on until the file is there and holds an event, and so the node has reopened it.
    fn until_it_is_used(&mut self, node: &mut Node, file: &Path) {
        let start = Instant::now();
        while fs::metadata(file).map_or(0, |file| file.len()) == 0 {
            self.send(node);
            Self::receive(node);
            assert!(start.elapsed() < DEADLINE, "the file is not used");
        }
    }
}

fn mode(file: &Path) -> u32 {
    let metadata = fs::metadata(file).expect("it is there");
    metadata.permissions().mode() & 0o777
}

#[test]
fn a_new_file_is_its_owners_alone_and_an_old_one_stays_as_it_was() {
    let directory = Directory::new("audit-mode");
    let node = command(DEFAULTS);
    for (name, mode_before, expected) in [("new", None, 0o600), ("old", Some(0o640), 0o640)] {
        let file = directory.file(name);
        if let Some(mode) = mode_before {
            fs::write(&file, "").expect("it can be written");
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
        }
        let status = Command::new("sh")
            .args(["-c", r#"umask 022 && exec "$0" --audit "$1""#])
            .arg(node.get_program())
            .arg(&file)
            .stdin(Stdio::null())
            .status();
        assert!(status.expect("sh runs").success());
        assert_eq!(mode(&file), expected, "{name}");
    }
}

#[test]
fn a_file_renamed_and_created_anew_under_load_loses_and_doubles_nothing() {
    let directory = Directory::new("audit-rotated");
    let file = directory.file("audit");
    let mut node = start(&file);
    let mut load = Load::default();
    load.until_it_is_used(&mut node, &file);
    let mut files = Vec::new();
    for rotation in 0..10 {
        load.send(&mut node);
        let old = directory.file(&format!("audit.{rotation}"));
        fs::rename(&file, &old).expect("it can be renamed");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        options.open(&file).expect("a new file");
        hang_up(&node);
        Load::receive(&mut node);
        files.push(old);
        load.until_it_is_used(&mut node, &file);
    }
    node.finish().ended_well();
    assert_eq!(mode(&file), 0o640, "as whoever rotates made it");
    files.push(file);
    assert!(users(&files) == expected(load.sent));
}

#[test]
fn a_file_that_was_renamed_is_created_anew_even_when_nothing_happens() {
    let directory = Directory::new("audit-renamed");
    let file = directory.file("audit");
    let mut node = start(&file);
    let mut files = Vec::new();
    for rotation in 0..3 {
        node.ask(create(rotation));
        let old = directory.file(&format!("audit.{rotation}"));
        fs::rename(&file, &old).expect("it can be renamed");
        hang_up(&node);
        let start = Instant::now();
        while !file.exists() {
            assert!(start.elapsed() < DEADLINE, "there is no new file");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(mode(&file), 0o600);
        files.push(old);
    }
    // Until the node lets the old file go, which is right after the new one appears, either may get the event.
    node.ask(create(3));
    assert_eq!(node.finish().ended_well().stderr, "");
    files.push(file);
    assert_eq!(users(&files), expected(4));
}

#[test]
fn a_file_that_cannot_be_reopened_is_reported_and_the_node_goes_on_with_the_one_it_has() {
    let directory = Directory::new("audit-unopened");
    let inner = directory.file("inner");
    fs::create_dir(&inner).expect("a new directory");
    let (audit, warnings) = (inner.join("audit"), directory.file("stderr"));
    let mut shell = command(&[]);
    let program = shell.get_program().to_owned();
    shell = Command::new("sh");
    shell.args(["-c", r#"exec "$0" --audit "$1" 2>"$2""#]);
    shell.arg(program).arg(&audit).arg(&warnings);
    for pipe in [Command::stdin, Command::stdout, Command::stderr] {
        pipe(&mut shell, Stdio::piped());
    }
    let mut node = Node::spawn(&mut shell);
    let mut load = Load::default();
    load.until_it_is_used(&mut node, &audit);

    let moved = directory.file("moved");
    fs::rename(&inner, &moved).expect("it can be renamed");
    hang_up(&node);
    let text = || fs::read_to_string(&warnings).expect("the file is there");
    let start = Instant::now();
    while text().is_empty() {
        assert!(start.elapsed() < DEADLINE, "nothing is said");
        thread::sleep(Duration::from_millis(1));
    }
    load.send(&mut node);
    Load::receive(&mut node);
    fs::create_dir(&inner).expect("a new directory");
    hang_up(&node);
    load.until_it_is_used(&mut node, &audit);
    node.finish().ended_well();

    assert_eq!(text().lines().count(), 1, "{}", text());
    assert!(text().contains("WARN --audit: cannot reopen"), "{}", text());
    assert!(text().contains("No such file or directory"), "{}", text());
    assert!(users(&[moved.join("audit"), audit]) == expected(load.sent));
}

#[test]
fn a_hang_up_without_a_file_does_nothing() {
    for args in [&[][..], &["--audit", "-"], &["--audit", "/dev/null"]] {
        let mut node = Node::start(args);
        node.ask(create(0));
        for _ in 0..3 {
            hang_up(&node);
            thread::sleep(Duration::from_millis(50));
            node.ask(create(1));
        }
        let output = node.finish().ended_well();
        assert!(
            !output.stderr.contains("WARN"),
            "{args:?}: {}",
            output.stderr
        );
    }
}
