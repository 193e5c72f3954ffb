//! Real packets between ordinary pods, pods with ENIs of their own, nodes and the outside: every way that
//! Kubernetes promises, within a node, across nodes and across zones.

mod cast;
mod direct;
mod host_ports;
mod local_dns;
mod names;
mod question;
mod services;

use std::path::Path;

use anyhow::Result;

use crate::stage::Stage;

/// Asks everything, on a cluster of three nodes in two zones with CoreDNS and the plugin for hostPort.
pub fn play(stage: &Stage, manifests: &Path) -> Result<()> {
    stage.title("Packets: ordinary pods and pods with ENIs, each to each");
    let pods = cast::enter(stage, manifests)?;
    direct::play(stage, &pods)?;
    services::play(stage, &pods)?;
    host_ports::play(stage, &pods)?;
    names::play(stage, &pods)?;
    local_dns::play(stage, &pods, manifests)?;
    cast::leave(stage, manifests)
}
