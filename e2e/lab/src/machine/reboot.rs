//! A reboot of a machine: everything but its disk ends and begins anew.
//!
//! The first process stays, because its namespaces are the machine. Processes, cgroups, mounts, /run, /tmp and the
//! network namespace with all links, routes, rules and nf_tables are new afterwards. /var, /etc and /opt are the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::launch::{LaunchError, system};

/// How long killed processes may take to end, and their cgroups to be empty.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// File systems that do not outlive a boot, with everything that is mounted below them.
const VOLATILE: [&str; 3] = ["/sys", "/run", "/tmp"];
/// The disk. What is mounted below it belongs to pods.
const DISK: [&str; 2] = ["/var", "/opt"];
/// The machine's own values of the kernel, which are files in /run.
const PRIVATE_VALUES: &str = "/proc/sys";

/// Ends everything that a boot ends. The caller mounts and starts the machine anew.
pub(super) fn go_down() -> Result<(), LaunchError> {
    let deadline = Instant::now() + PATIENCE;
    // The second mount of the same place lies over the first, so the last mount goes first.
    kill_all(deadline).map_err(system("end the processes of the machine"))?;
    remove_cgroups(Path::new("/sys/fs/cgroup"), deadline).map_err(|source| LaunchError::System {
        act: "remove the cgroups of the machine's pods",
        source,
    })?;
    let mounts = mount_points().map_err(|source| LaunchError::System {
        act: "read the machine's mounts",
        source,
    })?;
    for point in mounts.iter().rev().filter(|point| ends(point)) {
        match umount2(point, MntFlags::MNT_DETACH) {
            // It went with another one.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(system("unmount what a boot ends")(error)),
        }
    }
    unshare(CloneFlags::CLONE_NEWNET).map_err(system("begin the machine's network anew"))
}

fn kill_all(deadline: Instant) -> Result<(), Errno> {
    while Instant::now() < deadline {
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            // There is nobody but this process.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error),
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        std::thread::sleep(LOOK);
    }
    Err(Errno::ETIMEDOUT)
}

/// Removes the cgroups below every hierarchy. The hierarchies themselves are mounts, or links to them.
fn remove_cgroups(root: &Path, deadline: Instant) -> io::Result<()> {
    for hierarchy in children(root)? {
        for group in children(&hierarchy)? {
            while let Err(error) = remove_tree(&group) {
                if Instant::now() > deadline {
                    return Err(error);
                }
                std::thread::sleep(LOOK);
            }
        }
    }
    Ok(())
}

fn remove_tree(group: &Path) -> io::Result<()> {
    for child in children(group)? {
        remove_tree(&child)?;
    }
    fs::remove_dir(group)
}

fn children(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Mount points in the order of their mounting (man page proc_pid_mountinfo(5), field 5).
fn mount_points() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    // Blanks in names are escaped; no program of a node makes such a mount.
    Ok(points.map(PathBuf::from).collect())
}

fn ends(point: &Path) -> bool {
    let below = |dir: &&str| point.starts_with(dir) && point != Path::new(dir);
    VOLATILE.iter().any(|dir| point.starts_with(dir)) || DISK.iter().any(below) || below(&PRIVATE_VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_ends_what_is_mounted_and_keeps_the_disk() {
        for gone in [
            "/sys",
            "/sys/fs/bpf",
            "/run",
            "/run/containerd/a/rootfs",
            "/var/lib/kubelet/pods/u/volumes/v",
            "/proc/sys/kernel/random/boot_id",
        ] {
            assert!(ends(Path::new(gone)), "{gone}");
        }
        for kept in ["/", "/var", "/etc", "/opt", "/mnt/lab/bin", "/proc", "/variety"] {
            assert!(!ends(Path::new(kept)), "{kept}");
        }
    }
}
