//! The cgroups of the machines.
//!
//! Each machine has a directory directly below the root of every hierarchy, and a cgroup namespace whose root is this
//! directory. Its kubelet therefore sees the directory as the whole tree.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The cgroups of this host cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("cannot {act} {}; the lab needs root and a writable /sys/fs/cgroup", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "no cgroup file system is mounted; mount cgroup v2 at /sys/fs/cgroup, or the v1 controllers below it"
    )]
    None,
    #[error(
        "the v1 controllers {} are not mounted below /sys/fs/cgroup; kubelets need them",
        missing.join(", ")
    )]
    Missing { missing: Vec<&'static str> },
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Mount point on the host.
    pub mount: PathBuf,
    /// The mount options of a v1 hierarchy; none for v2.
    pub v1: Option<String>,
}

/// All hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub hierarchies: Vec<Hierarchy>,
}

const V1_CONTROLLERS: [&str; 13] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
];
const V1_NEEDED: [&str; 5] = ["cpu", "cpuset", "memory", "devices", "pids"];
const V2_CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
/// Name of the cgroup of a machine's own processes on v2, beside its kubepods. On v2 a cgroup whose children have
/// controllers may contain no process ("no internal process constraint" in the kernel's
/// Documentation/admin-guide/cgroup-v2.rst).
const V2_LEAF: &str = "machine";

impl Layout {
    /// Reads the host's mounts.
    pub fn detect() -> Result<Self, CgroupError> {
        let path = Path::new("/proc/self/mountinfo");
        let text = std::fs::read_to_string(path).map_err(|source| CgroupError::Io {
            act: "read",
            path: path.to_path_buf(),
            source,
        })?;
        let layout = Self::parse(&text);
        if layout.hierarchies.is_empty() {
            return Err(CgroupError::None);
        }
        if !layout.v2_only() {
            let has = |name: &&str| {
                let options = layout.hierarchies.iter().filter_map(|h| h.v1.as_deref());
                options
                    .flat_map(|text| text.split(','))
                    .any(|option| option == *name)
            };
            let missing: Vec<_> = V1_NEEDED.into_iter().filter(|name| !has(name)).collect();
            if !missing.is_empty() {
                return Err(CgroupError::Missing { missing });
            }
        }
        Ok(layout)
    }

