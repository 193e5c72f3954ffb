//! The product's answers to bad input. The cluster has the product and the two PodNetworkings of the demo. Bad input to
//! one object does not stop work on others.

use std::time::Duration;

use anyhow::Result;

use crate::stage::Stage;

/// Tries all bad input.
pub fn play(stage: &Stage) -> Result<()> {
    stage.title("Bad input");
    refused_networks(stage)?;
    unknown_in_the_cloud(stage)?;
    refused_pods(stage)?;
    passed_over(stage)?;
    stage.run("kubectl get podnetworkings")?;
    Ok(())
}

/// A PodNetworking by its spec in flow style.
fn network(name: &str, spec: &str) -> String {
    format!(
        "kubectl apply -f - <<'EOF'\n{{apiVersion: network.alibabacloud.com/v1beta1, kind: PodNetworking, \
         metadata: {{name: {name}}}, spec: {spec}}}\nEOF"
    )
}

/// A pod by annotations and labels in flow style.
fn pod(name: &str, annotations: &str, labels: &str) -> String {
    format!(
        "kubectl apply -f - <<'EOF'\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, annotations: {{{annotations}}}, \
         labels: {{{labels}}}}}, spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/agnhost:1', imagePullPolicy: Never, \
         command: [/agnhost, pause]}}]}}}}\nEOF"
    )
}

fn refused_networks(stage: &Stage) -> Result<()> {
    let groups: Vec<_> = (1..=11).map(|n| format!("sg-{n}")).collect();
    let said = stage.run_refused(&network(
        "bad",
        &format!(
            "{{securityGroupIDs: [{}], vSwitchOptions: [vsw-pod-h]}}",
            groups.join(", ")
        ),
    ))?;
    stage.check(
        said.contains("10"),
        "more than 10 security groups are refused by kubectl apply",
    )?;
    for (allocation, what) in [
        ("{type: Fixed}", "Fixed without a release strategy"),
        (
            "{type: Fixed, releaseStrategy: TTL}",
            "Fixed with a TTL but without releaseAfter",
        ),
        (
            "{type: Fixed, releaseStrategy: TTL, releaseAfter: soon}",
            "a releaseAfter that is no duration",
        ),
        (
            "{type: Fixed, releaseStrategy: TTL, releaseAfter: 1s}",
            "a releaseAfter below minReleaseAfter",
        ),
    ] {
        let said = stage.run_refused(&network(
            "bad",
            &format!(
                "{{securityGroupIDs: [sg-web], vSwitchOptions: [vsw-pod-h], allocationType: {allocation}}}"
            ),
        ))?;
        stage.check(said.contains("release"), format!("{what} is refused"))?;
    }
    Ok(())
}

fn unknown_in_the_cloud(stage: &Stage) -> Result<()> {
    for (name, spec, code) in [
        (
            "no-vswitch",
            "{securityGroupIDs: [sg-web], vSwitchOptions: [vsw-nowhere]}",
            "vsw-nowhere",
        ),
        (
            "no-group",
            "{securityGroupIDs: [sg-nobody], vSwitchOptions: [vsw-pod-h]}",
            "sg-nobody",
        ),
    ] {
        stage.run(&network(name, spec))?;
        stage.wait(
            format!("{name} is in status Fail and names {code}"),
            Duration::from_secs(20),
            || {
                let said = stage.ask(&format!(
                    "kubectl get podnetworking {name} -o jsonpath='{{.status.status}} {{.status.message}}'"
                ))?;
                Ok(said
                    .filter(|text| text.starts_with("Fail ") && text.contains(code))
                    .map(drop))
            },
        )?;
        stage.wait(format!("an event on {name} says so"), Duration::from_secs(10), || {
            let events = stage.get(&format!(
                "kubectl get events -A --field-selector involvedObject.name={name} -o jsonpath='{{.items[*].reason}}'"
            ))?;
            Ok(events.contains("SyncPodNetworkingFailed").then_some(()))
        })?;
    }
    stage.say("the mistake is corrected: it becomes Ready without further help");
    stage.run(&network(
        "no-vswitch",
        "{securityGroupIDs: [sg-web], vSwitchOptions: [vsw-pod-h]}",
    ))?;
    stage
        .run("kubectl wait --for=jsonpath='{.status.status}'=Ready podnetworking/no-vswitch --timeout=30s")?;
    Ok(())
}

fn refused_pods(stage: &Stage) -> Result<()> {
    let said = stage.run_refused(&pod(
        "unknown-network",
        "k8s.aliyun.com/pod-networks-request: '[{\"network\": \"nowhere\"}]'",
        "",
    ))?;
    stage.check(
        said.contains("nowhere"),
        "a pod that asks for an unknown network is refused",
    )?;
    let said = stage.run_refused(&pod(
        "two-annotations",
        "k8s.aliyun.com/pod-networking: web, k8s.aliyun.com/pod-networks-request: '[{\"network\": \"no-vswitch\"}]'",
        "",
    ))?;
    stage.check(
        said.contains("exclude each other"),
        "a pod with two conflicting annotations is refused",
    )?;
    stage.run(&network(
        "fixed-by-name",
        "{securityGroupIDs: [sg-db], vSwitchOptions: [vsw-db-h], \
         allocationType: {type: Fixed, releaseStrategy: TTL, releaseAfter: 30s}}",
    ))?;
    stage.run(
        "kubectl wait --for=jsonpath='{.status.status}'=Ready podnetworking/fixed-by-name --timeout=30s",
    )?;
    stage.run(&deployment(
        "fixed",
        "k8s.aliyun.com/pod-networks-request: '[{\"network\": \"fixed-by-name\"}]'",
        "app: fixed",
    ))?;
    stage.wait(
        "the Deployment's pods are refused: Fixed needs names that stay",
        Duration::from_secs(20),
        || {
            let said = stage.get(
                "kubectl get replicasets -l app=fixed -o jsonpath='{.items[*].status.conditions[*].message}'",
            )?;
            Ok(said.contains("StatefulSet").then_some(()))
        },
    )?;
    stage.run("kubectl delete deployment fixed --wait=true")?;
    Ok(())
}

fn passed_over(stage: &Stage) -> Result<()> {
    stage.say("a Deployment that the Fixed network db selects");
    stage.run(&deployment("wrong-kind", "", "app: wrong-kind, network: db"))?;
    stage.wait(
        "PodNetworking db has a condition about it",
        Duration::from_secs(30),
        || {
            let said =
                stage.get("kubectl get podnetworking db -o jsonpath='{.status.conditions[*].message}'")?;
            Ok(said.contains("wrong-kind").then_some(()))
        },
    )?;
    stage.wait("an event on the workload says so", Duration::from_secs(20), || {
        let said = stage.get("kubectl get events -o jsonpath='{range .items[*]}{.involvedObject.name} {.message}{\"\\n\"}{end}'")?;
        Ok(said.lines().any(|line| line.starts_with("wrong-kind") && line.contains("db")).then_some(()))
    })?;
    stage.run("kubectl delete deployment wrong-kind --wait=true")?;
    Ok(())
}

fn deployment(name: &str, annotations: &str, labels: &str) -> String {
    format!(
        "kubectl apply -f - <<'EOF'\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, labels: {{{labels}}}}}, \
         spec: {{replicas: 1, selector: {{matchLabels: {{{labels}}}}}, template: {{metadata: {{annotations: {{{annotations}}}, labels: {{{labels}}}}}, \
         spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: 'lab.local/agnhost:1', imagePullPolicy: Never, command: [/agnhost, pause]}}]}}}}}}}}\nEOF"
    )
}
