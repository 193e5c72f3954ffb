//! Gathers what the rules look at: from the cloud's log and state, and from the objects.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use cloudsim::call_log::CallRecord;
use cloudsim::model::{Eni, EniKind};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use terway_crds::names::tag;
use terway_crds::{NetworkInterface, Phase, PodEni, TerwayNode};

use crate::checker::{Attached, Call, EniInCloud, Facts, Intent, Remains, Snapshot};
use crate::lane::Lane;
use crate::pools;
use crate::settings::COOLDOWN;
use crate::view::Objects;
use crate::world;

/// The facts of a run whose first call came after number `since`.
pub fn facts(lane: &Lane, since: u64) -> Facts {
    Facts {
        calls: lane.cloud.calls_since(since).iter().map(call).collect(),
        pods: lane.ledger.pods(),
        claims: lane.view.claims(),
        terms: lane.view.terms(),
        foreign: lane.before.keys().cloned().collect(),
        removed: lane.ledger.removals(),
        assigns: lane.view.assigns(),
        cooldown: COOLDOWN,
    }
}

/// One line of the cloud's log.
pub fn call(record: &CallRecord) -> Call {
    Call {
        seq: record.seq,
        arrived: record.arrived,
        acted: record.time,
        action: record.action.clone(),
        caller: record.caller.clone(),
        eni: record.eni_id.clone(),
        intent: intent_of(record),
        token: record.client_token.clone(),
        addresses: addresses_of(record),
        outcome: record.outcome.clone(),
    }
}

fn addresses_of(record: &CallRecord) -> BTreeSet<String> {
    let parameters = record.parameters.iter();
    parameters
        .filter(|(name, _)| name.starts_with("PrivateIpAddress."))
        .map(|(_, address)| address.clone())
        .collect()
}

/// Tags come as `Tag.N.Key` and `Tag.N.Value`.
fn intent_of(record: &CallRecord) -> Option<Intent> {
    let mut parameters = record.parameters.iter();
    let (name, _) = parameters.find(|(name, value)| name.ends_with(".Key") && *value == tag::INTENT)?;
    let value = name.strip_suffix(".Key")?;
    Intent::parse(record.parameters.get(&format!("{value}.Value"))?)
}

fn in_cloud(eni: &Eni) -> EniInCloud {
    let tag_is = |key: &str, wanted: &str| eni.tags.get(key).is_some_and(|value| **value == *wanted);
    EniInCloud {
        id: eni.id.to_string(),
        status: eni.status.name().to_owned(),
        trunk: eni.kind == EniKind::Trunk,
        member: eni.kind == EniKind::Member,
        instance: eni.instance().map(ToString::to_string),
        addresses: eni.addresses().map(|address| address.to_string()).collect(),
        ours: tag_is(tag::CLUSTER, world::CLUSTER) && tag_is(tag::CREATOR, tag::CREATOR_CONTROLLER),
        intent: eni.tags.get(tag::INTENT).and_then(|value| Intent::parse(value)),
    }
}

