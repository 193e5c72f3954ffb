//! What people and other programs are told about a node's shared ENIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use terway_core::pool::News;
use terway_crds::TerwayNodeStatus;
use terway_crds::names::{action, condition, event};

use crate::context::Context;
use crate::error::ReconcileError;
use crate::events::{News as Event, Severity, node_reference};
use crate::runtime::Key;

/// Tells one piece of news.
pub fn tell(context: &Context, node: &NodeFacts, news: &News) {
    use Severity::{Normal, Warning};
    let (severity, reason, action, note) = match news {
        News::Created(note) => (
            Normal,
            event::CREATE_ENI_SUCCEED,
            action::CREATE_ENI,
            note.as_str(),
        ),
        News::CreateRefused(note) => (
            Warning,
            event::CREATE_ENI_FAILED,
            action::CREATE_ENI,
            note.as_str(),
        ),
        News::Attached(note) => (
            Normal,
            event::ATTACH_ENI_SUCCEED,
            action::ATTACH_ENI,
            note.as_str(),
        ),
        News::AttachRefused(note) => (
            Warning,
            event::ATTACH_ENI_FAILED,
            action::ATTACH_ENI,
            note.as_str(),
        ),
        News::AllocRefused(note) => (Warning, event::ALLOC_IP_FAILED, action::ALLOC_IP, note.as_str()),
        News::Draining(note) => (
            Warning,
            condition::INSUFFICIENT_IP,
            action::ALLOC_IP,
            note.as_str(),
        ),
        News::Invalid(note) => (
            Warning,
            event::RESOURCE_INVALID,
            action::SYNC_OPENAPI,
            note.as_str(),
        ),
        News::SecurityGroups(note) => (
            Warning,
            event::RESOURCE_INVALID,
            action::SYNC_OPENAPI,
            note.as_str(),
        ),
        News::Synced => (
            Normal,
            event::SYNC_OPENAPI_SUCCESS,
            action::SYNC_OPENAPI,
            "the node's ENIs were compared with the cloud",
        ),
    };
    let event = Event {
        severity,
        reason,
        action,
        note: note.to_owned(),
    };
    context.events.tell(node_reference(node), None, event);
}

/// Writes the annotation with their addresses to pods that lack it.
pub async fn note_addresses(
    context: &Context,
    pods: &[Arc<PodFacts>],
    status: &TerwayNodeStatus,
) -> Result<(), ReconcileError> {
    let ips = status
        .network_interfaces
        .values()
        .flat_map(|nic| nic.ipv4.values());
    let addresses: BTreeMap<&str, &str> = ips
        .filter(|ip| !ip.pod_uid.is_empty())
        .map(|ip| (ip.pod_uid.as_str(), ip.ip.as_str()))
        .collect();
    for pod in pods {
        let Some(address) = addresses.get(pod.uid.as_str()) else {
            continue;
        };
        if pod.noted_addresses.as_deref() != Some(address) && !pod.exited {
            let key = Key::namespaced(&pod.namespace, &pod.name);
            context.write.annotate_pod(&key, &pod.uid, address).await?;
        }
    }
    Ok(())
}
