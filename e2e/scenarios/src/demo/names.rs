//! Act 4: CoreDNS, the first ordinary pods, on shared ENIs.

use anyhow::Result;

use super::Setting;
use crate::cloud::{self, Enis};
use crate::shared;
use crate::stage::Stage;

/// Returns the ENIs that the cluster has before any workload comes.
pub fn play(stage: &Stage, setting: &Setting) -> Result<Enis> {
    stage.title("4. CoreDNS: ordinary pods, with addresses of shared ENIs");
    stage.run(&format!("kubectl apply -f {}", setting.manifest("coredns.yaml")))?;
    stage.run("kubectl -n kube-system rollout status deployment/coredns --timeout=120s")?;
    stage.run("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")?;
    let pods = stage
        .get("kubectl -n kube-system get pods -l k8s-app=kube-dns -o jsonpath='{.items[*].metadata.name}'")?;
    for pod in pods.split(' ') {
        shared::check_bound(stage, "kube-system", pod)?;
    }
    stage.run("lab cloud enis")?;
    cloud::enis(stage)
}
