//! One node's trunk: looks, plans, does the next step.

mod look;
mod work;

use std::time::Duration;

use terway_cloud::{Action, Priority};
use terway_core::node::{NodeFacts, Step, Wait, plan_trunk};

use super::{NodeController, observe, status};
use crate::context::Grant;
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next, Slot};

use look::Look;
use work::Work;

/// More steps in a row than any trunk needs.
const MAX_STEPS: usize = 20;

/// Brings the trunk as far as it gets now.
pub async fn reconcile(
    controller: &NodeController,
    key: &Key,
    slot: &mut Slot,
) -> Result<Next, ReconcileError> {
    let context = &controller.context;
    if !context.settings.pods.enable_trunk {
        return Ok(Next::OnChange);
    }
    let mut grant: Option<(Action, Grant)> = None;
    for _ in 0..MAX_STEPS {
        let seen = observe::observe(context, key);
        let (Some(node), Some(record)) = (&seen.node, &seen.record) else {
            return Ok(Next::OnChange);
        };
        if node.eni_only || record.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let look = Look::take(controller, key, node, record);
        let step = match plan_trunk(&look.view(controller, record)) {
            Ok(step) => step,
            Err(reason) => return wait(controller, node, record, reason).await,
        };
        let sent = step == Step::Create && look.evidence.may_have_been_sent;
        if call_of(&step).is_some() && !sent && context.degradation.now().begins_nothing() {
            let message = "no trunk is made until degradation in ctrl-config.yaml is lifted".to_owned();
            status::say(context, record, false, "Degraded", message).await?;
            return Ok(Next::OnChange);
        }
        // First the token, then read and plan again, then send.
        if let Some((action, priority)) = call_of(&step)
            && grant.as_ref().is_none_or(|(held, _)| *held != action)
        {
            let granted = context.grant(action, priority, &node.name);
            grant = Some((action, slot.released_while(granted).await));
            continue;
        }
        let granted = grant.take().map(|(_, grant)| grant);
        let work = Work {
            controller,
            key,
            node,
            record,
            look: &look,
        };
        if let Some(next) = work.apply(step, granted, slot).await? {
            return Ok(next);
        }
    }
    Ok(Next::After(Duration::from_secs(1)))
}

fn call_of(step: &Step) -> Option<(Action, Priority)> {
    match step {
        Step::Create => Some((Action::CreateNetworkInterface, Priority::Create)),
        Step::Attach(_) => Some((Action::AttachNetworkInterface, Priority::Attach)),
        Step::FindTrunks
        | Step::WriteOperation(_)
        | Step::LookUpByTag
        | Step::LookUpById(_)
        | Step::Watch(_)
        | Step::WriteNic(_) => None,
    }
}

async fn wait(
    controller: &NodeController,
    node: &NodeFacts,
    record: &NodeRecord,
    reason: Wait,
) -> Result<Next, ReconcileError> {
    let context = &controller.context;
    match reason {
        Wait::Done => {
            // What was just recorded is published by the round that the write itself causes.
            Ok(Next::OnChange)
        }
        Wait::Cloud => Ok(Next::After(Duration::from_secs(60))),
        Wait::Later(time) | Wait::Refused(time) => Ok(Next::After(time)),
        Wait::Unsupported => {
            let message = format!(
                "instance type {} has no trunk",
                record.spec.node_metadata.instance_type
            );
            status::say(context, record, false, "NoTrunk", message).await?;
            Ok(Next::OnChange)
        }
        Wait::Config(message) => {
            status::trouble(context, node, record, "ConfigMissing", message).await?;
            Ok(Next::OnChange)
        }
    }
}
