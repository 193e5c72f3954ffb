//! The command line, read as Go reads flags: one dash or two, `-name value` or `-name=value`.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// File with the settings.
    pub config: PathBuf,
    /// File with the credentials.
    pub credential: PathBuf,
    /// Feature gates that were set.
    pub feature_gates: BTreeMap<String, bool>,
    /// Log level: 0 and 1 are quiet, 2 is normal, 4 and more are for debugging.
    pub verbosity: u8,
}

/// What is wrong with the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagsError {
    #[error(
        "usage: terway-controlplane [-config FILE] [-credential FILE] [-feature-gates NAME=true,…] [-v LEVEL]"
    )]
    Help,
    #[error("flag {0:?} is not known: the flags are -config, -credential, -feature-gates and -v")]
    Unknown(String),
    #[error("flag -{0} needs a value")]
    NoValue(&'static str),
    #[error("flag -v has the value {0:?}: write a number from 0 to 10")]
    Verbosity(String),
    #[error("flag -feature-gates has the entry {0:?}: write NAME=true or NAME=false")]
    Gate(String),
    #[error("feature gate {name:?} is not known: the gates are {}", .known.join(", "))]
    UnknownGate {
        name: String,
        known: &'static [&'static str],
    },
}

/// Gates of upstream. None of them changes this program.
const GATES: &[&str] = &[
    "AutoDataPathV2",
    "EFLO",
    "ENIAttributeBasic",
    "KubeProxyReplacement",
    "WriteCNIConfFirst",
];

impl Default for Flags {
    fn default() -> Self {
        Self {
            config: "/etc/config/ctrl-config.yaml".into(),
            credential: "/etc/credential/ctrl-secret.yaml".into(),
            feature_gates: BTreeMap::new(),
            verbosity: 2,
        }
    }
}

impl Flags {
    /// Reads the arguments after the program's name.
    pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, FlagsError> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                return Err(FlagsError::Unknown(argument));
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let mut value = |flag| {
                inline
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or(FlagsError::NoValue(flag))
            };
            match name {
                "config" => flags.config = value("config")?.into(),
                "credential" => flags.credential = value("credential")?.into(),
                "feature-gates" => flags.feature_gates = gates(&value("feature-gates")?)?,
                "v" => flags.verbosity = verbosity(value("v")?)?,
                "h" | "help" => return Err(FlagsError::Help),
                _ => return Err(FlagsError::Unknown(argument)),
            }
        }
        Ok(flags)
    }

    /// What was said and has no effect.
    pub(super) fn warnings(&self) -> Vec<String> {
        let set = self.feature_gates.keys();
        set.map(|gate| format!("feature gate {gate} is upstream's and has no effect here"))
            .collect()
    }
}

fn verbosity(text: String) -> Result<u8, FlagsError> {
    text.parse()
        .ok()
        .filter(|level| *level <= 10)
        .ok_or(FlagsError::Verbosity(text))
}

fn gates(text: &str) -> Result<BTreeMap<String, bool>, FlagsError> {
    let mut gates = BTreeMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let bad = || FlagsError::Gate(entry.to_owned());
        let (name, value) = entry.split_once('=').ok_or_else(bad)?;
        if !GATES.contains(&name) {
            return Err(FlagsError::UnknownGate {
                name: name.to_owned(),
                known: GATES,
            });
        }
        let value = match value.to_ascii_lowercase().as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(bad()),
        };
        gates.insert(name.to_owned(), value);
    }
    Ok(gates)
}
