//! The lab's state folder: what lies where, and the two locks that keep labs from colliding.

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

/// Whoever asks for the supervisor holds its lock for a moment; longer, and it is another supervisor.
const QUESTION: Duration = Duration::from_secs(1);

/// What is known of a lab that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The port on 127.0.0.1 that leads to the API server.
    pub port: u16,
    pub machines: Vec<String>,
}

/// Paths below one state folder. Everything of a lab (cgroup names too) follows from this folder,
/// so that `lab down` finds all of it even when nothing but the path is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// `$XDG_STATE_HOME/terway-lab`, else `~/.local/state/terway-lab`.
    pub fn default_path() -> Result<PathBuf, StateError> {
        Ok(binaries::xdg("XDG_STATE_HOME", ".local/state")?.join("terway-lab"))
    }

    /// Opens (and makes) a state folder.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let io = |act, source| StateError::Io {
            act,
            path: path.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(path).map_err(|source| io("make", source))?;
        // Two spellings of one folder must be one lab.
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

    /// The authority's certificate and key; with them kubeconfigs for other users are made.
    pub fn authority(&self) -> (PathBuf, PathBuf) {
        (self.root.join("ca.crt"), self.root.join("ca.key"))
    }

    /// The simulator's admin API, a unix socket.
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

    /// The logs of one machine; `lab supervise` has its own, named `lab`.
    pub fn machine_logs(&self, machine: &str) -> PathBuf {
        self.logs().join(machine)
    }

    pub fn machines(&self) -> PathBuf {
        self.root.join("machines")
    }

    pub fn machine_spec(&self, machine: &str) -> PathBuf {
        self.machines().join(format!("{machine}.json"))
    }

    /// Holds the process id of the machine's first process, as the host counts.
    pub fn machine_pid_file(&self, machine: &str) -> PathBuf {
        self.machines().join(format!("{machine}.pid"))
    }

    /// The prefix of this lab's cgroups. It names the folder, so labs in two folders never share one.
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

    /// Notes that the lab is up, for `status`, `exec` and the next `up`.
    pub fn set_running(&self, running: &Running) -> Result<(), StateError> {
        let text = serde_json::to_string_pretty(running).map_err(|source| StateError::Malformed {
            path: self.running_file(),
            source,
        })?;
        write(&self.running_file(), &text)
    }

    /// The lab that is up: there is one exactly if its supervisor lives and has finished bringing it up.
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

    /// Keeps other lab commands that change things away, until the result is dropped.
    pub fn lock(&self) -> Result<File, StateError> {
        let path = self.root.join("lock");
        try_lock(&path)?.ok_or_else(|| StateError::Busy {
            dir: self.root.clone(),
        })
    }

    /// Marks this process as the lab's supervisor for as long as the result lives.
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

    /// The process id of the living supervisor. The lock is the proof that it lives; a process id alone
    /// may long belong to somebody else.
    pub fn supervisor(&self) -> Result<Option<u32>, StateError> {
        let path = self.supervisor_file();
        if !path.exists() || try_lock(&path)?.is_some() {
            return Ok(None);
        }
        // Between taking the lock and writing, the file is empty: it lives, but cannot be named yet.
        Ok(read(&path)?.trim().parse().ok())
    }

    /// Removes what a lab leaves in the folder: credentials, sockets, notes. Logs and images stay.
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
