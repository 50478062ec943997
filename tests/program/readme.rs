//! What the README shows is what the program does.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use session_node_testing::{command, needs, wait};

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const NODE: &str = env!("CARGO_BIN_EXE_session-node");

/// The fenced block behind a marker, or behind the first block of a marker.
fn blocks(marker: &str) -> impl Iterator<Item = &'static str> {
    let marker = format!("<!-- {marker} -->");
    let (_, rest) = README
        .split_once(&marker)
        .expect("the README has the marker");
    let fenced = rest.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a block has lines").1)
}

fn block(marker: &str) -> &'static str {
    blocks(marker).next().expect("a block follows the marker")
}

/// Ids and points in time, which differ from run to run, made equal.
fn without_chance(text: &str) -> String {
    let chance =
        Regex::new(r#"("(new_)?session_id":"|"expires_at":)[0-9a-f-]+"#).expect("a pattern");
    chance.replace_all(text, "$1…").into_owned()
}

#[test]
fn the_main_command_prints_what_the_readme_prints() {
    let shown = block("main command").trim();
    let (arguments, file) = shown
        .strip_prefix("cargo run --release --quiet -- ")
        .and_then(|command| command.split_once(" < "))
        .expect("the command runs the node on a file");
    let output = command(&arguments.split(' ').collect::<Vec<_>>())
        .stdin(File::open(file).expect("the file is in the repository"))
        .output()
        .expect("the node runs");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(
        without_chance(&printed),
        without_chance(block("main output"))
    );
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn the_python_example_prints_what_the_readme_prints() {
    needs!(PYTHON);
    let mut shown = blocks("python example");
    let (program, expected) = (
        shown.next().expect("the program"),
        shown.next().expect("its output"),
    );
    let output = Command::new("python3")
        .args(["-c", &program.replace("target/release/session-node", NODE)])
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(
        printed,
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The README's client, asked what clients get wrong, and by many threads at once.
#[test]
fn the_python_example_never_hangs_and_gives_nobody_the_answer_of_another() {
    needs!(PYTHON);
    let program = blocks("python example").next().expect("the program");
    let program = program.replace("target/release/session-node", NODE);
    let (client, _) = program.split_once("session = ask").expect("its use");
    let uses = r#"
nan = ask(type="create_session", user_id="bob", data={"score": float("nan")})
assert nan["code"] == 12, nan
long = ask(type="validate_session", session_id="f" * 1_100_000)
assert long["code"] == 12, long
assert ask(type="validate_session", session_id="f" * 1_000_000) == {"type": "session_invalid"}
assert ask(type="echo", echo="\ud800")["code"] == 12
# A thread that was interrupted between its request and its reply.
node.stdin.write(b'{"msg_id": 0, "type": "create_session", "user_id": "mallory"}\n')

def log_in(name, seen):
    session = ask(type="create_session", user_id=name)["session_id"]
    seen += [ask(type="validate_session", session_id=session)["user_id"] for _ in range(200)]

seen = {f"user{number}": [] for number in range(8)}
threads = [threading.Thread(target=log_in, args=item) for item in seen.items()]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all(names == [name] * 200 for name, names in seen.items()), seen
node.stdin.close()
try: ask(type="stats")
except (ConnectionError, ValueError): print("ended")
"#;
    let child = Command::new("python3")
        .args(["-c", &format!("{client}{uses}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("python3 runs");
    // Fails if it hangs.
    let status = wait(&mut child);
    let output = child.wait_with_output().expect("it has ended");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(status.success(), "{said}");
    assert_eq!(output.stdout, b"ended\n", "{said}");
}

/// The README's client for several processes, in eight of them, forked after the first request, with four threads each.
#[cfg(feature = "socket")]
#[test]
fn the_socket_example_gives_no_process_or_thread_the_answer_of_another() {
    needs!(PYTHON);
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.sock");
    let path = place.to_str().expect("UTF-8");
    let args = ["--strict", "--listen", &format!("unix:{path}")];
    let mut node = command(&args).spawn().expect("the node starts");
    let client = block("socket example").replace("/tmp/session-node.sock", path);
    let uses = r#"
import time
for attempt in range(1000):
    try: ask(type="stats"); break
    except OSError: time.sleep(0.01)
shared = ask(type="create_session", user_id="shared")["session_id"]

def log_in(name, seen):
    session = ask(type="create_session", user_id=name)["session_id"]
    seen += [ask(type="validate_session", session_id=session)["user_id"] for _ in range(100)]
    seen.append(ask(type="validate_session", session_id=shared)["user_id"])

def work(worker):
    seen = {f"user{worker}-{number}": [] for number in range(4)}
    threads = [threading.Thread(target=log_in, args=item) for item in seen.items()]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return all(names == [name] * 100 + ["shared"] for name, names in seen.items())

children = []
for worker in range(8):
    child = os.fork()
    if child == 0: os._exit(0 if work(worker) else 1)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
assert ask(type="stats")["sessions"] == 33
"#;
    let output = Command::new("python3")
        .args(["-c", &format!("{client}{uses}")])
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    node.kill().expect("it runs");
    node.wait().expect("it was killed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_tables_of_options_are_the_programs_own() {
    let help = command(&["--help"]).output().expect("the node runs").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    let option = Regex::new(r"(?m)^ +(--[a-z-]+)(?: <.*)?$").expect("a pattern");
    let (of_redis, others): (Vec<&str>, Vec<&str>) = option
        .captures_iter(&help)
        .map(|found| found.get(1).expect("a name").as_str())
        .filter(|name| !["--help", "--version"].contains(name))
        .partition(|name| name.starts_with("--redis-"));
    let is_of_socket = |name: &&str| name.starts_with("--listen") || *name == "--max-connections";
    let (of_socket, of_all): (Vec<&str>, Vec<&str>) = others.into_iter().partition(is_of_socket);

    let (_, section) = README.split_once("\n## Options\n").expect("a section");
    let section = section.split("\n## ").next().expect("its text");
    assert_eq!(options_in_the_table(section, &help), of_all);
    if cfg!(feature = "redis") {
        let (_, table) = OPERATIONS
            .split_once("\n| option | default |")
            .expect("a table");
        assert_eq!(options_in_the_table(table, &help), of_redis);
    }
    if cfg!(feature = "socket") {
        let (_, section) = README
            .split_once("\n## Several processes\n")
            .expect("a section");
        let section = section.split("\n## ").next().expect("its text");
        assert_eq!(options_in_the_table(section, &help), of_socket);
    }
}

/// The options that a table names, in its order; the defaults that it gives are those of the program's `help`.
fn options_in_the_table<'a>(text: &'a str, help: &str) -> Vec<&'a str> {
    let row = Regex::new(r"(?m)^\| `(--[a-z-]+)` \| (?:`([^`]+)`)? ?\|").expect("a pattern");
    for found in row.captures_iter(text) {
        if let Some(default) = found.get(2) {
            let default = format!("[default: {}]", default.as_str());
            let after = help
                .split(&format!("{} <", &found[1]))
                .nth(1)
                .expect("the option");
            let until_next = after.split("\n      --").next().expect("its help");
            assert!(
                until_next.contains(&default),
                "{}: {default} in {until_next}",
                &found[1]
            );
        }
    }
    row.captures_iter(text)
        .map(|found| found.get(1).expect("a name").as_str())
        .collect()
}

const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", README),
    (
        "docs/architecture.md",
        include_str!("../../docs/architecture.md"),
    ),
    (
        "docs/benchmarks.md",
        include_str!("../../docs/benchmarks.md"),
    ),
    ("docs/operations.md", OPERATIONS),
    ("docs/protocol.md", include_str!("../../docs/protocol.md")),
    (
        "docs/reliability.md",
        include_str!("../../docs/reliability.md"),
    ),
    ("docs/security.md", include_str!("../../docs/security.md")),
];

#[test]
fn the_documents_link_to_files_that_exist() {
    let link = Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").expect("a pattern");
    let mut links = 0;
    for (document, text) in DOCUMENTS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let folder = folder.parent().expect("it is in a folder");
        for found in link.captures_iter(text) {
            links += 1;
            assert!(folder.join(&found[1]).exists(), "{document}: {}", &found[1]);
        }
    }
    assert!(links > 15, "{links}");
}

#[test]
fn the_files_that_the_documents_name_exist() {
    let path = Regex::new(r"`((?:tests|testing|src|benches|fuzz)/[a-z_/-]+(?:\.rs)?)`")
        .expect("a pattern");
    let mut named = 0;
    for (document, text) in DOCUMENTS {
        for found in path.captures_iter(text) {
            // What a fuzzer leaves behind is there only then.
            if found[1].starts_with("fuzz/artifacts") {
                continue;
            }
            named += 1;
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&found[1]);
            assert!(path.exists(), "{document}: {}", &found[1]);
        }
    }
    assert!(named > 30, "{named}");
}
