//! Services: ClusterIP, and NodePorts with both policies; from pods, from nodes, from outside, and of a pod
//! to itself. Their one backend is a pod of the first node.

use anyhow::Result;

use super::cast::{KINDS, NODES, OUTSIDE, Pods};
use super::question::{Expected, From, both, verify};
use crate::stage::Stage;

/// A Service as its clients see it.
struct Service {
    backend: String,
    cluster_ip: String,
    /// For TCP and UDP alike.
    node_port: u16,
}

pub fn play(stage: &Stage, pods: &Pods) -> Result<()> {
    for (number, kind) in (0..).zip(KINDS) {
        let service = |name: &str, node_port| -> Result<Service> {
            Ok(Service {
                backend: format!("{kind}-node1"),
                cluster_ip: stage.get(&format!(
                    "kubectl get service {name} -o jsonpath='{{.spec.clusterIP}}'"
                ))?,
                node_port,
            })
        };
        let cluster = service(&format!("{kind}-node1"), 30001 + number)?;
        let local = service(&format!("{kind}-node1-local"), 30101 + number)?;
        cluster_ip(stage, pods, &cluster)?;
        node_port_cluster(stage, pods, &cluster)?;
        node_port_local(stage, pods, &local)?;
    }
    Ok(())
}

fn cluster_ip(stage: &Stage, pods: &Pods, service: &Service) -> Result<()> {
    let mut questions = Vec::new();
    for pod in pods.iter() {
        // kube-proxy masquerades a packet that comes back to its sender.
        let expected = if pod.name == service.backend {
            Expected::Answer
        } else {
            Expected::SeenAs(pod.address.clone())
        };
        questions.extend(both(
            From::Pod(pod.name.clone()),
            &service.cluster_ip,
            80,
            &expected,
        ));
    }
    for (node, _) in NODES {
        questions.extend(both(
            From::Machine(node.to_owned()),
            &service.cluster_ip,
            80,
            &Expected::Answer,
        ));
    }
    let backend = &service.backend;
    verify(
        stage,
        &format!("{backend} by ClusterIP: from itself, from every pod under its own address, from nodes"),
        questions,
    )
}

fn node_port_cluster(stage: &Stage, pods: &Pods, service: &Service) -> Result<()> {
    let mut questions = Vec::new();
    let mut ask = |from: From, address: &str| {
        questions.extend(both(from, address, service.node_port, &Expected::Answer));
    };
    for (_, address) in NODES {
        for (machine, _) in NODES.iter().chain([&OUTSIDE]) {
            ask(From::Machine((*machine).to_owned()), address);
        }
        for pod in pods.iter() {
            ask(From::Pod(pod.name.clone()), address);
        }
    }
    let backend = &service.backend;
    verify(
        stage,
        &format!(
            "{backend} by NodePort, policy Cluster: on every node, from itself, pods, nodes and outside"
        ),
        questions,
    )
}

fn node_port_local(stage: &Stage, pods: &Pods, service: &Service) -> Result<()> {
    let backend = &service.backend;
    let (_, home) = NODES[0];
    let (_, elsewhere) = NODES[1];
    let mut questions = Vec::new();
    for (machine, address) in [OUTSIDE, NODES[1]] {
        questions.extend(both(
            From::Machine(machine.to_owned()),
            home,
            service.node_port,
            &Expected::SeenAs(address.to_owned()),
        ));
    }
    for pod in pods.iter().filter(|pod| pod.name != *backend) {
        let from = From::Pod(pod.name.clone());
        questions.extend(both(
            from,
            home,
            service.node_port,
            &Expected::SeenAs(pod.address.clone()),
        ));
    }
    verify(
        stage,
        &format!(
            "{backend} by NodePort, policy Local: it sees the address of a machine outside, of a node, of every pod"
        ),
        questions,
    )?;
    let silent = both(
        From::Machine(OUTSIDE.0.to_owned()),
        elsewhere,
        service.node_port,
        &Expected::Silence,
    );
    verify(
        stage,
        &format!("a node without {backend} does not answer on that port"),
        silent.into(),
    )
}
