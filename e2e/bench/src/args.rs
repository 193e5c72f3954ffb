//! Arguments of `bench`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Benchmarks: each prints a table with the aims and what to compare with beside the figures.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Pods with ENIs of their own, up to phase Bind and down again
    Bind(BindArgs),
    /// Nodes that join at once, until their pools of shared addresses are full
    Join(JoinArgs),
    /// Ordinary pods that come at once, until they have shared addresses
    Pool(PoolArgs),
    /// Ordinary pods one after the other on idle addresses, until the CNI binary answers
    Warm(WarmArgs),
    /// Ordinary pods that come and go at a steady pace
    Churn(ChurnArgs),
    /// ADD and DEL of the CNI binary and the agent, beside the plugins ptp and host-local
    Cni(CniArgs),
    /// Packets between pods, beside plain ways
    Packets(PacketsArgs),
    /// Memory of the agent, when the cluster grows around its node
    Agent(AgentArgs),
    /// All of them, one after the other, each with its usual sizes
    All,
}

/// What `all` runs, by name; what takes longest comes last.
pub const ALL: [&str; 8] = ["packets", "cni", "warm", "agent", "pool", "join", "churn", "bind"];

/// What every benchmark takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The terway-controlplane to measure; any program with upstream's config file, flags and environment
    /// [default: the one beside this program]
    #[arg(long, global = true, env = "BENCH_CONTROLPLANE", value_name = "FILE")]
    pub controlplane: Option<PathBuf>,
    /// The cloudsim to measure it against [default: the one beside this program]
    #[arg(long, global = true, env = "BENCH_CLOUDSIM", value_name = "FILE")]
    pub cloudsim: Option<PathBuf>,
    /// Seconds after which a phase has failed
    #[arg(long, global = true, default_value_t = 900)]
    pub patience: u64,
    /// Keep logs, call log and audit log in this folder
    #[arg(long, global = true, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Sizes of `bind`.
#[derive(Debug, Clone, Args)]
pub struct BindArgs {
    #[arg(long, default_value_t = 1_000)]
    pub pods: usize,
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
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
}

/// Sizes of `join`.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// Nodes of the small case
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub few: usize,
    /// Nodes of the large case; 0 leaves it out
    #[arg(long, default_value_t = 1_000)]
    pub many: usize,
    /// Idle addresses that a node keeps
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    pub idle: usize,
    /// Runs of the small case
    #[arg(long, default_value_t = 3, value_parser = at_least_one)]
    pub runs: usize,
}

/// Sizes of `pool`.
#[derive(Debug, Clone, Args)]
pub struct PoolArgs {
    #[arg(long, default_value_t = 1_000, value_parser = at_least_one)]
    pub pods: usize,
    /// Nodes of the cases in which every pod finds an address, and none does
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub nodes: usize,
    /// Nodes of the case that upstream was measured with, with five idle addresses each
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub upstream_nodes: usize,
    /// Runs of each case
    #[arg(long, default_value_t = 3, value_parser = at_least_one)]
    pub runs: usize,
}

/// Sizes of `warm`.
#[derive(Debug, Clone, Args)]
pub struct WarmArgs {
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub pods: usize,
}

/// Sizes of `churn`.
#[derive(Debug, Clone, Args)]
pub struct ChurnArgs {
    #[arg(long, default_value_t = 500, value_parser = at_least_one)]
    pub nodes: usize,
    /// Pods that come, and go, each second
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    pub rate: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seconds of the same before it is measured, so that addresses come back as fast as they go
    #[arg(long, default_value_t = 60)]
    pub warm_up: u64,
    /// Seconds that a pod lives
    #[arg(long, default_value_t = 20)]
    pub life: u64,
}

/// Sizes of `cni`.
#[derive(Debug, Clone, Args)]
pub struct CniArgs {
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub pods: usize,
    /// Calls at once, after the runs with one at a time
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    pub at_once: usize,
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    pub runs: usize,
}

/// Sizes of `packets`.
#[derive(Debug, Clone, Args)]
pub struct PacketsArgs {
    /// How long each kind of traffic is sent
    #[arg(long, default_value_t = 2_000)]
    pub milliseconds: u64,
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    pub runs: usize,
}

/// Sizes of `agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Pods of its own node
    #[arg(long, default_value_t = 250, value_parser = at_least_one)]
    pub pods: usize,
    /// Objects of other nodes that come afterwards, their Node objects included
    #[arg(long, default_value_t = 100_000)]
    pub others: usize,
    /// Other nodes
    #[arg(long, default_value_t = 3_000)]
    pub nodes: usize,
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

impl BindArgs {
    /// The runs to make.
    pub fn runs(&self) -> Vec<Quotas> {
        self.only
            .map_or_else(|| vec![Quotas::Default, Quotas::Lifted], |only| vec![only])
    }
}

impl Common {
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

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is not a number of 1 or more")),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_of_all_has_usual_sizes() {
        for name in ALL {
            let cli = Cli::try_parse_from(["bench", name]).unwrap();
            assert!(!matches!(cli.command, Command::All), "{name}");
        }
        assert!(Cli::try_parse_from(["bench"]).is_err());
    }

    #[test]
    fn what_every_benchmark_takes_may_stand_behind_its_name() {
        let cli = Cli::try_parse_from(["bench", "pool", "--pods", "3", "--patience=7"]).unwrap();
        assert_eq!(cli.common.patience(), Duration::from_secs(7));
        assert!(matches!(cli.command, Command::Pool(PoolArgs { pods: 3, .. })));
        assert!(Cli::try_parse_from(["bench", "pool", "--pods", "0"]).is_err());
    }
}
