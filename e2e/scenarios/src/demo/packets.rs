//! Act 7: real packets between the pods, and what security groups make of them.

use anyhow::{Context as _, Result};

use crate::cloud;
use crate::stage::Stage;

pub fn play(stage: &Stage) -> Result<()> {
    stage.title("7. Packets: security groups, Services, names, the API, kubelet");
    let db_node = stage.get("kubectl get pod db-0 -o jsonpath='{.spec.nodeName}'")?;
    let db_ip = stage.get("kubectl get pod db-0 -o jsonpath='{.status.podIP}'")?;
    let other = web_pod(stage, |node| node != db_node)?;

    stage.say(format!(
        "db-0 is {db_ip} on {db_node}; {other} is on the other node"
    ));
    stage.run(&format!(
        "kubectl exec {other} -- /agnhost connect {db_ip}:5432 --timeout=3s"
    ))?;
    stage.check(true, "sg-db lets web in on port 5432")?;
    let before = cloud::drops(stage, "sg-ingress")?;
    let said = stage.run_refused(&format!(
        "kubectl exec {other} -- /agnhost connect {db_ip}:9999 --timeout=2s"
    ))?;
    stage.check(
        said.contains("TIMEOUT"),
        "port 9999 does not answer, though a server listens there",
    )?;
    stage.run("lab cloud drops")?;
    let after = cloud::drops(stage, "sg-ingress")?;
    stage.check(
        after > before,
        format!("the VPC dropped it at db-0's ENI (sg-ingress {before} -> {after})"),
    )?;

    services(stage, &other)?;
    names(stage, &other, &db_ip)?;

    stage.say("the API, through the Service `kubernetes`");
    let listed = stage.run(&format!(
        "kubectl exec {other} -- kubectl get pods -l app=db -o name"
    ))?;
    stage.check(
        listed.contains("pod/db-0"),
        "web lists pods through the API server's ClusterIP",
    )?;

    let logs = stage.run("kubectl logs db-0 -c db --tail=3")?;
    stage.check(
        logs.contains("GET /healthz"),
        "kubelet's probes reach db-0, and `kubectl logs` works",
    )
}

/// Each db pod through a ClusterIP of its own, so that one web pod meets a backend on its
/// own node and one on the other.
fn services(stage: &Stage, web: &str) -> Result<()> {
    let web_node = stage.get(&format!("kubectl get pod {web} -o jsonpath='{{.spec.nodeName}}'"))?;
    for db in ["db-0", "db-1"] {
        let node = stage.get(&format!("kubectl get pod {db} -o jsonpath='{{.spec.nodeName}}'"))?;
        let place = if node == web_node {
            "on the same node"
        } else {
            "on the other node"
        };
        let service = stage.get(&format!(
            "kubectl get service {db} -o jsonpath='{{.spec.clusterIP}}'"
        ))?;
        let tcp = stage.run(&format!(
            "kubectl exec {web} -- wget -qO- http://{service}/hostname"
        ))?;
        stage.check(
            tcp.contains(db),
            format!("ClusterIP over TCP reaches {db}, {place}"),
        )?;
        let udp = stage.run(&format!(
            "kubectl exec {web} -- wget -qO- \
             'http://127.0.0.1:8080/dial?request=hostname&protocol=udp&host={service}&port=53&tries=1'"
        ))?;
        stage.check(
            udp.contains(db),
            format!("ClusterIP over UDP reaches {db}, {place}"),
        )?;
    }
    Ok(())
}

/// Names that CoreDNS answers, over its ClusterIP.
fn names(stage: &Stage, web: &str, db_ip: &str) -> Result<()> {
    stage.say("names: web asks CoreDNS, a pod on a shared ENI, by its ClusterIP");
    let name = "db-0.db.default.svc.cluster.local";
    let answer = stage.run(&format!("kubectl exec {web} -- nslookup -type=a {name}"))?;
    stage.check(answer.contains(db_ip), format!("{name} is {db_ip}"))?;
    stage.run(&format!(
        "kubectl exec {web} -- /agnhost connect db-0.db:5432 --timeout=3s"
    ))?;
    stage.check(true, "web reaches db by its name")
}

/// A web pod whose node fits.
pub fn web_pod(stage: &Stage, fits: impl Fn(&str) -> bool) -> Result<String> {
    let pods = stage.get(
        "kubectl get pods -l app=web -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}'",
    )?;
    pods.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, node)| fits(node))
        .map(|(pod, _)| pod.to_owned())
        .context("no web pod on the node asked for")
}
