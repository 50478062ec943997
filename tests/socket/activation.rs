//! A socket that the service manager has made and passed on, and the command lines that concern a socket.

use std::process::{Command, Stdio};

use session_node_testing::socket::{SocketNode, socket_place};
use session_node_testing::{PRELOADED, command, needs, program, wait};

const VALIDATE: &str = r#"{"type":"validate_session","session_id":"abc123"}"#;

/// Listens as systemd does, and becomes the program.
const LAUNCHER: &str = r#"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(10)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn piped(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// Starts the node by a launcher that ends in the socket's path, and works with it.
fn assert_serves(launcher: &mut Command) -> String {
    let place = socket_place();
    let path = place.0.join("s");
    launcher.arg(&path).arg(program());
    launcher.args(["--listen", "systemd"]).args(PRELOADED);
    let node = SocketNode::spawn(piped(launcher), &path);
    for mut connection in node.connect_many(3) {
        assert_eq!(connection.ask(VALIDATE)["type"], "session_valid");
    }
    let stderr = node.stop();
    assert!(path.exists(), "the socket belongs to the service manager");
    stderr
}

#[test]
fn a_socket_that_was_passed_on_is_served() {
    needs!(PYTHON);
    let stderr = assert_serves(Command::new("python3").args(["-c", LAUNCHER]));
    assert_eq!(stderr, "");
}

#[test]
fn a_socket_of_systemd_is_served() {
    needs!(SYSTEMD_SOCKET_ACTIVATE);
    let stderr = assert_serves(Command::new("systemd-socket-activate").arg("--listen"));
    assert!(
        !stderr.contains("WARN") && !stderr.contains("ERROR"),
        "{stderr}"
    );
}

/// Runs a node that must end by itself. Returns its status, and what it wrote to stderr.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = piped(command).spawn().expect("the node starts");
    let status = wait(&mut child);
    let output = child.wait_with_output().expect("stderr can be read");
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    (status.code(), stderr)
}

#[test]
fn without_a_socket_from_systemd_there_is_one_clear_line() {
    let none = run(command(&["--listen", "systemd"]).env_remove("LISTEN_FDS"));
    let of_another = run(command(&["--listen", "systemd"])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1"));
    let script =
        r#"exec 3</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" --listen systemd"#;
    let no_socket = run(Command::new("sh").args(["-c", script]).arg(program()));
    for (status, stderr) in [none, of_another, no_socket] {
        assert_eq!(status, Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.contains("--listen") && stderr.contains("systemd"),
            "{stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_wrong_command_line_says_what_was_expected() {
    for (args, expected) in [
        (&["--listen", "tcp:7331"][..], "unix:PATH or systemd"),
        (&["--listen", "unix:"], "unix:PATH or systemd"),
        (&["--listen", "unix:///s7331"], "without //"),
        (
            &["--listen", "unix:s7331", "--listen-mode", "7331"],
            "octal digits",
        ),
        (
            &["--listen", "unix:s7331", "--listen-mode", "rw"],
            "octal digits",
        ),
        (&["--listen-mode", "600"], "--listen"),
        (&["--max-connections", "7"], "--listen"),
        (
            &["--listen", "unix:s7331", "--max-connections", "0"],
            "--max-connections",
        ),
    ] {
        let (status, stderr) = run(&mut command(args));
        assert_eq!(status, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert!(!stderr.contains("7331"), "{args:?}: {stderr}");
    }
}
