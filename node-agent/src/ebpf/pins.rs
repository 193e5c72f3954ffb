//! The pin directory. Each layout version has a folder of its own: a new agent never takes up maps that it would
//! misread.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::SchedClassifier;
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::EbpfError;

const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Makes the folder of this version below `directory`, mounts the BPF file system where it is not mounted, and removes
/// the folders of other versions. Filters that are still attached keep their own maps alive until they are replaced.
pub fn prepare(directory: &Path) -> Result<PathBuf, EbpfError> {
    ensure_mounted(directory)?;
    let own = format!("v{}", terway_ebpf_abi::VERSION);
    let pins = directory.join(&own);
    let failed = |source| EbpfError::PinDirectory {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(&pins).map_err(failed)?;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != *own {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(pins)
}

/// Pins a program in place of an older one of the same name.
pub fn replace(classifier: &mut SchedClassifier, path: &Path) -> Result<(), EbpfError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(EbpfError::PinDirectory {
                path: path.to_owned(),
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

fn ensure_mounted(directory: &Path) -> Result<(), EbpfError> {
    if is_bpf(directory) {
        return Ok(());
    }
    let failed = |source: io::Error| EbpfError::NoBpfFs {
        path: directory.to_owned(),
        source,
    };
    if !directory.starts_with(MOUNT_POINT) {
        return Err(failed(io::Error::from(io::ErrorKind::Unsupported)));
    }
    mount(
        Some("bpf"),
        MOUNT_POINT,
        Some("bpf"),
        MsFlags::empty(),
        Some("mode=0700"),
    )
    .map_err(|errno| failed(errno.into()))
}

/// Whether the nearest existing ancestor of `path` is on a BPF file system.
fn is_bpf(path: &Path) -> bool {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    statfs(existing).is_ok_and(|s| s.filesystem_type() == BPF_FS_MAGIC)
}
