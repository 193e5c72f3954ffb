//! Ordinary pods, without a PodNetworking: addresses of their nodes' shared ENIs, beside pods with ENIs of
//! their own.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::stage::Stage;

/// Two ordinary pods on two nodes, their packets, and their end.
pub fn play(stage: &Stage) -> Result<()> {
    stage.title("Ordinary pods: addresses of shared ENIs");
    for (name, node) in [("plain-1", "node1"), ("plain-2", "node2")] {
        stage.run(&pod(name, node))?;
    }
    stage.run("kubectl wait --for=condition=Ready pod/plain-1 pod/plain-2 --timeout=60s")?;
    stage.run("kubectl get pods plain-1 plain-2 -o wide")?;
    for name in ["plain-1", "plain-2"] {
        check_bound(stage, "default", name)?;
    }
    let address = stage.get("kubectl get pod plain-2 -o jsonpath='{.status.podIP}'")?;
    stage.run(&format!(
        "kubectl exec plain-1 -- /agnhost connect {address}:8080 --timeout=3s"
    ))?;
    stage.check(true, "they reach each other across nodes")?;
    let db = stage.get("kubectl get pod db-0 -o jsonpath='{.status.podIP}'")?;
    for name in ["plain-1", "plain-2"] {
        stage.run(&format!(
            "kubectl exec {name} -- /agnhost connect {db}:5432 --timeout=3s"
        ))?;
        stage.run(&format!(
            "kubectl exec {name} -- /agnhost connect 10.96.0.1:443 --timeout=3s"
        ))?;
    }
    stage.check(
        true,
        "a pod with an ENI of its own answers them, on their node and on the other, and so does the API server by its ClusterIP",
    )?;
    stage.run("kubectl delete pod plain-1 plain-2 --wait=true --timeout=60s")?;
    stage
        .wait("both addresses are free again", Duration::from_secs(90), || {
            let bound = stage.get(
                "kubectl get nodes.network.alibabacloud.com -o jsonpath='{.items[*].status.networkInterfaces}'",
            )?;
            Ok((!bound.contains("plain-")).then_some(()))
        })
        .context("an address is free when its sandbox is reported gone and the cooldown is over")
}

/// Checks that the address of a pod is one of its node's shared ENIs, and recorded as the pod's.
pub fn check_bound(stage: &Stage, namespace: &str, pod: &str) -> Result<()> {
    let facts = stage.get(&format!(
        "kubectl -n {namespace} get pod {pod} -o jsonpath='{{.spec.nodeName}} {{.metadata.uid}} {{.status.podIP}}'"
    ))?;
    let [node, uid, address] = facts.split(' ').collect::<Vec<_>>()[..] else {
        bail!("{pod} has no address yet: {facts}");
    };
    let enis: Value = serde_json::from_str(&stage.get(&format!(
        "kubectl get nodes.network.alibabacloud.com {node} -o jsonpath='{{.status.networkInterfaces}}'"
    ))?)?;
    let holds = |eni: &Value| eni["ipv4"][address]["podUID"] == uid;
    stage.check(
        enis.as_object().is_some_and(|enis| enis.values().any(holds)),
        format!("the Node object of {node} says that {address} is {pod}'s"),
    )
}

fn pod(name: &str, node: &str) -> String {
    format!(
        "kubectl apply -f - <<'EOF'\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, \
         spec: {{nodeName: {node}, terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/agnhost:1', imagePullPolicy: Never, \
         command: [/agnhost, netexec, --http-port=8080, --udp-port=8081], \
         readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}}}]}}}}\nEOF"
    )
}
