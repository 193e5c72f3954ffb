//! The agent's socket: taking its path, and serving its connections.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Agent;
use super::connection::{self, Places};

/// Connections that are served at the same time, without those of ADDs. Further ones wait in the socket's queue.
const CONCURRENT: usize = 256;

/// ADDs at the same time. They have places of their own: an ADD waits for its pod's binding up to two minutes, and
/// would keep the DELs away that make room for it. Far more than a node has pods, and few enough for the process's file
/// descriptors.
const ADDS: usize = 1024;

/// How long requests may take to end after a stop. ADDs that only wait end at once.
const DRAIN: Duration = Duration::from_secs(5);

/// Listens at a path, in place of an older socket. Only the holder of the agent's lock may call this. The new socket
/// takes the path in one step and with its final permissions, so a CNI binary that calls at that moment reaches either
/// the old socket or the new one.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&draft)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&draft, path)?;
    Ok(listener)
}

/// Serves until the agent stops, then lets running requests end.
pub async fn serve(agent: Arc<Agent>, listener: UnixListener) {
    let slots = Arc::new(Semaphore::new(CONCURRENT));
    let adds = Arc::new(Semaphore::new(ADDS));
    let requests = TaskTracker::new();
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            // Nobody closes the semaphore.
            let slot = slot.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, slot))
        };
        // Cancel-safe: a connection that was not accepted stays in the socket's queue.
        let accepted = tokio::select! {
            next = next => next,
            () = agent.stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (agent, adds) = (agent.clone(), adds.clone());
                requests.spawn(async move {
                    connection::serve(agent, stream, Places { slot, adds }).await;
                });
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "connection not accepted"
                );
                // Most likely the process is out of descriptors (EMFILE). The pause keeps this loop from spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    requests.close();
    if tokio::time::timeout(DRAIN, requests.wait()).await.is_err() {
        warn!(left = requests.len(), "requests still running at the end");
    } else {
        info!("all requests ended");
    }
}
