//! Reads, writes and locks files of the state folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::StateError;

pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The locked file, or `None` while another process holds the lock.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, StateError> {
    let io = |act, source| StateError::Io {
        act,
        path: path.to_path_buf(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| io("open", source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io("lock", source)),
    }
}

pub(crate) fn read(path: &Path) -> Result<String, StateError> {
    let io = |act, source| StateError::Io {
        act,
        path: path.to_path_buf(),
        source,
    };
    std::fs::read_to_string(path).map_err(|source| io("read", source))
}

/// Writes a file that only its owner can read, because many files contain keys. The file is renamed into place, so that
/// no reader sees half of it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), StateError> {
    let io = |act, source| StateError::Io {
        act,
        path: path.to_path_buf(),
        source,
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|source| io("make the folder of", source))?;
    }
    let part = path.with_added_extension("part");
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(|source| io("open", source))?;
    file.write_all(text.as_bytes())
        .map_err(|source| io("write", source))?;
    std::fs::rename(&part, path).map_err(|source| io("put in place", source))
}
