//! Settings: flags, the two files they name, and who this process is.
//!
//! Keys, defaults and flags are upstream's, so that its files can be used as they are. Keys are
//! matched without regard to case. Every complaint names the file and the key.

mod cloud_times;
pub mod controllers;
mod credential;
mod file;
mod flags;
mod lease;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use cloud_times::CloudTimes;
pub use controllers::ControllerSwitch;
pub use credential::Credential;
pub use flags::{Flags, FlagsError};
pub use lease::Lease;
pub use settings::{Settings, Shared};

/// Everything the process is told at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub settings: Settings,
    pub credential: Credential,
    pub flags: Flags,
    pub identity: Identity,
    /// Sentences for the log: settings that have no effect here.
    pub warnings: Vec<String>,
}

/// Who this process is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the pod; the host's name outside a cluster.
    pub pod_name: String,
    /// UID of the pod; empty outside a cluster.
    pub pod_uid: String,
}

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read the command line")]
    Flags(#[source] FlagsError),
    #[error("read {}: check that the file is mounted and readable", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("parse {} as YAML: correct its syntax", .path.display())]
    Yaml {
        path: PathBuf,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    #[error("{}: write the settings as `key: value` lines", .path.display())]
    NotAMapping { path: PathBuf },
    #[error("{}: key {key:?} is not known: correct it or remove it", .path.display())]
    UnknownKey { path: PathBuf, key: String },
    #[error("{}: key {key:?} is given twice: remove one", .path.display())]
    DuplicateKey { path: PathBuf, key: String },
    #[error("{}: key {key:?} has the value {found}: write {expected}", .path.display())]
    BadValue {
        path: PathBuf,
        key: String,
        found: String,
        expected: &'static str,
    },
    #[error(
        "{}: key \"centralizedIPAM\" is false, but the node agents of this product ask no cloud, so the control plane has to decide every address: set it to true or remove it",
        .path.display()
    )]
    NotCentralized { path: PathBuf },
    #[error("{}: key {key:?} is missing: set it to {expected}", .path.display())]
    MissingKey {
        path: PathBuf,
        key: &'static str,
        expected: &'static str,
    },
}

/// Reads flags, files and environment.
///
/// # Errors
/// When a flag or a key is unknown or wrong, with its name.
pub fn load(arguments: impl IntoIterator<Item = String>) -> Result<Config, ConfigError> {
    let flags = Flags::parse_from_go(arguments).map_err(ConfigError::Flags)?;
    let mut warnings = flags.warnings();
    let settings = Settings::read(&flags.config, &mut warnings)?;
    let credential = Credential::read(&flags.credential, &mut warnings)?;
    let identity = Identity::from_lookup(|name| std::env::var(name).ok());
    Ok(Config {
        settings,
        credential,
        flags,
        identity,
        warnings,
    })
}

/// Reads a text as ctrl-config.yaml, for tests of arbitrary input.
///
/// # Errors
/// When anything in it is wrong.
#[cfg(feature = "parsers")]
pub fn read_settings(text: &str) -> Result<Settings, ConfigError> {
    let file = file::File::parse(std::path::Path::new("ctrl-config.yaml"), text, &Settings::known())?;
    Settings::from_file(&file, &mut Vec::new())
}

impl Config {
    /// This process as a holder of the Lease: pod name and pod UID, so that a new pod of the same name is
    /// another holder.
    #[must_use]
    pub fn holder(&self) -> String {
        match self.identity.pod_uid.as_str() {
            "" => self.identity.pod_name.clone(),
            uid => format!("{}_{uid}", self.identity.pod_name),
        }
    }
}

/// What the file says now about degradation, the one setting that is followed while the process runs.
///
/// # Errors
/// When the file cannot be read, or anything in it is wrong.
pub fn degradation(flags: &Flags) -> Result<terway_core::degradation::Degradation, ConfigError> {
    Settings::read(&flags.config, &mut Vec::new()).map(|settings| settings.degradation)
}

impl Identity {
    /// Reads the downward-API variables `POD_NAME` and `POD_UID`.
    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let host = || {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            name.trim().to_owned()
        };
        Self {
            pod_name: set("POD_NAME").or_else(|| set("HOSTNAME")).unwrap_or_else(host),
            pod_uid: set("POD_UID").unwrap_or_default(),
        }
    }
}