    fn parse(mountinfo: &str) -> Self {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mount) = left.split(' ').nth(4) else {
                continue;
            };
            let mut right = right.split(' ');
            let v1 = match (right.next(), right.nth(1)) {
                (Some("cgroup2"), _) => None,
                (Some("cgroup"), Some(options)) => Some(v1_options(options)),
                _ => continue,
            };
            // A hierarchy that is mounted at several places counts once.
            if !hierarchies.iter().any(|known| known.v1 == v1) {
                hierarchies.push(Hierarchy {
                    mount: PathBuf::from(mount),
                    v1,
                });
            }
        }
        Self { hierarchies }
    }

    /// Whether the host has cgroup v2 only.
    pub fn v2_only(&self) -> bool {
        self.hierarchies.iter().all(|hierarchy| hierarchy.v1.is_none())
    }

    /// Creates the cgroup `name` in every hierarchy.
    pub fn create(&self, name: &str) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let dir = hierarchy.mount.join(name);
            std::fs::create_dir_all(&dir).map_err(|source| CgroupError::Io {
                act: "make",
                path: dir.clone(),
                source,
            })?;
            if hierarchy
                .v1
                .as_deref()
                .is_some_and(|options| options.split(',').any(|o| o == "cpuset"))
            {
                // A new cpuset is empty, and no process can enter an empty cpuset (man page cpuset(7)).
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let from = hierarchy.mount.join(file);
                    let value = std::fs::read_to_string(&from).map_err(|source| CgroupError::Io {
                        act: "read",
                        path: from,
                        source,
                    })?;
                    write(&dir.join(file), value.trim())?;
                }
            }
        }
        if self.v2_only() {
            for hierarchy in &self.hierarchies {
                write(&hierarchy.mount.join("cgroup.subtree_control"), &enable_all())?;
                let leaf = hierarchy.mount.join(name).join(V2_LEAF);
                std::fs::create_dir_all(&leaf).map_err(|source| CgroupError::Io {
                    act: "make",
                    path: leaf,
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// Moves this process into the cgroup `name` of every hierarchy and calls `at_root`, which may create a cgroup
    /// namespace. On v2 the process then moves on into the leaf, and the controllers are turned on. This works once for
    /// each cgroup, because a cgroup with enabled controllers accepts no process.
    pub fn enter<E: From<CgroupError>>(
        &self,
        name: &str,
        at_root: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let dirs: Vec<PathBuf> = self.hierarchies.iter().map(|h| h.mount.join(name)).collect();
        for dir in &dirs {
            write(&dir.join("cgroup.procs"), "0")?;
        }
        at_root()?;
        if self.v2_only() {
            for dir in &dirs {
                write(&dir.join(V2_LEAF).join("cgroup.procs"), "0")?;
                write(&dir.join("cgroup.subtree_control"), &enable_all())?;
            }
        }
        Ok(())
    }

    /// Moves this process to the cgroup of the machine's own processes.
    pub fn join(&self, name: &str) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let mut dir = hierarchy.mount.join(name);
            if self.v2_only() {
                dir.push(V2_LEAF);
            }
            write(&dir.join("cgroup.procs"), "0")?;
        }
        Ok(())
    }

    /// The top directories of all cgroups whose names begin with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<Vec<PathBuf>, CgroupError> {
        let mut found = Vec::new();
        for Hierarchy { mount, .. } in &self.hierarchies {
            let io = |source| CgroupError::Io {
                act: "list",
                path: mount.clone(),
                source,
            };
            for entry in std::fs::read_dir(mount).map_err(io)? {
                let entry = entry.map_err(io)?;
                if entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(prefix.as_bytes())
                {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }

    /// Kills every process in the cgroups with this prefix and removes the cgroups. Returns the directories that could
    /// not be removed within `patience`.
    pub fn sweep(&self, prefix: &str, patience: Duration) -> Result<Vec<PathBuf>, CgroupError> {
        let deadline = Instant::now() + patience;
        loop {
            let tops = self.find(prefix)?;
            let mut pids = BTreeSet::new();
            for top in &tops {
                clear(top, &mut pids);
            }
            for pid in pids {
                // An error means that the process has ended.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let left = self.find(prefix)?;
            if left.is_empty() || Instant::now() > deadline {
                return Ok(left);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes a cgroup and all cgroups below it, deepest first, and collects the processes that prevent this. A directory
/// that stays is an error; the caller tries again.
fn clear(dir: &Path, pids: &mut BTreeSet<i32>) {
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                clear(&entry.path(), pids);
            }
        }
    }
    if let Ok(text) = std::fs::read_to_string(dir.join("cgroup.procs")) {
        pids.extend(
            text.lines()
                .filter_map(|line| line.parse::<i32>().ok())
                .filter(|pid| *pid > 0),
        );
    }
    let _ = std::fs::remove_dir(dir);
}

fn enable_all() -> String {
    V2_CONTROLLERS.map(|name| format!("+{name}")).join(" ")
}

/// The options that select a v1 hierarchy when it is mounted again.
fn v1_options(options: &str) -> String {
    let named = options.split(',').filter(|option| option.starts_with("name="));
    let controllers = options
        .split(',')
        .filter(|option| V1_CONTROLLERS.contains(option));
    let chosen: Vec<&str> = named.flat_map(|name| ["none", name]).chain(controllers).collect();
    chosen.join(",")
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    std::fs::write(path, value).map_err(|source| CgroupError::Io {
        act: "write",
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_v1_hierarchies_and_the_unified_one() {
        let text = "\
24 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:21 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
26 24 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
28 24 0:21 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
";
        let layout = Layout::parse(text);
        let found: Vec<_> = layout
            .hierarchies
            .iter()
            .map(|h| (h.mount.to_str().unwrap(), h.v1.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                ("/sys/fs/cgroup/cpu,cpuacct", Some("cpu,cpuacct")),
                ("/sys/fs/cgroup/systemd", Some("none,name=systemd")),
                ("/sys/fs/cgroup/unified", None),
            ]
        );
        assert!(!layout.v2_only());
    }

    #[test]
    fn a_host_with_the_unified_hierarchy_alone_is_v2() {
        let layout = Layout::parse("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
        assert!(layout.v2_only());
        assert_eq!(layout.hierarchies[0].mount, Path::new("/sys/fs/cgroup"));
    }
}
