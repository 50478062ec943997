//! Makes the socket that the node serves, and removes its file at the end.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// How many connections the system keeps until the node accepts them.
const BACKLOG: i32 = 1024;

/// The file of a socket. Dropping it removes the file, unless another has taken its place.
pub struct SocketFile {
    path: PathBuf,
    /// The numbers of device and inode.
    identity: (u64, u64),
}

/// Makes a socket at `path` with these permissions, and listens on it. Replaces the file of a socket on which nobody
/// listens.
///
/// # Errors
///
/// If another process listens on the socket, something else is at the path, or the system refuses.
pub fn listen(path: &Path, mode: u32) -> anyhow::Result<(UnixListener, SocketFile)> {
    let name = path.display();
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    // Of two nodes that start at once, one must not remove the other's socket.
    let lock = File::open(directory).with_context(|| {
        format!(
            "cannot open the directory {} of the socket",
            directory.display()
        )
    })?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", directory.display()))?;
    remove_if_stale(path)?;
    let listener = bind(path, mode).with_context(|| format!("cannot listen on {name}"))?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path).with_context(|| format!("{name} has gone"))?,
    };
    Ok((listener, file))
}

/// Takes the socket that the service manager has passed on.
///
/// # Errors
///
/// If it has passed on none, or something else.
pub fn from_systemd() -> anyhow::Result<UnixListener> {
    let mut passed = listenfd::ListenFd::from_env();
    let listener = passed.take_unix_listener(0);
    let listener =
        listener.context("the descriptor that systemd passed on is not a Unix socket")?;
    listener.context("systemd has passed on no socket (LISTEN_FDS)")
}

fn remove_if_stale(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {name}")),
        Ok(found) if !found.file_type().is_socket() => bail!("{name} exists and is not a socket"),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process listens on {name}"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("cannot remove the old socket {name}"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot tell who listens on {name}")),
    }
}

/// Binds a socket. Nobody can connect before its permissions are set, because it does not listen until then.
fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
