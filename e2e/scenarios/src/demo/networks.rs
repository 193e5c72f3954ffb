//! Acts 5 and 6: PodNetworkings, and workloads that get their own ENIs.

use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::stage::Stage;

pub fn play(stage: &Stage, setting: &Setting) -> Result<()> {
    stage.title("5. Two PodNetworkings, in upstream's form");
    stage.run(&format!("cat {}", setting.manifest("podnetworkings.yaml")))?;
    stage.run(&format!(
        "kubectl apply -f {}",
        setting.manifest("podnetworkings.yaml")
    ))?;
    stage.run("kubectl wait --for=jsonpath='{.status.status}'=Ready podnetworkings --all --timeout=30s")?;
    stage.run("kubectl get podnetworkings")?;
    let zones = stage.get("kubectl get podnetworking web -o jsonpath='{.status.vSwitches[*].zone}'")?;
    stage.check(
        zones == "cn-hangzhou-h cn-hangzhou-i",
        "web's vSwitches are resolved to their zones",
    )?;

    stage.title("6. A StatefulSet and a Deployment, each pod with its own ENI");
    stage.run(&format!(
        "kubectl apply -f {} -f {}",
        setting.manifest("db.yaml"),
        setting.manifest("web.yaml")
    ))?;
    stage.run("kubectl rollout status statefulset/db --timeout=90s")?;
    stage.run("kubectl rollout status deployment/web --timeout=90s")?;
    stage.run("kubectl get pods -o wide")?;
    stage.run("kubectl get podenis -A -o wide")?;
    for (app, prefix, vswitch, count) in [
        ("db", "10.0.32.", "vsw-db-h", 2),
        ("web", "10.0.16.", "vsw-pod-h", 4),
    ] {
        let ips = stage.get(&format!(
            "kubectl get pods -l app={app} -o jsonpath='{{.items[*].status.podIP}}'"
        ))?;
        let ips: Vec<_> = ips.split(' ').collect();
        stage.check(
            ips.len() == count && ips.iter().all(|ip| ip.starts_with(prefix)),
            format!("the {count} pods of {app} have addresses of vSwitch {vswitch}"),
        )?;
    }
    let nodes = stage.get("kubectl get pods -l app=db -o jsonpath='{.items[*].spec.nodeName}'")?;
    stage.check(
        nodes == "node1 node2" || nodes == "node2 node1",
        "db runs on both nodes",
    )?;
    stage.wait("every PodENI is in phase Bind", Duration::from_secs(10), || {
        let phases = stage.get("kubectl get podenis -o jsonpath='{.items[*].status.phase}'")?;
        Ok((phases == "Bind Bind Bind Bind Bind Bind").then_some(()))
    })
}
