//! The machine's file systems: the host's root is read-only, and every tree that a node writes is private.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::{HOME, Spec};

/// Why the machine's file systems could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("cannot mount {kind} on {}", path.display())]
    Mount {
        kind: String,
        path: PathBuf,
        #[source]
        source: nix::Error,
    },
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

type Result<T> = std::result::Result<T, MountError>;

/// Values that a kubelet writes although they belong to the whole host. The machine gets private files instead. The
/// boot id is the machine's own, so that two nodes do not look like one machine.
const PRIVATE_SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

pub(super) fn arrange(spec: &Spec) -> Result<()> {
    bring_in(spec)?;
    kernel_trees(spec)?;
    private_trees(spec)?;
    private_sysctls()?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    raw("read-only root", None, "/", None, read_only, None)?;
    share()
}

/// Mounts after a reboot what did not outlive it. The disk is there already.
pub(super) fn arrange_anew(spec: &Spec) -> Result<()> {
    kernel_trees_without_proc(spec)?;
    volatile_trees()?;
    private_sysctls()?;
    share()
}

/// Mounts propagate within the machine, as volumes with Bidirectional mountPropagation need. The launcher has stopped
/// the propagation to the host.
fn share() -> Result<()> {
    raw(
        "shared root",
        None,
        "/",
        None,
        MsFlags::MS_REC | MsFlags::MS_SHARED,
        None,
    )
}

/// Binds the host's folders below [`HOME`], before other mounts cover them.
fn bring_in(spec: &Spec) -> Result<()> {
    // All folders are opened first, because one of them may be below /mnt itself.
    let folders: Vec<(File, &super::Bind)> = spec
        .binds
        .iter()
        .map(|bind| {
            let folder = File::open(&bind.host);
            folder
                .map(|folder| (folder, bind))
                .map_err(io("open", &bind.host))
        })
        .collect::<Result<_>>()?;
    tmpfs("/mnt", "size=512m,mode=755")?;
    for (folder, bind) in &folders {
        let target = Path::new(HOME).join(&bind.name);
        make_dir(&target)?;
        let target = target.to_string_lossy();
        let source = format!("/proc/self/fd/{}", folder.as_raw_fd());
        raw(
            "a host folder",
            Some(&source),
            &target,
            None,
            MsFlags::MS_BIND,
            None,
        )?;
        if !bind.writable {
            let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
            raw("a host folder", None, &target, None, read_only, None)?;
        }
    }
    Ok(())
}

/// /proc, /sys and the cgroups as the machine's own namespaces show them.
fn kernel_trees(spec: &Spec) -> Result<()> {
    file_system("proc", "/proc", None)?;
    kernel_trees_without_proc(spec)
}

fn kernel_trees_without_proc(spec: &Spec) -> Result<()> {
    file_system("sysfs", "/sys", None)?;
    if spec.layout.v2_only() {
        file_system("cgroup2", "/sys/fs/cgroup", None)?;
    } else {
        tmpfs("/sys/fs/cgroup", "mode=755")?;
        for hierarchy in &spec.layout.hierarchies {
            let Some(name) = hierarchy.mount.file_name() else {
                continue;
            };
            let target = Path::new("/sys/fs/cgroup").join(name);
            make_dir(&target)?;
            let kind = if hierarchy.v1.is_some() {
                "cgroup"
            } else {
                "cgroup2"
            };
            file_system(kind, &target.to_string_lossy(), hierarchy.v1.as_deref())?;
            // Programs look for the hierarchy `cpu,cpuacct` under either name.
            for controller in hierarchy.v1.iter().flat_map(|options| options.split(',')) {
                let link = Path::new("/sys/fs/cgroup").join(controller);
                if controller != "none" && !controller.starts_with("name=") && !link.exists() {
                    std::os::unix::fs::symlink(name, &link).map_err(io("link", &link))?;
                }
            }
        }
    }
    file_system("bpf", "/sys/fs/bpf", None)
}

fn private_trees(spec: &Spec) -> Result<()> {
    let home = Path::new(HOME);
    let (upper, work) = (home.join("etc-upper"), home.join("etc-work"));
    make_dir(&upper)?;
    make_dir(&work)?;
    let layers = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    file_system("overlay", "/etc", Some(&layers))?;
    volatile_trees()?;
    tmpfs("/opt", "size=1g,mode=755")?;
    tmpfs("/var", "size=8g,mode=755")?;
    for dir in ["/var/tmp", "/var/log", "/var/lib", "/var/cache"] {
        make_dir(Path::new(dir))?;
    }
    for dir in &spec.directories {
        make_dir(dir)?;
    }
    let links = [("/var/run", "/run"), ("/var/lock", "/run/lock")];
    let links = links
        .iter()
        .map(|(link, target)| (Path::new(link), Path::new(target)));
    for (link, target) in links.chain(spec.links.iter().map(|(link, to)| (link.as_path(), to.as_path()))) {
        std::os::unix::fs::symlink(target, link).map_err(io("link", link))?;
    }
    for (path, text) in &spec.files {
        if let Some(dir) = path.parent() {
            make_dir(dir)?;
        }
        std::fs::write(path, text).map_err(io("write", path))?;
    }
    Ok(())
}

/// /run and /tmp, which are empty after a boot.
fn volatile_trees() -> Result<()> {
    tmpfs("/tmp", "size=1g,mode=1777")?;
    tmpfs("/run", "size=256m,mode=755")?;
    for dir in ["/run/lock", "/run/netns"] {
        make_dir(Path::new(dir))?;
    }
    Ok(())
}

fn private_sysctls() -> Result<()> {
    let boot_id = Path::new("/proc/sys/kernel/random/uuid");
    let boot_id = std::fs::read_to_string(boot_id).map_err(io("read", boot_id))?;
    let own = [("kernel/random/boot_id", boot_id.trim())];
    for (name, value) in PRIVATE_SYSCTLS.iter().chain(&own) {
        let file = Path::new("/run/private-sysctls").join(name);
        if let Some(dir) = file.parent() {
            make_dir(dir)?;
        }
        std::fs::write(&file, format!("{value}\n")).map_err(io("write", &file))?;
        let target = format!("/proc/sys/{name}");
        raw(
            "a private value",
            Some(&file.to_string_lossy()),
            &target,
            None,
            MsFlags::MS_BIND,
            None,
        )?;
    }
    Ok(())
}

fn tmpfs(path: &str, options: &str) -> Result<()> {
    file_system("tmpfs", path, Some(options))
}

fn file_system(kind: &str, path: &str, options: Option<&str>) -> Result<()> {
    raw(kind, Some(kind), path, Some(kind), MsFlags::empty(), options)
}

fn raw(
    what: &str,
    source: Option<&str>,
    target: &str,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<()> {
    mount(source, target, kind, flags, options).map_err(|source| MountError::Mount {
        kind: what.to_owned(),
        path: PathBuf::from(target),
        source,
    })
}

fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(io("make", path))
}

fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MountError {
    let path = path.to_path_buf();
    move |source| MountError::Io { act, path, source }
}
