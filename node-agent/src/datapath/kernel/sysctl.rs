//! The kernel's network settings.

use std::{fs, io, path::PathBuf};

use terway_node_core::{
    object::{Driver, Sysctl},
    observed::{Ask, Observed},
};

use super::{
    error::{ObserveError, StepError},
    namespace::Namespace,
};

/// Where the settings of the namespace that the calling thread is in can be read and written.
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

    fn path(&self, key: &Sysctl) -> PathBuf {
        self.net.join(key.to_string())
    }

    /// Writes a setting. Succeeds when the interface has gone meanwhile. (`all` and `default` never go.)
    fn write(&self, key: &Sysctl, value: &str) -> Result<(), StepError> {
        let path = self.path(key);
        match fs::write(&path, value) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && key.of_one_interface() => Ok(()),
            written => written.map_err(|source| StepError::Sysctl { path, source }),
        }
    }
}

impl Driver<Sysctl> for Namespace<'_> {
    /// Reads the wanted settings. A setting whose interface has gone meanwhile is left out; any other failure is an
    /// error.
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for (key, _) in ask.wanted.of::<Sysctl>() {
            let path = self.sysctls.path(key);
            match fs::read_to_string(&path) {
                Ok(text) => seen.state.put(key.clone(), text.trim().to_owned()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ObserveError::Sysctl { path, source }),
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &Sysctl, value: &String) -> Result<(), StepError> {
        self.sysctls.write(key, value)
    }

    /// A setting always has a value.
    fn remove(&mut self, _: &Sysctl) -> Result<(), StepError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use terway_address::Family;

    use super::*;

    #[test]
    fn a_setting_goes_with_its_interface_and_a_missing_mount_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let sysctls = Sysctls::new(dir.path().to_owned());
        let key = |interface: &str| Sysctl {
            family: Family::V4,
            interface: interface.to_owned(),
            name: "rp_filter",
        };
        assert!(sysctls.write(&key("gone0"), "0").is_ok());
        let told = sysctls.write(&key("all"), "0").unwrap_err().to_string();
        assert!(told.contains("ipv4/conf/all/rp_filter"), "{told}");
        fs::create_dir_all(dir.path().join("ipv4/conf/all")).unwrap();
        sysctls.write(&key("all"), "0").unwrap();
        assert_eq!(fs::read_to_string(sysctls.path(&key("all"))).unwrap(), "0");
    }
}
