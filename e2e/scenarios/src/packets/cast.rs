//! The pods that ask and answer: of each kind two on the first node, one on another node of the zone, and
//! one on a node of the other zone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::shared;
use crate::stage::Stage;

/// The machines of the nodes, with their addresses; the third is in the other zone.
pub const NODES: [(&str, &str); 3] = [
    ("node1", "10.0.0.11"),
    ("node2", "10.0.0.12"),
    ("node3", "10.0.1.11"),
];
/// A machine of the VPC that is no node.
pub const OUTSIDE: (&str, &str) = ("control", "10.0.0.10");

/// Where each pod listens, over TCP and UDP.
pub const PORT: u16 = 8080;

/// The two kinds: addresses of shared ENIs, and ENIs of the pods' own.
pub const KINDS: [&str; 2] = ["shared", "member"];
/// Where a pod of each kind is; `near` is on the first node too.
const PLACES: [&str; 4] = ["node1", "near", "node2", "node3"];

/// A pod of the cast.
pub struct Pod {
    pub name: String,
    pub address: String,
}

/// The pods by name.
pub struct Pods(Vec<Pod>);

impl Pods {
    pub fn iter(&self) -> impl Iterator<Item = &Pod> {
        self.0.iter()
    }

    pub fn get(&self, name: &str) -> Result<&Pod> {
        self.iter()
            .find(|pod| pod.name == name)
            .with_context(|| format!("no pod {name} in the cast"))
    }
}

/// Brings the pods up. They become Ready when the kubelets' probes reach them.
pub fn enter(stage: &Stage, manifests: &Path) -> Result<Pods> {
    let [network, all] = files(manifests);
    stage.run(&format!("kubectl apply -f {network}"))?;
    stage.run("kubectl wait --for=jsonpath='{.status.status}'=Ready podnetworking/packets --timeout=60s")?;
    stage.run(&format!("kubectl apply -f {all}"))?;
    stage.run("kubectl wait --for=condition=Ready pod -l cast=packets --timeout=180s")?;
    stage.run("kubectl get pods -l cast=packets -o wide")?;
    let mut pods = Vec::new();
    for (kind, place) in KINDS.iter().flat_map(|kind| PLACES.map(|place| (kind, place))) {
        let name = format!("{kind}-{place}");
        let address = stage.get(&format!("kubectl get pod {name} -o jsonpath='{{.status.podIP}}'"))?;
        let own = stage
            .ask(&format!("kubectl get podeni {name} -o name"))?
            .is_some();
        if *kind == "shared" {
            shared::check_bound(stage, "default", &name)?;
        }
        stage.check(
            own == (*kind == "member"),
            format!(
                "{name} is {address}: {}",
                if own { "its own ENI" } else { "no PodENI" }
            ),
        )?;
        pods.push(Pod { name, address });
    }
    probed(stage)?;
    Ok(Pods(pods))
}

/// Both probes of a shared pod come from its node.
fn probed(stage: &Stage) -> Result<()> {
    let said = stage.get("kubectl logs shared-node1")?;
    stage.check(
        said.contains("GET /healthz"),
        "the kubelet's HTTP probe reaches shared-node1",
    )?;
    let restarts = stage.get(
        "kubectl get pods -l cast=packets -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}'",
    )?;
    stage.check(
        restarts.split(' ').all(|count| count == "0"),
        "no probe over TCP has failed: nothing was restarted",
    )
}

/// Removes the pods and what was made for them.
pub fn leave(stage: &Stage, manifests: &Path) -> Result<()> {
    let [network, all] = files(manifests);
    stage.run(&format!("kubectl delete --wait=true --timeout=120s -f {all}"))?;
    stage.run(&format!("kubectl delete --wait=true --timeout=60s -f {network}"))?;
    stage.wait("their PodENIs are gone", Duration::from_secs(90), || {
        let left = stage.get("kubectl get podenis -o name")?;
        Ok((!left.contains("/member-")).then_some(()))
    })
}

/// The PodNetworking, and pods with their Services.
fn files(manifests: &Path) -> [String; 2] {
    ["packets-network.yaml", "packets.yaml"].map(|name| manifests.join(name).display().to_string())
}
