//! Names: CoreDNS by its ClusterIP, over UDP and over TCP.

use anyhow::Result;

use super::cast::{Pod, Pods};
use crate::stage::Stage;

/// A name that is the address of a Service.
const NAME: &str = "shared-node1.default.svc.cluster.local";
/// Of the Service of CoreDNS.
const COREDNS: &str = "10.96.0.10";

pub fn play(stage: &Stage, pods: &Pods) -> Result<()> {
    for name in [
        "shared-node1",
        "member-node1",
        "shared-node2",
        "member-node2",
        "member-node3",
    ] {
        let pod = pods.get(name)?;
        for transport in ["udp", "tcp"] {
            resolve(stage, pod, COREDNS, transport)?;
        }
        let said = stage.get("kubectl -n kube-system logs -l k8s-app=kube-dns --tail=-1")?;
        check_asked(stage, pod, &said, "CoreDNS")?;
    }
    Ok(())
}

/// Lets a pod find an address by its name. The program's resolver follows resolv.conf, which says by
/// `use-vc` that TCP is to be used.
pub fn resolve(stage: &Stage, pod: &Pod, server: &str, transport: &str) -> Result<()> {
    let option = if transport == "tcp" {
        "options use-vc\\n"
    } else {
        ""
    };
    stage.run(&format!(
        "kubectl exec {} -- sh -c 'printf \"nameserver {server}\\n{option}\" > /etc/resolv.conf; \
         /agnhost connect {NAME}.:80 --timeout=5s'",
        pod.name
    ))?;
    Ok(())
}

/// Checks in a name server's log that it was asked over both transports, by the pod's own address.
pub fn check_asked(stage: &Stage, pod: &Pod, log: &str, server: &str) -> Result<()> {
    for transport in ["udp", "tcp"] {
        let asked = log.lines().any(|line| {
            line.contains(&format!(" {}:", pod.address))
                && line.contains(&format!("A IN {NAME}. {transport} "))
                && line.contains(" NOERROR ")
        });
        stage.check(
            asked,
            format!(
                "{} asks {server} over {transport}, under its own address",
                pod.name
            ),
        )?;
    }
    Ok(())
}
