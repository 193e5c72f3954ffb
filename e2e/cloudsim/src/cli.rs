//! Arguments of the `cloudsim` binary.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use serde::Deserialize;

use crate::admin;
use crate::clock::ClockMode;
use crate::simulator::Options;

/// Alibaba Cloud on one machine: OpenAPI, metadata service and VPC fabric.
#[derive(Debug, Parser)]
#[command(
    name = "cloudsim",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Options of a run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// World file (YAML); docs/cloudsim.md explains its keys
    #[arg(long, value_name = "FILE", required = true)]
    pub world: Option<PathBuf>,
    /// Where the OpenAPI listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8680")]
    pub listen: SocketAddr,
    /// Where the admin API listens: unix:/path or host:port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8681")]
    pub admin: admin::Address,
    /// File that gets one JSON line for every call
    #[arg(long, value_name = "FILE")]
    pub call_log: Option<PathBuf>,
    /// Seed of ids, MAC addresses and random latencies
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Carry packets: attached ENIs appear as devices of their machines
    #[arg(long)]
    pub fabric: bool,
    /// How time passes: real, virtual or stepped; overrides the world
    #[arg(long, value_name = "MODE", value_parser = clock_mode)]
    pub clock: Option<ClockMode>,
}

fn clock_mode(text: &str) -> Result<ClockMode, serde::de::value::Error> {
    ClockMode::deserialize(serde::de::IntoDeserializer::into_deserializer(text))
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work with world files
    #[command(subcommand)]
    World(WorldCommand),
}

#[derive(Debug, Subcommand)]
pub enum WorldCommand {
    /// Print a large world
    Generate {
        /// Instances
        #[arg(long)]
        nodes: u32,
        /// Free ENIs that exist from the start
        #[arg(long, default_value_t = 0)]
        enis: u32,
    },
    /// Say whether a world file is valid
    Check { file: PathBuf },
}

impl RunArgs {
    /// The options of a simulator.
    pub fn options(&self) -> Options {
        Options {
            listen: Some(self.listen),
            admin: Some(self.admin.clone()),
            call_log: self.call_log.clone(),
            seed: self.seed,
            fabric: self.fabric,
            clock: self.clock,
        }
    }
}
