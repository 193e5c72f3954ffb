//! A node that is gone: its Node object goes when what it holds on to has another owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::EniFilter;
use terway_core::binding;
use terway_core::intent::{Lookup, Resolution, resolve};
use terway_core::network_interface::for_release;
use terway_core::node::{NodeFacts, release as held_enis};
use terway_core::pod::PodFacts;
use terway_core::pool::{creates, index, intent};
use terway_crds::names::{finalizer, label, tag};
use terway_crds::node::Ip;
use terway_crds::{Operation, TerwayNodeStatus};

use super::status;
use crate::context::Context;
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next};

/// The Kubernetes node is not in the cache: if it is surely gone, so goes our object.
pub async fn node_gone(context: &Context, record: &NodeRecord) -> Result<Next, ReconcileError> {
    let name = record.metadata.name.as_deref().unwrap_or_default();
    if context.write.node_is_gone(name).await? {
        context.write.delete_node_record(record).await?;
    }
    Ok(Next::OnChange)
}

/// Whether a Node object that is to go has to stay for now, and until when: while nothing may be given back, and while
/// pods of a node that is still there use its ENIs. Says so in its conditions.
pub async fn held_back(
    context: &Context,
    node: Option<&NodeFacts>,
    record: &NodeRecord,
) -> Result<Option<Next>, ReconcileError> {
    if context.degradation.now().keeps_everything() {
        let message = "nothing is given back until degradation in ctrl-config.yaml is lifted".to_owned();
        status::say(context, record, false, "Degraded", message).await?;
        return Ok(Some(Next::OnChange));
    }
    // A node of the same name with another UID is another node.
    let owners = record.metadata.owner_references.iter().flatten();
    let Some(node) = node.filter(|node| owners.into_iter().any(|owner| owner.uid == node.uid)) else {
        return Ok(None);
    };
    let users = users(context, node, record);
    if users.names.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "asked to go while pods use the node's ENIs: it goes when the node is gone, or these pods and their sandboxes \
         are; new pods wait until then: {}",
        users.names.into_iter().take(5).collect::<Vec<_>>().join(", ")
    );
    status::say(context, record, false, "PodsStillRun", message).await?;
    Ok(Some(users.wake.map_or(Next::OnChange, Next::After)))
}

/// Pods that use the ENIs of a node, and when the next address becomes free by itself.
struct Users {
    names: BTreeSet<String>,
    wake: Option<Duration>,
}

fn users(context: &Context, node: &NodeFacts, record: &NodeRecord) -> Users {
    let caches = &context.caches;
    let key = Key::cluster(&node.name);
    let pods: Vec<_> = caches
        .pods_of
        .of(&node.name)
        .iter()
        .filter_map(|pod| caches.pods.get(pod))
        .collect();
    let mut status = record.status.clone().unwrap_or_default();
    let addresses = |status: &TerwayNodeStatus| -> Vec<Ip> {
        let nics = status.network_interfaces.values();
        let ips = nics.flat_map(|nic| nic.ipv4.values());
        ips.filter(|ip| binding::is_bound(ip)).cloned().collect()
    };
    let before = addresses(&status);
    // Nobody is given anything new here: only those that have an address are looked at.
    let has_one = |pod: &&PodFacts| before.iter().any(|ip| ip.pod_uid == pod.uid);
    let holders: Vec<&PodFacts> = pods.iter().map(|pod| &**pod).filter(has_one).collect();
    let runtime = caches.runtimes.get(&key);
    let outcome = binding::bind(
        &mut status,
        &binding::Around {
            pods: &holders,
            runtime: runtime.as_deref(),
            cooldown: Duration::ZERO,
            now: Timestamp::now(),
        },
    );
    let mut names: BTreeSet<String> = addresses(&status).into_iter().map(|ip| ip.pod_id).collect();
    let own = |pod: &&Arc<PodFacts>| pod.wants_pod_eni && !pod.exited;
    names.extend(
        pods.iter()
            .filter(own)
            .map(|pod| format!("{}/{}", pod.namespace, pod.name)),
    );
    Users {
        names,
        wake: outcome.wake,
    }
}

/// Hands every ENI to a NetworkInterface that is being deleted, then lets the object go. The
/// instance may be gone with its ENIs; the NetworkInterfaces find that out. `changed` is when this process
/// last sent a call for the node.
pub async fn release(
    context: &Context,
    record: &NodeRecord,
    changed: Option<Timestamp>,
) -> Result<Next, ReconcileError> {
    let finalizers = record.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|f| f == finalizer::NODE) {
        return Ok(Next::OnChange);
    }
    let mut enis = held_enis(record);
    let operations = record.status.iter().flat_map(|status| &status.operations);
    for operation in operations.filter(|operation| creates(operation)) {
        match open_intent(context, record, operation, changed).await? {
            Open::Nothing => {}
            Open::Eni(id) => enis.push(id),
            Open::Wait(time) => return Ok(Next::After(time)),
        }
    }
    for id in enis {
        hand_over(context, &id, None).await?;
    }
    context
        .write
        .release_node_record(record, &[finalizer::NODE])
        .await?;
    context
        .intents
        .forget_all(record.metadata.uid.as_deref().unwrap_or_default());
    Ok(Next::OnChange)
}

enum Open {
    Nothing,
    Eni(String),
    Wait(Duration),
}

/// What the intent to create an ENI may have left behind.
async fn open_intent(
    context: &Context,
    record: &NodeRecord,
    operation: &Operation,
    changed: Option<Timestamp>,
) -> Result<Open, ReconcileError> {
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let name = index(operation);
    let evidence = context.intents.of(uid, name, operation.attempt);
    let now = Timestamp::now();
    let quiet_since = changed.map_or(context.term.since, |changed| changed.max(context.term.since));
    match resolve(&evidence, quiet_since, now, &context.limits) {
        Resolution::Nothing => Ok(Open::Nothing),
        Resolution::Eni(eni) => Ok(Open::Eni(eni.id.clone())),
        Resolution::Wait(time) => Ok(Open::Wait(time)),
        Resolution::LookUpByTag => {
            let value = intent(record, operation).tag_value();
            let filter = EniFilter::tags([(tag::INTENT, value)]);
            let found = context.cloud.describe_network_interfaces(&filter).await?;
            let mut evidence = evidence;
            evidence.lookups.push(Lookup {
                at: now,
                found: found.into_iter().next().map(Box::new),
            });
            context.intents.note(uid, name, evidence);
            Ok(Open::Wait(Duration::from_millis(1)))
        }
    }
}

/// Makes a NetworkInterface for an ENI and tells it to go.
/// `node` is woken when it has gone.
pub async fn hand_over(context: &Context, id: &str, node: Option<&str>) -> Result<(), ReconcileError> {
    let key = Key::cluster(id);
    if context.caches.interfaces.get(&key).is_none() {
        let mut interface = for_release(id, None);
        let label = |name: &str| BTreeMap::from([(label::NODE.to_owned(), name.to_owned())]);
        interface.metadata.labels = node.map(label);
        context.write.create_interface(&interface).await?;
    }
    match context.caches.interfaces.get(&key) {
        Some(interface) if interface.metadata.deletion_timestamp.is_none() => {
            context.write.delete_interface(&interface).await
        }
        Some(_) => Ok(()),
        // It exists, and was not told to go: nobody may believe that it was.
        None => Err(ReconcileError::Behind {
            kind: "NetworkInterface",
            key,
        }),
    }
}
