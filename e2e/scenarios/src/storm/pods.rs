//! The pods that scenarios make, many of them and of both kinds.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::stage::Stage;

/// The network whose pods keep their addresses; also the value of their label.
pub const FIXED: &str = "storm-fixed";
const MEMBER: &str = "storm";

/// What carries a pod's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shared,
    Member,
    /// A member whose address stays with its name.
    Fixed,
}

impl Kind {
    fn labels(self, app: &str) -> Value {
        match self {
            Kind::Shared => json!({"app": app}),
            Kind::Member => json!({"app": app, "network": MEMBER}),
            Kind::Fixed => json!({"app": app, "network": FIXED}),
        }
    }
}

/// The two networks, Ready.
pub fn networks(stage: &Stage) -> Result<()> {
    let network = |name: &str, allocation: Value| {
        json!({
            "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking", "metadata": {"name": name},
            "spec": {
                "allocationType": allocation,
                "selector": {"podSelector": {"matchLabels": {"network": name}}},
                "securityGroupIDs": ["sg-node"],
                "vSwitchOptions": ["vsw-pod-h"],
            },
        })
    };
    apply(stage, &network(MEMBER, json!({"type": "Elastic"})))?;
    let fixed = json!({"type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "10m"});
    apply(stage, &network(FIXED, fixed))?;
    stage.run(&format!(
        "kubectl wait --for=jsonpath='{{.status.status}}'=Ready podnetworking/{MEMBER} podnetworking/{FIXED} --timeout=60s"
    ))?;
    Ok(())
}

/// The networks go again.
pub fn no_networks(stage: &Stage) -> Result<()> {
    stage.run(&format!("kubectl delete podnetworking {MEMBER} {FIXED}"))?;
    Ok(())
}

/// A Deployment, of pods on `node` if one is named.
pub fn deploy(stage: &Stage, app: &str, kind: Kind, node: Option<&str>, replicas: usize) -> Result<()> {
    let mut spec = pod_spec(json!({
        "name": "main", "image": "lab.local/agnhost:1", "command": ["/agnhost", "pause"],
    }));
    if let Some(node) = node {
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    }
    stage.say(format!("{replicas} pods of Deployment {app}, {kind:?}"));
    apply(
        stage,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": app}},
                "template": {"metadata": {"labels": kind.labels(app)}, "spec": spec},
            },
        }),
    )
}

/// A StatefulSet of one pod with a Fixed address.
pub fn keeper(stage: &Stage, app: &str) -> Result<()> {
    let main = json!({"name": "main", "image": "lab.local/agnhost:1", "command": ["/agnhost", "pause"]});
    apply(
        stage,
        &json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": app},
            "spec": {
                "replicas": 1,
                "serviceName": app,
                "selector": {"matchLabels": {"app": app}},
                "template": {"metadata": {"labels": Kind::Fixed.labels(app)}, "spec": pod_spec(main)},
            },
        }),
    )
}

/// One pod that runs `traffic`.
pub fn traffic(stage: &Stage, name: &str, kind: Kind, node: &str, arguments: &[String]) -> Result<()> {
    let mut command = vec!["/usr/bin/traffic".to_owned()];
    command.extend(arguments.iter().cloned());
    let mut spec = pod_spec(json!({"name": "main", "image": "lab.local/traffic:1", "command": command}));
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    apply(
        stage,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": kind.labels(name)},
            "spec": spec,
        }),
    )
}

fn pod_spec(mut container: Value) -> Value {
    container["imagePullPolicy"] = json!("Never");
    json!({"terminationGracePeriodSeconds": 1, "enableServiceLinks": false, "containers": [container]})
}

fn apply(stage: &Stage, object: &Value) -> Result<()> {
    stage.get(&format!("kubectl apply -f - <<'EOF'\n{object}\nEOF"))?;
    Ok(())
}

/// How many replicas of a Deployment are Ready.
pub fn ready(stage: &Stage, app: &str) -> Result<usize> {
    let ready = stage.get(&format!(
        "kubectl get deployment {app} -o jsonpath='{{.status.readyReplicas}}'"
    ))?;
    Ok(ready.parse().unwrap_or(0))
}

/// Pods of an app that are still there, those that are going included.
pub fn present(stage: &Stage, app: &str) -> Result<usize> {
    let names = stage.get(&format!("kubectl get pods -l app={app} -o name"))?;
    Ok(names.lines().count())
}

/// Waits until all replicas are Ready. On a machine that has much to do a pod takes seconds.
pub fn wait_ready(stage: &Stage, app: &str, replicas: usize) -> Result<()> {
    let patience = Duration::from_secs(180) + Duration::from_secs(3) * u32::try_from(replicas)?;
    stage.wait(
        format!("all {replicas} pods of {app} are Ready"),
        patience,
        || Ok((ready(stage, app)? == replicas).then_some(())),
    )
}

/// Waits until no pod of an app is left.
pub fn wait_gone(stage: &Stage, app: &str) -> Result<()> {
    stage.wait(
        format!("no pod of {app} is left"),
        Duration::from_secs(300),
        || Ok((present(stage, app)? == 0).then_some(())),
    )
}

/// Deletes a Deployment and does not wait.
pub fn remove(stage: &Stage, app: &str) -> Result<()> {
    stage.get(&format!("kubectl delete deployment {app} --wait=false"))?;
    Ok(())
}
