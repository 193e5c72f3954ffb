//! Takes the picture that the invariants are checked on: API server, cloud, and the kernel of each node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use crash::checker::{EniInCloud, Intent, Snapshot};
use crash::evidence;
use crash::view::Objects;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use lab::state::StateDir;
use serde_json::Value;
use terway_crds::names::{annotation, label, tag};
use terway_crds::{NetworkInterface, PodEni, TerwayNode};

use super::kernel;
use crate::cloud;
use crate::invariants::{Binding, EniAddresses, Member, Picture, RunningPod};
use crate::stage::Stage;

/// Takes a picture. A change in the meantime shows as a fault, so the caller looks again.
pub async fn picture(stage: &Stage, state: &StateDir, client: &Client, nodes: &[String]) -> Result<Picture> {
    let before = objects(client).await?;
    let cloud = cloud::state(stage)?;
    let enis = cloud["enis"]
        .as_array()
        .context("the cloud's state has no list of ENIs")?;
    let mut snapshot = Snapshot {
        enis: enis.iter().map(eni_in_cloud).collect::<Result<_>>()?,
        ..Snapshot::default()
    };
    evidence::refer(&mut snapshot, &before);
    let mut picture = Picture {
        pods: pods(client).await?,
        bindings: bindings(&before, enis)?,
        enis: shared_enis(&before, enis)?,
        cloud: snapshot,
        kernels: BTreeMap::new(),
    };
    for node in nodes {
        picture
            .kernels
            .insert(node.clone(), kernel::look(stage, state, node)?);
    }
    Ok(picture)
}

async fn objects(client: &Client) -> Result<Objects> {
    let all = ListParams::default();
    let records = Api::<PodEni>::all(client.clone()).list(&all).await?;
    let interfaces = Api::<NetworkInterface>::all(client.clone()).list(&all).await?;
    let nodes = Api::<TerwayNode>::all(client.clone()).list(&all).await?;
    Ok(Objects {
        pod_enis: records
            .into_iter()
            .map(|object| (object.name_any(), object))
            .collect(),
        interfaces: interfaces
            .into_iter()
            .map(|object| (object.name_any(), object))
            .collect(),
        terway_nodes: nodes
            .into_iter()
            .map(|object| (object.name_any(), object))
            .collect(),
        ..Objects::default()
    })
}

async fn pods(client: &Client) -> Result<Vec<RunningPod>> {
    let pods = Api::<Pod>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    Ok(pods.iter().filter_map(pod_seen).collect())
}

/// Pods that have, or will have, a sandbox with a network of its own.
fn pod_seen(pod: &Pod) -> Option<RunningPod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if spec.host_network == Some(true) || ended {
        return None;
    }
    Some(RunningPod {
        uid: pod.uid()?,
        name: format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
        node: spec.node_name.clone()?,
        address: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
    })
}

fn bindings(objects: &Objects, enis: &[Value]) -> Result<Vec<Binding>> {
    let mut found = Vec::new();
    for (node, record) in &objects.terway_nodes {
        for nic in record
            .status
            .iter()
            .flat_map(|status| status.network_interfaces.values())
        {
            for ip in nic.ipv4.values().filter(|ip| !ip.pod_uid.is_empty()) {
                found.push(Binding {
                    pod_uid: ip.pod_uid.clone(),
                    pod: ip.pod_id.clone(),
                    node: node.clone(),
                    address: address(&ip.ip)?,
                    nic: nic.mac_address.clone(),
                    member: None,
                });
            }
        }
    }
    for record in objects.pod_enis.values() {
        found.extend(members(record, enis)?);
    }
    Ok(found)
}

fn members(record: &PodEni, enis: &[Value]) -> Result<Vec<Binding>> {
    let Some(status) = &record.status else {
        return Ok(Vec::new());
    };
    let trunk = enis.iter().find(|eni| text(eni, "id") == status.trunk_eni_id);
    let bound = record
        .spec
        .allocations
        .iter()
        .filter(|allocation| !allocation.ipv4.is_empty());
    bound
        .map(|allocation| {
            let info = status.eni_infos.get(&allocation.eni.id);
            Ok(Binding {
                pod_uid: record
                    .annotations()
                    .get(annotation::POD_UID)
                    .cloned()
                    .unwrap_or_default(),
                pod: format!("{}/{}", record.namespace().unwrap_or_default(), record.name_any()),
                node: record.labels().get(label::NODE).cloned().unwrap_or_default(),
                address: address(&allocation.ipv4)?,
                nic: trunk.map(|eni| text(eni, "mac")).unwrap_or_default(),
                member: Some(Member {
                    vlan: info
                        .and_then(|info| u16::try_from(info.vid?).ok())
                        .unwrap_or_default(),
                    fixed: allocation.allocation_type.is_fixed(),
                }),
            })
        })
        .collect()
}

/// The ENIs that Node objects list, with their addresses on both sides.
fn shared_enis(objects: &Objects, enis: &[Value]) -> Result<Vec<EniAddresses>> {
    let statuses = objects
        .terway_nodes
        .values()
        .filter_map(|record| record.status.as_ref());
    let nics = statuses.flat_map(|status| status.network_interfaces.values());
    nics.filter(|nic| !nic.unschedulable)
        .map(|nic| {
            let eni = enis.iter().find(|eni| text(eni, "id") == nic.id);
            Ok(EniAddresses {
                eni: nic.id.clone(),
                recorded: nic.ipv4.keys().map(|ip| address(ip)).collect::<Result<_>>()?,
                cloud: eni.map(addresses).transpose()?.unwrap_or_default(),
            })
        })
        .collect()
}

fn addresses(eni: &Value) -> Result<BTreeSet<Ipv4Addr>> {
    let secondary = eni["secondaryIps"].as_array().into_iter().flatten();
    let all = std::iter::once(&eni["primaryIp"]).chain(secondary);
    all.map(|ip| address(ip.as_str().unwrap_or_default())).collect()
}

fn eni_in_cloud(eni: &Value) -> Result<EniInCloud> {
    let tags = &eni["tags"];
    let ours = tags[tag::CREATOR].as_str() == Some(tag::CREATOR_CONTROLLER);
    Ok(EniInCloud {
        id: text(eni, "id"),
        status: text(eni, "status"),
        trunk: text(eni, "type") == "Trunk",
        member: text(eni, "type") == "Member",
        instance: eni["attachment"]["instanceId"].as_str().map(str::to_owned),
        addresses: addresses(eni)?.iter().map(ToString::to_string).collect(),
        ours,
        intent: tags[tag::INTENT].as_str().and_then(Intent::parse),
    })
}

fn address(text: &str) -> Result<Ipv4Addr> {
    text.parse()
        .with_context(|| format!("'{text}' is no IPv4 address"))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
