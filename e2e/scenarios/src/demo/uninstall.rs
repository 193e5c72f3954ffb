//! Act 10: the product goes, running pods keep their network.

use anyhow::Result;

use super::Setting;
use super::packets::web_pod;
use crate::stage::Stage;

pub fn play(stage: &Stage, setting: &Setting) -> Result<()> {
    stage.title("10. helm uninstall: running pods keep their network");
    stage.run(&format!("kubectl apply -f {}", setting.manifest("web.yaml")))?;
    stage.run("kubectl rollout status deployment/web --timeout=90s")?;
    let here = web_pod(stage, |node| node == "node1")?;
    let there = web_pod(stage, |node| node == "node2")?;
    let there_ip = stage.get(&format!(
        "kubectl get pod {there} -o jsonpath='{{.status.podIP}}'"
    ))?;
    let ask = format!("kubectl exec {here} -- wget -qO- http://{there_ip}:8080/hostname");
    stage.run(&ask)?;
    stage.run("helm uninstall terway -n kube-system --wait")?;
    stage.run("kubectl -n kube-system get pods")?;
    let answer = stage.run(&ask)?;
    stage.check(
        answer.contains(&there),
        "pods on different nodes still reach each other",
    )
}
