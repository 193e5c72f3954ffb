//! Makes the interfaces of one sandbox, and removes them again when the ADD fails.

use std::os::fd::OwnedFd;

use terway_cni_protocol::{Failure, code};
use tracing::warn;

use super::{Agent, kernel_failure};
use crate::datapath::{PodInterface, Realised, Sandbox};

/// Makes all interfaces of a sandbox. When one of them cannot be made, none stays.
pub async fn realise(
    agent: &Agent,
    wants: Vec<PodInterface>,
    netns: &OwnedFd,
) -> Result<Vec<(PodInterface, Realised)>, Failure> {
    if let Some(first) = wants.first() {
        make_room(agent, &first.sandbox).await?;
    }
    let mut made = Vec::with_capacity(wants.len());
    for want in &wants {
        match add(agent, want, netns).await {
            Ok(realised) => made.push((want.clone(), realised)),
            Err(failure) => {
                // The failed interface is among them, because parts of it may exist.
                let begun = wants.iter().take(made.len() + 1).map(|want| &want.sandbox);
                undo(agent, begun).await;
                return Err(failure);
            }
        }
    }
    agent.memory.remember(wants);
    agent.memory.has_changed();
    Ok(made)
}

/// Removes the interfaces that were made for a sandbox. A removal that fails does not stop the others; the reconciler
/// removes what stays.
pub async fn undo<'a>(agent: &Agent, sandboxes: impl Iterator<Item = &'a Sandbox>) {
    for sandbox in sandboxes {
        agent.memory.forget(sandbox);
        // The pod's end goes with the host's. Without a host's end, what is in the pod is not of this ADD.
        if let Err(error) = agent.kernel.delete(sandbox, None).await {
            warn!(
                container = sandbox.container_id,
                error = error.as_ref(),
                "roll-back failed"
            );
            agent.untidy.notify_one();
        }
    }
    agent.memory.has_changed();
}

async fn add(agent: &Agent, want: &PodInterface, netns: &OwnedFd) -> Result<Realised, Failure> {
    let act = format!(
        "setting up {} of sandbox {}",
        want.sandbox.ifname, want.sandbox.container_id
    );
    let netns = netns
        .try_clone()
        .map_err(|error| kernel_failure(&act, &error.into()))?;
    agent
        .kernel
        .add(want.clone(), netns)
        .await
        .map_err(|error| kernel_failure(&act, &error))
}

/// Removes older sandboxes of the same pod. The CNI binary answers a DEL with success while no agent runs, so the
/// runtime never repeats such a DEL.
///
/// Refuses a second attachment of the same container: a pod has one network, and the second attachment would take the
/// addresses of the first.
async fn make_room(agent: &Agent, new: &Sandbox) -> Result<(), Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
    if let Some(other) = existing
        .iter()
        .find(|s| s.container_id == new.container_id && s.attachment != new.attachment)
    {
        return Err(Failure::new(
            code::INVALID_ENVIRONMENT,
            format!(
                "sandbox {} has its network already, as interface {}; call ADD with that name, or DEL first",
                new.container_id, other.attachment
            ),
        ));
    }
    for old in existing
        .iter()
        .filter(|s| s.pod_uid == new.pod_uid && s.container_id != new.container_id)
    {
        let act = format!("removing the earlier sandbox {} of the pod", old.container_id);
        agent
            .kernel
            .delete(old, None)
            .await
            .map_err(|error| kernel_failure(&act, &error))?;
        agent.memory.forget(old);
    }
    Ok(())
}
