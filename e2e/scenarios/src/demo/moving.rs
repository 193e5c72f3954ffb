//! Act 8: a pod of a Fixed network moves to the other node with its address and its ENI.

use std::time::Duration;

use anyhow::Result;

use super::packets::web_pod;
use crate::stage::Stage;

const IDENTITY: &str = "kubectl get podeni db-0 -o \
    jsonpath='{.spec.allocations[0].ipv4} {.spec.allocations[0].eni.id}'";

pub fn play(stage: &Stage) -> Result<()> {
    stage.title("8. db-0 moves, and keeps its address and its ENI");
    let old_node = stage.get("kubectl get pod db-0 -o jsonpath='{.spec.nodeName}'")?;
    let old_uid = stage.get("kubectl get pod db-0 -o jsonpath='{.metadata.uid}'")?;
    let before = stage.get(IDENTITY)?;
    stage.say(format!("db-0 is on {old_node} with {before}"));
    stage.run(&format!("kubectl cordon {old_node}"))?;
    stage.run("kubectl delete pod db-0")?;
    stage.wait("a new db-0 is Ready", Duration::from_secs(60), || {
        let state = stage.ask(
            "kubectl get pod db-0 -o \
             jsonpath='{.metadata.uid} {.status.conditions[?(@.type==\"Ready\")].status}'",
        )?;
        Ok(state
            .filter(|text| !text.starts_with(&old_uid) && text.ends_with(" True"))
            .map(drop))
    })?;
    stage.run("kubectl get pods -l app=db -o wide")?;
    let new_node = stage.get("kubectl get pod db-0 -o jsonpath='{.spec.nodeName}'")?;
    stage.check(new_node != old_node, format!("db-0 runs on {new_node} now"))?;
    let after = stage.get(IDENTITY)?;
    stage.check(
        after == before,
        format!("it has the same address and ENI: {after}"),
    )?;
    let web = web_pod(stage, |node| node == old_node)?;
    let ip = before.split(' ').next().unwrap_or_default();
    stage.run(&format!(
        "kubectl exec {web} -- /agnhost connect {ip}:5432 --timeout=3s"
    ))?;
    stage.check(true, "web reaches it again, across the nodes")?;
    stage.run(&format!("kubectl uncordon {old_node}"))?;
    Ok(())
}
