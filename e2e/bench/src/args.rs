//! Arguments of `bench`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Benchmarks of the control plane against a simulated cloud.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
pub struct Args {
    /// The terway-controlplane to measure; any program with upstream's config file, flags and environment
    /// [default: the one beside this program]
    #[arg(long, env = "BENCH_CONTROLPLANE", value_name = "FILE")]
    pub controlplane: Option<PathBuf>,
    /// The cloudsim to measure it against [default: the one beside this program]
    #[arg(long, env = "BENCH_CLOUDSIM", value_name = "FILE")]
    pub cloudsim: Option<PathBuf>,
    #[arg(long, default_value_t = 1_000)]
    pub pods: usize,
    #[arg(long, default_value_t = 50)]
    pub nodes: usize,
    /// Pods that come and go one at a time, for the latency of a single one
    #[arg(long, default_value_t = 10)]
    pub singles: usize,
    /// Only one of the two runs
    #[arg(long, value_name = "WHICH")]
    pub only: Option<Quotas>,
    /// Who makes the trunks; by hand for a control plane that leaves it to its node daemon
    #[arg(long, default_value = "controller", value_name = "WHO")]
    pub trunks: Trunks,
    /// Seconds after which a phase has failed
    #[arg(long, default_value_t = 900)]
    pub patience: u64,
    /// Keep logs, call log and audit log in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// The quotas of a run, at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Quotas {
    /// The defaults: 500 creates a minute and so on.
    Default,
    /// None worth mentioning.
    Lifted,
}

/// Who makes the trunk ENIs of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trunks {
    Controller,
    Hand,
}

impl Args {
    /// The runs to make.
    pub fn runs(&self) -> Vec<Quotas> {
        self.only
            .map_or_else(|| vec![Quotas::Default, Quotas::Lifted], |only| vec![only])
    }

    /// How long a phase may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quotas::Default => "upstream's quotas",
            Quotas::Lifted => "quotas lifted",
        })
    }
}
