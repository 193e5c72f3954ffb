//! The command line. Flags may be written as Go programs take them: with one dash or with two, as `-name value` or
//! `-name=value`.

use std::path::PathBuf;

use clap::Parser;
use clap::error::ErrorKind;

/// Decides for every node and pod of the cluster which interfaces of the cloud they have, and sees to them.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "terway-controlplane", version = terway_process::build::version())]
pub struct Flags {
    /// File with the settings.
    #[arg(long, value_name = "FILE", default_value = "/etc/config/ctrl-config.yaml")]
    pub config: PathBuf,
    /// File with the credentials.
    #[arg(long, value_name = "FILE", default_value = "/etc/credential/ctrl-secret.yaml")]
    pub credential: PathBuf,
    /// Feature gates of upstream. They are accepted and change nothing.
    #[arg(long, value_name = "NAME=true,...", value_parser = gates, default_value = "")]
    feature_gates: Gates,
    /// Log level: 0 and 1 are quiet, 2 is normal, 4 and more are for debugging. RUST_LOG replaces it.
    #[arg(short = 'v', long = "v", value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=10), default_value_t = 2)]
    pub verbosity: u8,
}

/// Why the command line does not start the process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagsError {
    /// It asked for this text: the help, or the version.
    #[error("{0}")]
    Asked(String),
    #[error("{0}; --help lists the flags")]
    Wrong(String),
}

/// Gates of upstream. None of them changes this program.
const GATES: &[&str] = &[
    "AutoDataPathV2",
    "EFLO",
    "ENIAttributeBasic",
    "KubeProxyReplacement",
    "WriteCNIConfFirst",
];

/// Names of the gates that were set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Gates(Vec<&'static str>);

impl Flags {
    /// Reads the arguments after the program's name.
    pub(super) fn parse_from_go(arguments: impl IntoIterator<Item = String>) -> Result<Self, FlagsError> {
        let program = std::iter::once("terway-controlplane".to_owned());
        Self::try_parse_from(program.chain(two_dashes(arguments))).map_err(|error| {
            let text = error.render().to_string();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => FlagsError::Asked(text),
                _ => {
                    let sentence = text.lines().next().unwrap_or_default();
                    FlagsError::Wrong(sentence.trim_start_matches("error: ").to_owned())
                }
            }
        })
    }

    /// Flags that were given and have no effect, one sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let set = self.feature_gates.0.iter();
        set.map(|gate| format!("feature gate {gate} is upstream's and has no effect here"))
            .collect()
    }
}

/// Writes flags whose names have more than one letter with two dashes, as clap takes them. A flag of one letter, all
/// that follows `--`, and everything that is no flag stay as they are.
fn two_dashes(arguments: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let mut flags = true;
    arguments.into_iter().map(move |argument| {
        flags &= argument != "--";
        let name = argument.strip_prefix('-').and_then(|flag| flag.split('=').next());
        match name {
            Some(name) if flags && name.len() > 1 && !name.starts_with('-') => format!("-{argument}"),
            _ => argument,
        }
    })
}

fn gates(text: &str) -> Result<Gates, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(gate).collect::<Result<_, _>>().map(Gates)
}

fn gate(entry: &str) -> Result<&'static str, String> {
    let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
    let gate = GATES.iter().find(|gate| **gate == name);
    let gate =
        gate.ok_or_else(|| format!("{name} is no feature gate; the gates are {}", GATES.join(", ")))?;
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "false" | "0" => Ok(gate),
        _ => Err(format!("write {name}=true or {name}=false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Result<Flags, FlagsError> {
        Flags::parse_from_go(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn one_dash_becomes_two_for_names_of_more_than_one_letter() {
        for (written, taken) in [
            ("-config", "--config"),
            ("-config=/a=b", "--config=/a=b"),
            ("--config", "--config"),
            ("-v", "-v"),
            ("-v=4", "-v=4"),
            ("-version", "--version"),
            ("-", "-"),
            ("/a-b", "/a-b"),
            ("", ""),
        ] {
            let [argument] = two_dashes([written.to_owned()])
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            assert_eq!(argument, taken);
        }
        let rest: Vec<_> = two_dashes(["--".to_owned(), "-config".to_owned()]).collect();
        assert_eq!(rest, ["--", "-config"]);
    }

    #[test]
    fn flags_are_gos() {
        let all = flags(&[
            "-config",
            "/a",
            "--credential=/b",
            "--v=4",
            "-feature-gates",
            "EFLO=false,",
        ]);
        let all = all.unwrap();
        assert_eq!(
            (all.config.to_str(), all.credential.to_str()),
            (Some("/a"), Some("/b"))
        );
        assert_eq!(all.verbosity, 4);
        assert_eq!(
            all.warnings(),
            ["feature gate EFLO is upstream's and has no effect here"]
        );
        for level in [&["-v", "7"][..], &["-v=7"], &["--v", "7"]] {
            assert_eq!(flags(level).unwrap().verbosity, 7);
        }
    }

    #[test]
    fn the_defaults_are_upstreams() {
        let flags = flags(&["-feature-gates="]).unwrap();
        assert_eq!(flags.config.to_str(), Some("/etc/config/ctrl-config.yaml"));
        assert_eq!(
            flags.credential.to_str(),
            Some("/etc/credential/ctrl-secret.yaml")
        );
        assert_eq!((flags.verbosity, flags.warnings().len()), (2, 0));
    }

    #[test]
    fn a_wrong_flag_is_named_in_one_line() {
        for (arguments, words) in [
            (&["--confg", "x"][..], "--confg"),
            (&["-config"], "--config"),
            (&["-v=loud"], "loud"),
            (&["-v", "11"], "11"),
            (&["-feature-gates=Warp=true"], "the gates are AutoDataPathV2"),
            (&["-feature-gates", "EFLO"], "EFLO=true or EFLO=false"),
            (&["stray"], "stray"),
        ] {
            let error = flags(arguments).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, FlagsError::Wrong(_)), "{text}");
            assert!(text.contains(words) && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn help_and_version_are_answers() {
        for (flag, words) in [
            ("-h", "--credential"),
            ("-help", "--credential"),
            ("-version", env!("CARGO_PKG_VERSION")),
        ] {
            let Err(FlagsError::Asked(text)) = flags(&[flag]) else {
                panic!("{flag} is no flag")
            };
            assert!(text.contains(words), "{text}");
        }
    }
}
