//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use terway_cni_protocol::SOCKET_PATH;
use terway_process::address::listen_address;

/// Terway's node agent: gives the pods of this node the network that the control plane decided on.
#[derive(Debug, Parser)]
#[command(name = "terway-agent", version = terway_process::build::version())]
pub struct Cli {
    /// The command; `run` when none is given.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the pods of this node.
    Run(Box<RunArgs>),
    /// Put the CNI binary where the container runtime looks for it.
    InstallCni(InstallArgs),
    /// Mount the BPF file system at /sys/fs/bpf, if nobody has mounted it.
    MountBpffs,
}

/// Settings of the agent.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Name of this node in Kubernetes.
    #[arg(long, env = "NODE_NAME", default_value = "")]
    pub node_name: String,
    /// Address of this node; the source of what the node itself sends to its pods' ENIs.
    #[arg(long, env = "NODE_IP", value_parser = node_address)]
    pub node_ip: Option<IpAddr>,
    /// Directory with the keys of the ConfigMap eni-config as files.
    #[arg(long, default_value = "/etc/eni")]
    pub config: PathBuf,
    /// Socket that the CNI binary calls.
    #[arg(long, default_value = SOCKET_PATH)]
    pub socket: PathBuf,
    /// Directory that the container runtime reads its CNI configuration from.
    #[arg(long, default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// Directory below a BPF file system for programs and maps.
    #[arg(long, default_value = crate::datapath::PIN_DIRECTORY)]
    pub bpf_dir: PathBuf,
    /// Where the host's /proc/sys/net is mounted writable.
    #[arg(long, default_value = crate::datapath::SYSCTL_NET)]
    pub sysctl_dir: PathBuf,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, default_value = "127.0.0.1:9099")]
    pub health: SocketAddr,
    /// A second address of /metrics, for Prometheus on another host; none when empty or "0".
    #[arg(long, default_value = "", value_parser = optional_address)]
    pub metrics: OptionalAddress,
    /// What to log: a level, or a tracing filter.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_level: String,
}

/// An address that a chart can leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<SocketAddr>);

/// An address that the datapath can use.
fn node_address(text: &str) -> Result<IpAddr, Box<dyn std::error::Error + Send + Sync>> {
    Ok(terway_address::served(text.parse()?)?)
}

fn optional_address(text: &str) -> Result<OptionalAddress, std::net::AddrParseError> {
    listen_address(text).map(OptionalAddress)
}

/// Settings of `install-cni`.
#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    /// The binary to install.
    #[arg(long, default_value = "/usr/bin/terway")]
    pub source: PathBuf,
    /// Where the container runtime looks for CNI binaries.
    #[arg(long, default_value = "/opt/cni/bin")]
    pub bin_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_the_default_and_takes_the_same_flags() {
        let flags = ["--node-name=n", "--metrics=:9091", "--health=127.0.0.1:1"];
        let plain = Cli::try_parse_from(["terway-agent"].iter().chain(&flags)).unwrap();
        assert_eq!(
            plain.run.metrics,
            OptionalAddress(Some("0.0.0.0:9091".parse().unwrap()))
        );
        let named = Cli::try_parse_from(["terway-agent", "run"].iter().chain(&flags)).unwrap();
        let Some(Command::Run(run)) = named.command else {
            panic!()
        };
        assert_eq!(run.metrics, plain.run.metrics);
        let none = Cli::try_parse_from(["terway-agent", "--metrics="]).unwrap();
        assert_eq!(none.run.metrics, OptionalAddress(None));
        assert!(Cli::try_parse_from(["terway-agent", "--metrics=x"]).is_err());
        let ipv6 = Cli::try_parse_from(["terway-agent", "--node-ip=fd00::11"]).unwrap_err();
        assert!(ipv6.to_string().contains("fd00::11 is an IPv6 address"), "{ipv6}");
    }
}
