//! Wires configuration, store and node together, and sets the exit code: 0 if the input ended, the reader of the
//! replies went away, or a signal arrived; 1 if a stream, the store or the system failed; 2 if the command line is
//! wrong.

mod audit_file;
#[cfg(feature = "socket")]
mod call;
mod cli;
mod descriptors;
#[cfg(feature = "socket")]
mod socket_file;
mod stderr;
mod stop;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
#[cfg(feature = "socket")]
use session_node::Server;
use session_node::clock::{Clock, SystemClock};
#[cfg(feature = "redis")]
use session_node::store::RedisStore;
#[cfg(feature = "sqlite")]
use session_node::store::SqliteStore;
use session_node::store::{MemoryStore, Store};
use session_node::{Node, RunError, SessionAuthority};
use tracing::{info, warn};

use crate::audit_file::AuditFile;
use crate::cli::{Config, StoreConfig, Task};
#[cfg(feature = "socket")]
use crate::cli::{Listen, SocketConfig};
use crate::stop::{Stopped, UntilSignal};

/// The first text that a person at a terminal reads.
const HINT: &str = "session-node: type or paste one JSON object, on one line or over several, such as \
                    {\"type\":\"create_session\",\"user_id\":\"alice\"}; Ctrl-D ends\n";
/// How far a store's time may be ahead of the system's clock before the node warns. Clocks of machines that synchronise
/// them differ by less.
const MUCH_AHEAD: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let _flush_at_end = match stderr::start() {
        Ok(guard) => guard,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ERROR cannot start a thread: {error}");
            return ExitCode::FAILURE;
        }
    };
    let task = match cli::read() {
        Ok(task) => task,
        Err(mistake) => {
            stderr::push(mistake.as_bytes());
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Serve(config) => {
            log_to_stderr(config.log);
            run(&config).map(|()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "socket")]
        Task::Call(socket) => {
            log_to_stderr(tracing::Level::WARN);
            call::call(&socket, HINT)
        }
    };
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run(config: &Config) -> anyhow::Result<()> {
    #[cfg(feature = "socket")]
    if let Some(socket) = &config.socket {
        return serve(config, socket);
    }
    descriptors::stdin_was_open().map_err(RunError::Input)?;
    descriptors::stdout_was_open().map_err(RunError::Output)?;
    if io::stdin().is_terminal() {
        stderr::push(HINT.as_bytes());
    }
    let (authority, audit_file) = build_authority(config)?;
    let mut node = Node::new(authority, config.options);

    // The node needs the descriptors themselves, because the handles of std would cut batches into pieces of 8 KiB or
    // of one line.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let input = input.context("cannot use standard input")?;
    let input = UntilSignal::new(input, move || {
        audit_file.iter().for_each(AuditFile::reopen);
    });
    let input = input.context("cannot listen for signals")?;
    let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    info!("started: sessions in {}", config.store);
    match node.run(input, output.context("cannot use standard output")?) {
        Err(RunError::Input(error)) if Stopped::is_cause_of(&error) => info!("stopped: {error}"),
        Ok(()) => info!("stopped: the input has ended, or nobody reads the replies"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Serves a socket until a signal arrives.
#[cfg(feature = "socket")]
fn serve(config: &Config, socket: &SocketConfig) -> anyhow::Result<()> {
    let (authority, audit_file) = build_authority(config)?;
    let stop = stop::stream_of_signals(move || {
        audit_file.iter().for_each(AuditFile::reopen);
    });
    let stop = stop.context("cannot listen for signals")?;
    let (listener, file) = match &socket.listen {
        Listen::Path(path) => {
            let (listener, file) = socket_file::listen(path, socket.mode).context("--listen")?;
            (listener, Some(file))
        }
        Listen::Systemd => (socket_file::from_systemd().context("--listen")?, None),
    };
    let most = socket.max_connections;
    let server = Server::new(authority, config.options, most, listener, stop);
    info!("started: sessions in {}", config.store);
    let mut server = server.context("cannot serve the socket")?;
    let ended = server.serve();
    // While the node still listens, no other takes the file for an old one and replaces it.
    drop(file);
    ended.context("cannot serve the socket")?;
    info!("stopped: asked to stop");
    Ok(())
}

/// Opens the store and the audit, and creates the sessions that exist from the start.
fn build_authority(config: &Config) -> anyhow::Result<(SessionAuthority, Option<AuditFile>)> {
    let store = open_store(config)?;
    warn_of_a_clock_behind(&*store, &config.store);
    let mut authority = SessionAuthority::builder()
        .policy(config.policy.clone())
        .id_format(config.id_format)
        .boxed_store(store);
    let mut audit_file = None;
    if let Some(audit) = &config.audit {
        authority = if audit.path.as_os_str() == "-" {
            authority.audit(stderr::Lines, audit.record)
        } else {
            let file = audit_file.insert(open_audit(&audit.path)?);
            authority.audit(file.clone(), audit.record)
        };
    }
    let mut authority = authority.build()?;
    for preload in &config.preloads {
        authority
            .preload(&preload.id, &preload.user)
            .context("--preload")?;
    }
    Ok((authority, audit_file))
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "redis")),
    expect(
        clippy::unnecessary_wraps,
        reason = "the store in memory cannot fail to open"
    )
)]
fn open_store(config: &Config) -> anyhow::Result<Box<dyn Store>> {
    Ok(match &config.store {
        StoreConfig::Memory => Box::new(MemoryStore::new()),
        #[cfg(feature = "sqlite")]
        StoreConfig::Sqlite(path) => Box::new(SqliteStore::open(path).context("--store")?),
        #[cfg(feature = "redis")]
        StoreConfig::Redis(options) => {
            Box::new(RedisStore::connect(options.clone()).context("--store")?)
        }
    })
}

fn open_audit(path: &Path) -> anyhow::Result<AuditFile> {
    AuditFile::open(path).with_context(|| format!("--audit: cannot append to {}", path.display()))
}

fn warn_of_a_clock_behind(store: &dyn Store, name: &StoreConfig) {
    let ahead = store.earliest_now().since(SystemClock::new().now());
    if ahead > MUCH_AHEAD {
        let ahead = humantime::format_duration(Duration::from_secs(ahead.as_secs()));
        warn!(
            "--store: {name} was last written {ahead} ahead of the system's clock; time goes on from there"
        );
    }
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
