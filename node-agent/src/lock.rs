//! The lock of the node: one agent serves a node at a time. During an upgrade the new agent may start before the old
//! one has ended.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Only root may open the file: whoever can open it can take the lock, and keep the agent from starting.
const MODE: u32 = 0o600;

/// Time between two tries.
const POLL: Duration = Duration::from_millis(200);

/// The lock of an agent that serves. The kernel frees the lock when the process ends, for whatever reason.
pub struct Lock {
    _file: Flock<File>,
}

/// Takes the lock; `None` when another process has it.
fn try_take(path: &Path) -> io::Result<Option<Lock>> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // The file is never removed: two processes could then lock two files of the same name.
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(path)?;
    // An earlier release let everybody read the file. The file may belong to another user, and then only that user may
    // change this.
    if file.metadata()?.permissions().mode() & 0o7777 != MODE
        && let Err(error) = file.set_permissions(Permissions::from_mode(MODE))
    {
        tracing::warn!(lock = %path.display(), %error, "others may read the lock and could hold it");
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Some(Lock { _file: file })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Takes the lock as soon as no other process has it. Cancel-safe.
pub async fn take(path: &Path) -> io::Result<Lock> {
    let mut told = false;
    loop {
        if let Some(lock) = try_take(path)? {
            return Ok(lock);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(lock = %path.display(), "another agent serves this node, waiting for its end");
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_can_open_the_lock_of_this_or_of_an_earlier_release() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terway.lock");
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        drop(try_take(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(try_take(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
    }

    #[tokio::test]
    async fn a_second_agent_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/terway.lock");
        let first = take(&path).await.unwrap();
        assert!(try_take(&path).unwrap().is_none());
        let second = tokio::spawn(async move { take(&path).await.map(drop) });
        drop(first);
        tokio::time::timeout(Duration::from_secs(10), second)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}
