//! Acts 2 and 3: Helm installs the product, nodes become Ready, trunk ENIs appear.

use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::cloud;
use crate::stage::Stage;

pub fn play(stage: &Stage, setting: &Setting) -> Result<()> {
    stage.title("2. Helm installs Terway");
    let chart = setting.root.join("charts/terway");
    stage.run(&format!("cat {}", setting.manifest("values.yaml")))?;
    stage.run(&format!(
        "helm install terway {} -n kube-system -f {}",
        chart.display(),
        setting.manifest("values.yaml")
    ))?;
    stage.run("kubectl -n kube-system rollout status statefulset/terway-controlplane --timeout=90s")?;
    stage.run("kubectl -n kube-system rollout status daemonset/terway-eniip --timeout=90s")?;
    stage.run("kubectl wait --for=condition=Ready node --all --timeout=60s")?;
    stage.run("kubectl -n kube-system get statefulset,daemonset,pods -o wide")?;
    let holder = stage.wait("one replica leads", Duration::from_secs(30), || {
        let holder = stage.ask(
            "kubectl -n kube-system get lease terway-controlplane -o jsonpath='{.spec.holderIdentity}'",
        )?;
        Ok(holder.filter(|name| name.starts_with("terway-controlplane-")))
    })?;
    stage.say(format!("the leader is {holder}"));

    stage.title("3. Each node gets a trunk ENI");
    for node in setting.nodes() {
        stage.wait(format!("{node} offers 14 member ENIs"), Duration::from_secs(30), || {
            let offered = stage.ask(&format!(
                "kubectl get node {node} -o jsonpath='{{.metadata.annotations.k8s\\.aliyun\\.com/trunk-on}} {{.status.allocatable.aliyun/member-eni}}'"
            ))?;
            Ok(offered.filter(|text| text.starts_with("eni-") && text.ends_with(" 14")))
        })?;
    }
    stage.run(
        "kubectl get nodes -o 'custom-columns=NODE:.metadata.name,\
         TRUNK:.metadata.annotations.k8s\\.aliyun\\.com/trunk-on,\
         MEMBER-ENIS:.status.allocatable.aliyun/member-eni'",
    )?;
    stage.run("lab cloud enis")?;
    let enis = cloud::enis(stage)?;
    let trunks = enis
        .values()
        .filter(|(kind, status)| kind == "Trunk" && status == "InUse")
        .count();
    stage.check(
        trunks == setting.nodes().count(),
        "the cloud has attached one trunk ENI to each node",
    )
}
