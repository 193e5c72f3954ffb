//! The network namespace of a NIC. Remembering it does not keep the namespace alive.

use std::{fmt, fs::File, io, os::fd::AsFd, os::unix::fs::MetadataExt, path::PathBuf};

use super::{
    tap::{Tap, TapError},
    wire::ethernet::Mac,
};

/// The namespace of a NIC, and its identity.
#[derive(Debug, Clone)]
pub struct Home {
    eni_id: String,
    path: PathBuf,
    /// Device and inode of the namespace. The path alone is no identity, because it may contain a process id that is
    /// used again.
    identity: (u64, u64),
    mac: Mac,
    ifname: Option<String>,
}

impl Home {
    /// Opens the namespace for the first time.
    pub fn open(eni_id: String, path: PathBuf, mac: Mac, ifname: Option<String>) -> io::Result<(Self, File)> {
        let netns = File::open(&path)?;
        let identity = identity(&netns)?;
        Ok((
            Self {
                eni_id,
                path,
                identity,
                mac,
                ifname,
            },
            netns,
        ))
    }

    /// The namespace, if the path still leads to the same one.
    pub fn reopen(&self) -> Option<File> {
        let netns = File::open(&self.path).ok()?;
        (identity(&netns).ok()? == self.identity).then_some(netns)
    }

    /// Creates the NIC in the namespace.
    pub fn make_nic(&self, netns: &File) -> Result<Tap, TapError> {
        Tap::create(self.mac, netns.as_fd(), self.ifname.as_deref())
    }
}

fn identity(netns: &File) -> io::Result<(u64, u64)> {
    let metadata = netns.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.eni_id, self.path.display())
    }
}
