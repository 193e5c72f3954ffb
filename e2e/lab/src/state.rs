//! The lab's state folder: the paths of its files, and the two locks that keep labs from colliding.

mod files;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::binaries::{self, NotFound};
use files::{absent_is_fine, try_lock};
pub(crate) use files::{read, write};

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Home(#[from] NotFound),
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not what this lab writes; run `lab down`", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("another lab command is at work on {}; wait for it, or stop it", dir.display())]
    Busy { dir: PathBuf },
    #[error("no lab is up in {}; run `lab up`", dir.display())]
    NotUp { dir: PathBuf },
    #[error("there is no machine '{name}'; there are {}", known.join(", "))]
    NoMachine { name: String, known: Vec<String> },
}

/// A process that asks for the supervisor holds its lock for a moment. A lock that is held longer than this belongs to
/// another supervisor.
const QUESTION: Duration = Duration::from_secs(1);

/// The facts about a running lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The port on 127.0.0.1 that leads to the API server.
    pub port: u16,
    pub machines: Vec<String>,
}

/// Paths below one state folder. The names of all parts of a lab, also of its cgroups, follow from this folder, so that
/// `lab down` finds all parts even if the folder is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// `$XDG_STATE_HOME/terway-lab`, else `~/.local/state/terway-lab`.
    pub fn default_path() -> Result<PathBuf, StateError> {
        Ok(binaries::xdg("XDG_STATE_HOME", ".local/state")?.join("terway-lab"))
    }

    /// Opens a state folder, and creates it if it is missing.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let io = |act, source| StateError::Io {
            act,
            path: path.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(path).map_err(|source| io("make", source))?;
        // Two spellings of one folder are one lab.
        let root = path.canonicalize().map_err(|source| io("resolve", source))?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    pub fn options(&self) -> PathBuf {
        self.root.join("options.json")
    }

    pub fn world(&self) -> PathBuf {
        self.root.join("world.yaml")
    }

    /// Paths of the authority's certificate and key, which sign kubeconfigs for other users.
    pub fn authority(&self) -> (PathBuf, PathBuf) {
        (self.root.join("ca.crt"), self.root.join("ca.key"))
    }

    /// Unix socket of the simulator's admin API.
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("cloudsim.sock")
    }

    /// The simulator's call log, one JSON object a line.
    pub fn call_log(&self) -> PathBuf {
        self.logs().join("calls.jsonl")
    }

    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Folder of the logs of one machine. The logs of `lab supervise` are under the name `lab`.
    pub fn machine_logs(&self, machine: &str) -> PathBuf {
        self.logs().join(machine)
    }

    pub fn machines(&self) -> PathBuf {
        self.root.join("machines")
    }

    pub fn machine_spec(&self, machine: &str) -> PathBuf {
        self.machines().join(format!("{machine}.json"))
    }

    /// File with the process id of the machine's first process, in the host's PID namespace.
    pub fn machine_pid_file(&self, machine: &str) -> PathBuf {
        self.machines().join(format!("{machine}.pid"))
    }

    /// The prefix of this lab's cgroups. It depends on the folder, so labs in two folders have different cgroups.
    pub fn cgroup_prefix(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        let id: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("terway-lab-{id}-")
    }

    /// The process id of a machine's first process.
    pub fn machine_pid(&self, machine: &str) -> Result<u32, StateError> {
        let running = self.running()?.ok_or_else(|| StateError::NotUp {
            dir: self.root.clone(),
        })?;
        if !running.machines.iter().any(|known| known == machine) {
            return Err(StateError::NoMachine {
                name: machine.to_owned(),
                known: running.machines,
            });
        }
        let path = self.machine_pid_file(machine);
        let text = read(&path)?;
        text.trim().parse().map_err(|_| StateError::NotUp {
            dir: self.root.clone(),
        })
    }

    /// Records that the lab is up, for `status`, `exec` and the next `up`.
    pub fn set_running(&self, running: &Running) -> Result<(), StateError> {
        let text = serde_json::to_string_pretty(running).map_err(|source| StateError::Malformed {
            path: self.running_file(),
            source,
        })?;
        write(&self.running_file(), &text)
    }

    /// The running lab. There is one if and only if its supervisor lives and has brought the lab up.
    pub fn running(&self) -> Result<Option<Running>, StateError> {
        if self.supervisor()?.is_none() || !self.running_file().exists() {
            return Ok(None);
        }
        let path = self.running_file();
        let running =
            serde_json::from_str(&read(&path)?).map_err(|source| StateError::Malformed { path, source })?;
        Ok(Some(running))
    }

    fn running_file(&self) -> PathBuf {
        self.root.join("running.json")
    }

    fn supervisor_file(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    /// Locks out other `lab` commands that change the lab, until the result is dropped.
    pub fn lock(&self) -> Result<File, StateError> {
        let path = self.root.join("lock");
        try_lock(&path)?.ok_or_else(|| StateError::Busy {
            dir: self.root.clone(),
        })
    }

    /// Marks this process as the lab's supervisor until the result is dropped.
    pub fn become_supervisor(&self) -> Result<File, StateError> {
        let path = self.supervisor_file();
        let deadline = Instant::now() + QUESTION;
        let mut file = loop {
            match try_lock(&path)? {
                Some(file) => break file,
                None if Instant::now() > deadline => {
                    return Err(StateError::Busy {
                        dir: self.root.clone(),
                    });
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let note = file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()));
        note.map_err(|source| StateError::Io {
            act: "write",
            path,
            source,
        })?;
        Ok(file)
    }

    /// The process id of the living supervisor. The lock proves that it lives; the process id alone may belong to
    /// another process by now.
    pub fn supervisor(&self) -> Result<Option<u32>, StateError> {
        let path = self.supervisor_file();
        if !path.exists() || try_lock(&path)?.is_some() {
            return Ok(None);
        }
        // The file is empty between taking the lock and writing. The supervisor lives, but its id is not known yet.
        Ok(read(&path)?.trim().parse().ok())
    }

    /// Removes the credentials, sockets and records of a lab. Logs and images stay.
    pub fn clear(&self) -> Result<(), StateError> {
        let (ca, key) = self.authority();
        let files = [
            self.kubeconfig(),
            self.options(),
            self.world(),
            self.admin_socket(),
            self.running_file(),
            ca,
            key,
        ];
        for path in files {
            absent_is_fine(std::fs::remove_file(&path)).map_err(|source| StateError::Io {
                act: "remove",
                path,
                source,
            })?;
        }
        let path = self.machines();
        absent_is_fine(std::fs::remove_dir_all(&path)).map_err(|source| StateError::Io {
            act: "remove",
            path,
            source,
        })
    }

    /// Removes the whole folder.
    pub fn purge(&self) -> Result<(), StateError> {
        absent_is_fine(std::fs::remove_dir_all(&self.root)).map_err(|source| StateError::Io {
            act: "remove",
            path: self.root.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        (dir, state)
    }

    #[test]
    fn two_commands_at_once_are_refused_and_a_dead_ones_lock_is_free() {
        let (_dir, state) = state();
        let held = state.lock().unwrap();
        assert!(matches!(state.lock(), Err(StateError::Busy { .. })));
        drop(held);
        state.lock().unwrap();
    }

    #[test]
    fn a_lab_is_up_only_while_its_supervisor_lives() {
        let (_dir, state) = state();
        let living = state.become_supervisor().unwrap();
        assert_eq!(state.running().unwrap(), None, "not up before it says so");
        let running = Running {
            port: 1,
            machines: vec!["control".to_owned()],
        };
        state.set_running(&running).unwrap();
        assert_eq!(state.supervisor().unwrap(), Some(std::process::id()));
        assert_eq!(state.running().unwrap(), Some(running));
        drop(living);
        assert_eq!(
            state.running().unwrap(),
            None,
            "a note of the dead counts for nothing"
        );
    }

    #[test]
    fn an_unknown_machine_is_answered_with_the_known_ones() {
        let (_dir, state) = state();
        let _living = state.become_supervisor().unwrap();
        state
            .set_running(&Running {
                port: 1,
                machines: vec!["control".to_owned()],
            })
            .unwrap();
        let err = state.machine_pid("node9").unwrap_err();
        assert_eq!(err.to_string(), "there is no machine 'node9'; there are control");
    }

    #[test]
    fn two_folders_are_two_labs_and_two_spellings_are_one() {
        let ((dir, one), (_other, two)) = (state(), state());
        assert_ne!(one.cgroup_prefix(), two.cgroup_prefix());
        let again = StateDir::open(
            &dir.path()
                .join(".")
                .join("../")
                .join(dir.path().file_name().unwrap()),
        )
        .unwrap();
        assert_eq!(one.cgroup_prefix(), again.cgroup_prefix());
    }

    #[test]
    fn clearing_keeps_images_and_logs() {
        let (_dir, state) = state();
        write(&state.images().join("a.tar"), "").unwrap();
        write(&state.logs().join("a.log"), "").unwrap();
        write(&state.kubeconfig(), "secret").unwrap();
        state.clear().unwrap();
        state.clear().unwrap();
        assert!(state.images().join("a.tar").exists() && state.logs().join("a.log").exists());
        assert!(!state.kubeconfig().exists());
    }
}