/// Objects and cloud of one moment. The objects are read before and after the cloud. The later objects name an ENI that
/// was made in between; the earlier objects name one that was given up.
///
/// # Errors
/// When the ENIs of a node do not come to rest.
pub async fn snapshot(lane: &Lane, patience: Duration) -> anyhow::Result<Snapshot> {
    let deadline = Instant::now() + patience;
    loop {
        let before = fresh(lane).await?;
        let enis = lane.cloud.enis().iter().map(in_cloud).collect();
        let after = fresh(lane).await?;
        let restless = pools::restless(&before, &after);
        if restless.is_empty() {
            return Ok(of_moment(lane, &before, enis, &after));
        }
        if Instant::now() > deadline {
            bail!("the shared ENIs of {} rest", restless.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn of_moment(lane: &Lane, before: &Objects, enis: Vec<EniInCloud>, after: &Objects) -> Snapshot {
    let deleted = lane
        .ledger
        .removals()
        .into_iter()
        .filter(|removed| removed.deleted);
    let mut snapshot = Snapshot {
        enis,
        pools: after.terway_nodes.values().filter_map(pools::recorded).collect(),
        deleted: deleted.map(|removed| removed.eni).collect(),
        ..Snapshot::default()
    };
    refer(&mut snapshot, before);
    refer(&mut snapshot, after);
    let still_bound = snapshot.bound.clone();
    snapshot.bound = bound(lane, after)
        .into_iter()
        .filter(|attached| still_bound.contains(attached))
        .collect();
    snapshot
}

/// The objects as the API server has them now; a watch may be behind.
async fn fresh(lane: &Lane) -> anyhow::Result<Objects> {
    let all = ListParams::default();
    let records = Api::<PodEni>::all(lane.client.clone()).list(&all).await?;
    let interfaces = Api::<NetworkInterface>::all(lane.client.clone())
        .list(&all)
        .await?;
    let nodes = Api::<TerwayNode>::all(lane.client.clone()).list(&all).await?;
    Ok(Objects {
        pod_enis: records.into_iter().map(|o| (o.name_any(), o)).collect(),
        interfaces: interfaces.into_iter().map(|o| (o.name_any(), o)).collect(),
        terway_nodes: nodes.into_iter().map(|o| (o.name_any(), o)).collect(),
        ..Objects::default()
    })
}

/// Adds what objects refer to, and, the first time, what is bound. An intent is open while the ENI that it makes is not
/// recorded.
pub fn refer(snapshot: &mut Snapshot, objects: &Objects) {
    snapshot.referenced.extend(objects.interfaces.keys().cloned());
    for record in objects.pod_enis.values() {
        let owner = record.uid().unwrap_or_default();
        for (index, allocation) in record.spec.allocations.iter().enumerate() {
            if !allocation.eni.id.is_empty() {
                snapshot.referenced.insert(allocation.eni.id.clone());
            } else if let Some(creation) = &allocation.creation {
                snapshot
                    .open
                    .insert(intent(&owner, &index.to_string(), creation.attempt));
            }
        }
    }
    for record in objects.terway_nodes.values() {
        let owner = record.uid().unwrap_or_default();
        let Some(status) = &record.status else { continue };
        snapshot
            .referenced
            .extend(status.network_interfaces.keys().cloned());
        for operation in &status.operations {
            if !operation.eni_id.is_empty() {
                snapshot.referenced.insert(operation.eni_id.clone());
            } else {
                let index = terway_core::pool::index(operation);
                snapshot.open.insert(intent(&owner, index, operation.attempt));
            }
        }
    }
    if snapshot.bound.is_empty() {
        snapshot.bound = all_bound(objects);
    }
}

fn intent(owner: &str, index: &str, attempt: i32) -> Intent {
    Intent {
        owner: owner.to_owned(),
        index: index.to_owned(),
        attempt: attempt.to_string(),
    }
}

/// ENIs and addresses of bound pods that live now.
fn bound(lane: &Lane, objects: &Objects) -> Vec<Attached> {
    all_bound(objects)
        .into_iter()
        .filter(|attached| lane.ledger.living(&attached.pod).is_some())
        .collect()
}

fn all_bound(objects: &Objects) -> Vec<Attached> {
    let mut found = Vec::new();
    for (name, record) in &objects.pod_enis {
        let Some(status) = record
            .status
            .as_ref()
            .filter(|status| status.phase == Phase::Bind)
        else {
            continue;
        };
        found.extend(record.spec.allocations.iter().map(|allocation| Attached {
            pod: name.clone(),
            eni: allocation.eni.id.clone(),
            address: allocation.ipv4.clone(),
            instance: status.instance_id.clone(),
        }));
    }
    found.extend(objects.terway_nodes.values().flat_map(pools::bound));
    found
}

/// What is left after everything was given up.
pub async fn remains(lane: &Lane, late_calls: usize, silent: bool) -> anyhow::Result<Remains> {
    let objects = fresh(lane).await?;
    let named = |kind: &str, names: BTreeSet<&String>| -> Vec<String> {
        names.into_iter().map(|name| format!("{kind} {name}")).collect()
    };
    let mut left = named("PodENI", objects.pod_enis.keys().collect());
    left.extend(named("NetworkInterface", objects.interfaces.keys().collect()));
    left.extend(named("Node", objects.terway_nodes.keys().collect()));
    Ok(Remains {
        enis: lane.cloud.enis().iter().map(in_cloud).collect(),
        before: lane.before.clone(),
        objects: left,
        late_calls,
        silent,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn objects(allocation: Value, operation: Value) -> Objects {
        let record: PodEni = serde_json::from_value(json!({
            "metadata": {"name": "web-0", "uid": "record"},
            "spec": {"allocations": [allocation]},
        }))
        .unwrap();
        let node: TerwayNode = serde_json::from_value(json!({
            "metadata": {"name": "node1", "uid": "node"},
            "spec": {},
            "status": {"operations": [operation]},
        }))
        .unwrap();
        Objects {
            pod_enis: [("web-0".to_owned(), record)].into(),
            terway_nodes: [("node1".to_owned(), node)].into(),
            ..Objects::default()
        }
    }

    fn referred(allocation: Value, operation: Value) -> (Vec<String>, Vec<String>) {
        let mut snapshot = Snapshot::default();
        refer(&mut snapshot, &objects(allocation, operation));
        let open = snapshot.open.iter().map(ToString::to_string).collect();
        (snapshot.referenced.into_iter().collect(), open)
    }

    #[test]
    fn an_intent_is_open_until_its_eni_is_recorded() {
        let creation = json!({"attempt": 2, "parameters": {}});
        let (named, open) = referred(
            json!({"eni": {}, "creation": creation}),
            json!({"id": "a", "kind": "CreateENI", "attempt": 3}),
        );
        assert_eq!(named, [""; 0]);
        assert_eq!(open, ["node/a/3", "record/0/2"]);
        let (named, open) = referred(
            json!({"eni": {"id": "eni-1"}, "creation": creation}),
            json!({"id": "a", "kind": "AttachENI", "attempt": 3, "eniID": "eni-2"}),
        );
        assert_eq!(named, ["eni-1", "eni-2"]);
        assert_eq!(open, [""; 0]);
    }
}
