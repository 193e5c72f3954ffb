//! Network namespaces without names: each lives as long as somebody holds it.

use std::fs::File;
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;

use anyhow::{Context, anyhow, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// Runs `work` on threads with a network and a mount namespace of their own. The BPF file system is mounted there. The
/// namespaces end with the work.
pub fn on_a_node<T, F>(work: impl FnOnce() -> F + Send) -> anyhow::Result<T>
where
    T: Send,
    F: Future<Output = anyhow::Result<T>>,
{
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .context("making namespaces; this benchmark needs root")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making mounts private")?;
        mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none)
            .context("mounting the BPF file system")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("starting threads")?;
        runtime.block_on(work())
    })
}

/// A new namespace with its loopback up.
pub fn new() -> anyhow::Result<OwnedFd> {
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace; this benchmark needs root")?;
        run("ip link set lo up")?;
        let file = File::open("/proc/thread-self/ns/net").context("opening a network namespace")?;
        Ok(file.into())
    })
}

/// Runs `act` on a thread inside a namespace.
pub fn inside<T: Send>(netns: &OwnedFd, act: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    on_a_thread(|| {
        setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
        act()
    })
}

/// Runs a shell command in this thread's namespace.
pub fn run(command: &str) -> anyhow::Result<()> {
    let output = Command::new("sh")
        .args(["-ec", command])
        .output()
        .context("starting a shell")?;
    if !output.status.success() {
        bail!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn on_a_thread<T: Send>(act: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        scope
            .spawn(act)
            .join()
            .map_err(|_| anyhow!("a thread of the benchmark panicked"))?
    })
}
