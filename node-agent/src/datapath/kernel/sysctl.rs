//! Reads and writes the kernel's network settings.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use terway_node_core::state::Sysctl;

use super::error::{ObserveError, StepError};

/// The settings of the network namespace that the calling thread is in.
///
/// The directory is a fact of the mounts: a container that is not privileged sees /proc/sys read-only and is given
/// the host's /proc/sys/net at another place. What the files say depends on the thread's namespace, not on the mount.
pub struct Sysctls {
    net: PathBuf,
}

impl Sysctls {
    /// The settings below `net`, which is /proc/sys/net or a writable mount of it.
    pub fn new(net: PathBuf) -> Self {
        Self { net }
    }

    /// The values of these settings. A setting whose interface has gone meanwhile is left out; any other failure is
    /// an error.
    pub fn read<'a>(
        &self,
        keys: impl Iterator<Item = &'a Sysctl>,
    ) -> Result<BTreeMap<Sysctl, String>, ObserveError> {
        let mut values = BTreeMap::new();
        for key in keys {
            let path = self.path(key);
            match fs::read_to_string(&path) {
                Ok(text) => {
                    values.insert(key.clone(), text.trim().to_owned());
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ObserveError::Sysctl { path, source }),
            }
        }
        Ok(values)
    }

    /// Sets one.
    pub fn write(&self, key: &Sysctl, value: &str) -> Result<(), StepError> {
        let path = self.path(key);
        fs::write(&path, value).map_err(|source| StepError::Sysctl { path, source })
    }

    fn path(&self, key: &Sysctl) -> PathBuf {
        self.net.join("ipv4/conf").join(&key.interface).join(key.name)
    }
}
