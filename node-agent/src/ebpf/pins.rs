//! The pin directory. Each layout version has a folder of its own: a new agent never takes up maps that it would
//! misread.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::SchedClassifier;
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use tracing::warn;

use super::EbpfError;
use crate::refusal::{self, Cause};

const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Makes the folder of this version below `directory`, mounts the BPF file system where it is not mounted, and removes
/// the folders of other versions. Filters that are still attached keep their own maps alive until they are replaced.
/// Whatever else is there is another program's and stays. A folder that cannot be removed only takes memory.
pub fn prepare(directory: &Path) -> Result<PathBuf, EbpfError> {
    ensure_mounted(directory)?;
    let own = format!("v{}", terway_ebpf_abi::VERSION);
    let pins = directory.join(&own);
    let failed = |source| EbpfError::PinDirectory {
        path: directory.to_owned(),
        cause: refusal::of_file(&source),
        source,
    };
    fs::create_dir_all(&pins).map_err(failed)?;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_of_another_version(&entry.file_name())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            warn!(path = %entry.path().display(), %error, "the pins of another version stay");
        }
    }
    Ok(pins)
}

/// Whether a name is that of the folder of another version: `v` and a number.
fn is_of_another_version(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix('v'));
    number
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number != terway_ebpf_abi::VERSION)
}

/// Pins a program in place of an older one of the same name.
pub fn replace(classifier: &mut SchedClassifier, path: &Path) -> Result<(), EbpfError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(EbpfError::PinDirectory {
                path: path.to_owned(),
                cause: refusal::of_file(&source),
                source,
            });
        }
        Ok(()) | Err(_) => {}
    }
    classifier.pin(path).map_err(|source| EbpfError::Pin {
        path: path.to_owned(),
        source,
    })
}

/// Mounts the BPF file system at its usual place, if nobody has mounted it there. Says whether it did.
pub fn mount_where_missing() -> Result<bool, EbpfError> {
    let place = Path::new(MOUNT_POINT);
    if is_bpf(place) {
        return Ok(false);
    }
    let mounted = mount(
        Some("bpf"),
        place,
        Some("bpf"),
        MsFlags::empty(),
        Some("mode=0700"),
    );
    mounted.map_err(|errno| {
        let source = io::Error::from(errno);
        EbpfError::NoBpfFs {
            path: place.to_owned(),
            cause: refusal::of_mount(&source),
            source,
        }
    })?;
    Ok(true)
}

fn ensure_mounted(directory: &Path) -> Result<(), EbpfError> {
    if is_bpf(directory) {
        return Ok(());
    }
    if !directory.starts_with(MOUNT_POINT) {
        return Err(EbpfError::NoBpfFs {
            path: directory.to_owned(),
            cause: Cause::Unknown,
            source: io::Error::from(io::ErrorKind::Unsupported),
        });
    }
    if mount_where_missing()? {
        warn!(
            "the host has no BPF file system at {MOUNT_POINT}; it is mounted for this container alone, and the next \
             agent will begin with empty maps: run mount-bpffs before the agent (terway.mountBpffs), or mount it on \
             the host"
        );
    }
    Ok(())
}

/// Whether the nearest existing ancestor of `path` is on a BPF file system.
fn is_bpf(path: &Path) -> bool {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    statfs(existing).is_ok_and(|s| s.filesystem_type() == BPF_FS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_other_versions_are_known_by_their_names_and_nothing_else_is_taken_for_one() {
        let other = |name: &str| is_of_another_version(OsStr::new(name));
        assert!(other("v0") && other("v7"));
        let own = format!("v{}", terway_ebpf_abi::VERSION);
        for name in [own.as_str(), "v", "vpn", "v1x", "cilium", "7", "MEMBER_POP"] {
            assert!(!other(name), "{name}");
        }
    }
}
