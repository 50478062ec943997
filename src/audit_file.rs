//! The file that `--audit` names: append-only, readable by its owner only, and reopened after a rotation.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

/// An audit file, shared by the audit, which writes to it, and the signal thread, which reopens it.
#[derive(Clone)]
pub struct AuditFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    /// A pipe or a device cannot be rotated. Besides, opening one may wait for its reader, and the signal thread must
    /// not wait.
    is_regular: bool,
}

impl AuditFile {
    /// Opens the file at `path`, or creates it.
    ///
    /// # Errors
    ///
    /// If the system does not let the node append to the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            is_regular: file.metadata()?.is_file(),
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// Continues with the file that is at the path now, which it creates if necessary. If that file cannot be opened,
    /// continues with the present one.
    pub fn reopen(&self) {
        let is_other_kind = fs::metadata(&self.path).is_ok_and(|found| !found.is_file());
        if !self.is_regular || is_other_kind {
            return;
        }
        let path = self.path.display();
        match open(&self.path) {
            Ok(file) => {
                *self.file() = file;
                info!("--audit: reopened {path}");
            }
            Err(error) => {
                warn!("--audit: cannot reopen {path}, so events still go to the old file: {error}");
            }
        }
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for AuditFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    /// Holds the lock across all writes of `bytes`, so that a rotation cannot split a line between two files.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a file for appending. A new file has mode 600, because events name users.
fn open(path: &Path) -> io::Result<File> {
    File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
