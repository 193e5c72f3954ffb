//! Writes of a Node object, and of what the Kubernetes node publishes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use terway_core::cloud::InstanceTypeLimits;
use terway_core::node::{NodeFacts, NodeSpecPlan, plan_publication, plan_spec, unknown_instance_type};
use terway_crds::TerwayNodeSpec;
use terway_crds::names::{finalizer, label};
use terway_crds::node::NodeMetadata;

use super::{NodeController, configure, status};
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next, Slot};
use crate::vswitches::seed;

/// Makes the Node object. Our finalizer holds it. The object has no owner: a Kubernetes node that is deleted and
/// registered again has another UID, and the garbage collector would delete the object of a running instance. The spec
/// is written along where it is known, so that most nodes need no second write.
pub async fn create(
    controller: &NodeController,
    key: &Key,
    node: &NodeFacts,
    slot: &mut Slot,
) -> Result<Next, ReconcileError> {
    let mut record = NodeRecord {
        metadata: ObjectMeta {
            name: Some(node.name.clone()),
            labels: Some(BTreeMap::from([(label::NODE_NAME.to_owned(), node.name.clone())])),
            finalizers: Some(vec![finalizer::NODE.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: TerwayNodeSpec {
            node_metadata: NodeMetadata {
                region_id: node.region.clone(),
                instance_type: node.instance_type.clone(),
                instance_id: node.instance_id.clone(),
                zone_id: node.zone.clone(),
            },
            ..TerwayNodeSpec::default()
        },
        status: None,
    };
    // A failure is not reported here, because there is no object yet whose condition could say so. The limits are
    // asked for again once the object exists.
    let limits = slot
        .released_while(limits_of(controller, &node.instance_type))
        .await;
    if let Ok(Some(limits)) = limits
        && let NodeSpecPlan::Write(spec) = plan_spec(node, &record, Some(&limits))
    {
        record.spec = *spec;
        if let Some(spec) = configure::spec_as_configured(controller, key, node, &record) {
            record.spec = spec;
        }
    }
    controller.write.create_node_record(&record).await?;
    Ok(Next::OnChange)
}

/// Writes metadata and capacities into the spec. `None` when the spec has them already.
pub async fn describe(
    controller: &NodeController,
    node: &NodeFacts,
    record: &NodeRecord,
    slot: &mut Slot,
) -> Result<Option<Next>, ReconcileError> {
    let instance_type = match plan_spec(node, record, None) {
        NodeSpecPlan::NeedsLimits(instance_type) => instance_type,
        NodeSpecPlan::Unchanged | NodeSpecPlan::Write(_) => return Ok(None),
    };
    let Some(limits) = slot.released_while(limits_of(controller, &instance_type)).await? else {
        let statements = [unknown_instance_type(&instance_type)];
        status::tell(controller, node, record, &statements);
        status::say(controller, record, &statements).await?;
        return Ok(Some(Next::After(Duration::from_secs(300))));
    };
    if let NodeSpecPlan::Write(spec) = plan_spec(node, record, Some(&limits)) {
        controller.write.write_node_spec(record, &spec).await?;
    }
    // The write wakes this controller.
    Ok(Some(Next::OnChange))
}

async fn limits_of(
    controller: &NodeController,
    instance_type: &str,
) -> Result<Option<InstanceTypeLimits>, ReconcileError> {
    let mut known = controller.instance_types.lock().await;
    if let Some(limits) = known.get(instance_type) {
        return Ok(Some(limits.clone()));
    }
    let types = [instance_type.to_owned()];
    let found = controller.cloud.describe_instance_types(&types).await?;
    let limits = found
        .into_iter()
        .find(|limits| limits.instance_type == instance_type);
    if let Some(limits) = &limits {
        known.insert(instance_type.to_owned(), limits.clone());
    }
    Ok(limits)
}

/// Writes annotations, resources and the condition SufficientIP of the Kubernetes node, where they differ. `sufficient`
/// is `None` while nobody knows whether addresses are left. Returns the time until the condition has to be repeated.
pub async fn publish(
    controller: &NodeController,
    node: &NodeFacts,
    record: &NodeRecord,
    sufficient: Option<bool>,
) -> Result<Option<Duration>, ReconcileError> {
    let now = Timestamp::now();
    let mut publication = plan_publication(node, record);
    let spread = seed(&node.uid).wrapping_add(node.version);
    let again = sufficient.map(|holds| publication.say_sufficient(node, holds, now, spread));
    if !publication.is_empty() {
        controller.write.publish(&node.name, &publication, now).await?;
    }
    // After a write the cache shows the change and wakes this controller.
    Ok(again.filter(|left| !left.is_zero()))
}
