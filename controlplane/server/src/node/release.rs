//! A node that is gone: its Node object goes when what it holds on to has another owner.

use std::time::Duration;

use terway_cloud::EniFilter;
use terway_core::intent::{Lookup, Resolution, resolve};
use terway_core::network_interface::for_release;
use terway_core::node::{TRUNK_INDEX, release as held_enis};
use terway_crds::OperationKind;
use terway_crds::names::{finalizer, tag};

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

/// Hands every ENI to a NetworkInterface that is being deleted, then lets the object go. The
/// instance may be gone with its ENIs; the NetworkInterfaces find that out.
pub async fn release(context: &Context, record: &NodeRecord) -> Result<Next, ReconcileError> {
    let finalizers = record.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|f| f == finalizer::NODE) {
        return Ok(Next::OnChange);
    }
    let mut enis = held_enis(record);
    match open_intent(context, record).await? {
        Open::Nothing => {}
        Open::Eni(id) => enis.push(id),
        Open::Wait(time) => return Ok(Next::After(time)),
    }
    for id in enis {
        hand_over(context, &id).await?;
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

/// What the intent to create a trunk may have left behind.
async fn open_intent(context: &Context, record: &NodeRecord) -> Result<Open, ReconcileError> {
    let operations = record
        .status
        .as_ref()
        .map(|status| status.operations.as_slice())
        .unwrap_or_default();
    let Some(operation) = operations.iter().find(|o| o.kind == OperationKind::CreateTrunk) else {
        return Ok(Open::Nothing);
    };
    let uid = record.metadata.uid.as_deref().unwrap_or_default();
    let evidence = context.intents.of(uid, TRUNK_INDEX, operation.attempt);
    let now = jiff::Timestamp::now();
    match resolve(&evidence, context.term.since, now, &context.limits) {
        Resolution::Nothing => Ok(Open::Nothing),
        Resolution::Eni(eni) => Ok(Open::Eni(eni.id.clone())),
        Resolution::Wait(time) => Ok(Open::Wait(time)),
        Resolution::LookUpByTag => {
            let value = format!("{uid}/{TRUNK_INDEX}/{}", operation.attempt);
            let filter = EniFilter::tags([(tag::INTENT, value)]);
            let found = context.cloud.describe_network_interfaces(&filter).await?;
            let mut evidence = evidence;
            evidence.lookups.push(Lookup {
                at: now,
                found: found.into_iter().next().map(Box::new),
            });
            context.intents.note(uid, TRUNK_INDEX, evidence);
            Ok(Open::Wait(Duration::from_millis(1)))
        }
    }
}

/// Makes a NetworkInterface for an ENI and tells it to go.
pub async fn hand_over(context: &Context, id: &str) -> Result<(), ReconcileError> {
    let key = Key::cluster(id);
    if context.caches.interfaces.get(&key).is_none() {
        context.write.create_interface(&for_release(id, None)).await?;
    }
    match context.caches.interfaces.get(&key) {
        Some(interface) if interface.metadata.deletion_timestamp.is_none() => {
            context.write.delete_interface(&interface).await
        }
        _ => Ok(()),
    }
}
