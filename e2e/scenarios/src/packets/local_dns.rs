//! NodeLocal DNS: a name server on the node itself, at an address that every node has for itself.

use std::path::Path;

use anyhow::Result;

use super::cast::Pods;
use super::names::{check_asked, resolve};
use crate::stage::Stage;

const ADDRESS: &str = "169.254.20.10";

pub fn play(stage: &Stage, pods: &Pods, manifests: &Path) -> Result<()> {
    // A bridge without ports stands for the dummy interface, which not every kernel has.
    stage.run(&format!(
        "lab exec node1 -- sh -c 'ip link add nodelocaldns type bridge && ip address add {ADDRESS}/32 dev nodelocaldns && \
         ip link set nodelocaldns up'"
    ))?;
    let manifest = manifests.join("local-dns.yaml");
    stage.run(&format!("kubectl apply -f {}", manifest.display()))?;
    stage.run("kubectl -n kube-system wait --for=condition=Ready pod/local-dns --timeout=60s")?;
    for name in ["shared-node1", "member-node1"] {
        let pod = pods.get(name)?;
        for transport in ["udp", "tcp"] {
            resolve(stage, pod, ADDRESS, transport)?;
        }
        let said = stage.get("kubectl -n kube-system logs local-dns --tail=-1")?;
        check_asked(stage, pod, &said, "NodeLocal DNS")?;
    }
    stage.run(&format!(
        "kubectl delete --wait=true --timeout=60s -f {}",
        manifest.display()
    ))?;
    stage.run("lab exec node1 -- ip link delete nodelocaldns")?;
    Ok(())
}
