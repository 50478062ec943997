//! Wires arguments, store and node together, and turns what happens into exit codes: 0 when the input ended,
//! the reader of the replies went away or a signal came; 1 when a stream or the system failed; 2 when the
//! command line is wrong.

mod audit_file;
mod cli;
mod descriptors;
mod stderr;
mod stop;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use session_node::audit::Audit;
use session_node::clock::{Clock, SystemClock};
use session_node::handler::Handler;
use session_node::id::IdGenerator;
#[cfg(feature = "redis")]
use session_node::store::RedisStore;
#[cfg(feature = "sqlite")]
use session_node::store::SqliteStore;
use session_node::store::{MemoryStore, Store};
use session_node::{Node, Options, RunError};
use tracing::{info, warn};

use crate::audit_file::AuditFile;
use crate::cli::{Arguments, StoreUrl};
use crate::stop::{Stopped, UntilSignal};

/// What a person at a terminal reads first.
const HINT: &str = "session-node: type or paste one JSON object, on one line or over several, such as \
                    {\"type\":\"create_session\",\"user_id\":\"alice\"}; Ctrl-D ends\n";
/// By how much a store may be ahead of the system's clock before it is worth a warning: more than the clocks of
/// machines differ by that keep them set.
const MUCH_AHEAD: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let _flush_at_end = match stderr::start() {
        Ok(guard) => guard,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ERROR cannot start a thread: {error}");
            return ExitCode::FAILURE;
        }
    };
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(mistake) => {
            stderr::push(mistake.as_bytes());
            return ExitCode::from(2);
        }
    };
    log_to_stderr(arguments.log());
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    descriptors::stdin_was_open().map_err(RunError::Input)?;
    descriptors::stdout_was_open().map_err(RunError::Output)?;
    if io::stdin().is_terminal() {
        stderr::push(HINT.as_bytes());
    }
    let ids = IdGenerator::from_system(arguments.id_format())
        .context("cannot seed the generator of session ids from the operating system")?;
    let store = open_store(arguments)?;
    let clock = start_clock(&store, &arguments.store());
    let mut node = Node::new(
        store,
        clock,
        Handler::new(ids, arguments.terms()),
        Options {
            max_line_bytes: arguments.max_line_bytes,
            reply_format: arguments.reply_format(),
            limits: arguments.limits(),
        },
    );
    let mut audit_file = None;
    if let Some(path) = &arguments.audit {
        let output: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(stderr::Lines)
        } else {
            Box::new(audit_file.insert(open_audit(path)?).clone())
        };
        node = node.with_audit(Audit::new(output, arguments.record()));
    }
    for preload in arguments.preloads() {
        node.preload(preload.id, preload.user)
            .context("--preload")?;
    }

    // The descriptors themselves: std's own handles would cut batches into pieces of 8 KiB, or of a line.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let input = UntilSignal::new(input.context("cannot use standard input")?, move || {
        audit_file.iter().for_each(AuditFile::reopen);
    });
    let input = input.context("cannot listen for signals")?;
    let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    info!("started: sessions in {}", arguments.store());
    match node.run(input, output.context("cannot use standard output")?) {
        Err(RunError::Input(error)) if Stopped::is_why(&error) => info!("stopped: {error}"),
        Ok(()) => info!("stopped: the input has ended, or nobody reads the replies"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn open_store(arguments: &Arguments) -> anyhow::Result<Box<dyn Store>> {
    let policy = arguments.policy();
    Ok(match arguments.store() {
        StoreUrl::Memory => Box::new(MemoryStore::new(policy)),
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite(path) => Box::new(SqliteStore::open(path, policy).context("--store")?),
        #[cfg(not(feature = "sqlite"))]
        StoreUrl::Sqlite(_) => anyhow::bail!("--store: this build has no SQLite store"),
        #[cfg(feature = "redis")]
        StoreUrl::Redis(url) => {
            let options = arguments.redis_options(url);
            Box::new(RedisStore::connect(options, policy).context("--store")?)
        }
    })
}

fn open_audit(path: &Path) -> anyhow::Result<AuditFile> {
    AuditFile::open(path).with_context(|| format!("--audit: cannot append to {}", path.display()))
}

/// The system's clock, which begins no earlier than the store was last written.
fn start_clock(store: &dyn Store, name: &StoreUrl) -> SystemClock {
    let earliest = store.earliest_now();
    let ahead = earliest.since(SystemClock::new().now());
    if ahead > MUCH_AHEAD {
        let ahead = humantime::format_duration(Duration::from_secs(ahead.as_secs()));
        warn!(
            "--store: {name} was last written {ahead} ahead of the system's clock; time goes on from there"
        );
    }
    SystemClock::no_earlier_than(earliest)
}

fn log_to_stderr(level: tracing::Level) {
    tracing_subscriber::fmt()
        .with_writer(|| stderr::Lines)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}
