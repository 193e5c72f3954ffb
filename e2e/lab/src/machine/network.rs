//! The machine's primary NIC. It appears when the simulated cloud powers the instance on. The first process gives it
//! its address, as cloud-init does on an ECS instance.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use crate::binaries::{self, NotFound};

/// Configuring the machine's network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error("no eth0 after {} s; did the simulator power the instance on?", patience.as_secs())]
    NoNic { patience: Duration },
    #[error("cannot run ip")]
    Run(#[source] io::Error),
    #[error("`ip {arguments}` failed: {message}")]
    Ip { arguments: String, message: String },
    #[error("cannot turn on IP forwarding in the machine")]
    Forwarding(#[source] io::Error),
}

const NIC_PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn configure(address: Ipv4Net, gateway: Ipv4Addr) -> Result<(), NetworkError> {
    ip("link set lo up")?;
    let deadline = Instant::now() + NIC_PATIENCE;
    while !Path::new("/sys/class/net/eth0").exists() {
        if Instant::now() > deadline {
            return Err(NetworkError::NoNic {
                patience: NIC_PATIENCE,
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ip(&format!("address add {address} dev eth0"))?;
    ip("link set eth0 up")?;
    ip(&format!("route add default via {gateway}"))?;
    // A Kubernetes node forwards packets. The value belongs to the machine's network namespace.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(NetworkError::Forwarding)
}

fn ip(arguments: &str) -> Result<(), NetworkError> {
    let mut command = Command::new(binaries::system("ip")?);
    let Output { status, stderr, .. } = command
        .args(arguments.split(' '))
        .output()
        .map_err(NetworkError::Run)?;
    if status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(NetworkError::Ip {
        arguments: arguments.to_owned(),
        message,
    })
}
