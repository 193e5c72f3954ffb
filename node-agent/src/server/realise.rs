//! Making and unmaking the interfaces of one sandbox.

use std::os::fd::OwnedFd;

use terway_cni_protocol::Failure;
use tracing::warn;

use super::{Agent, kernel_failure, key};
use crate::datapath::{MemberInterface, Realised, Sandbox};

/// Make all interfaces of a sandbox; when one cannot be made, none is left.
pub async fn realise(
    agent: &Agent,
    members: Vec<MemberInterface>,
    netns: &OwnedFd,
) -> Result<Vec<(MemberInterface, Realised)>, Failure> {
    if let Some(first) = members.first() {
        remove_predecessors(agent, &first.sandbox).await?;
    }
    let mut made = Vec::with_capacity(members.len());
    for member in &members {
        match add(agent, member, netns).await {
            Ok(realised) => made.push((member.clone(), realised)),
            Err(failure) => {
                // The failed one too: it may be half there.
                let begun = members.iter().take(made.len() + 1).map(|member| &member.sandbox);
                undo(agent, begun, netns).await;
                return Err(failure);
            }
        }
    }
    let mut remembered = agent.made.lock();
    remembered.extend(members.into_iter().map(|member| (key(&member.sandbox), member)));
    drop(remembered);
    agent.changed.notify_one();
    Ok(made)
}

/// Remove what was made for a sandbox, going on past errors: the reconciler gets what stays.
pub async fn undo<'a>(agent: &Agent, sandboxes: impl Iterator<Item = &'a Sandbox>, netns: &OwnedFd) {
    for sandbox in sandboxes {
        agent.made.lock().remove(&key(sandbox));
        // Without the namespace it works too, only the pod's end is left to the runtime.
        let netns = netns.try_clone().ok();
        if let Err(error) = agent.kernel.delete(sandbox, netns).await {
            warn!(
                container = sandbox.container_id,
                error = error.as_ref(),
                "roll-back failed"
            );
            agent.untidy.notify_one();
        }
    }
    agent.changed.notify_one();
}

async fn add(agent: &Agent, member: &MemberInterface, netns: &OwnedFd) -> Result<Realised, Failure> {
    let act = format!(
        "setting up {} of sandbox {}",
        member.sandbox.ifname, member.sandbox.container_id
    );
    let netns = netns
        .try_clone()
        .map_err(|error| kernel_failure(&act, &error.into()))?;
    agent
        .kernel
        .add(member.clone(), netns)
        .await
        .map_err(|error| kernel_failure(&act, &error))
}

/// Remove the sandboxes that an earlier run of the same pod left: a DEL while no agent was there is
/// answered, and only this agent knows that something is left.
async fn remove_predecessors(agent: &Agent, new: &Sandbox) -> Result<(), Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
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
        agent.made.lock().remove(&key(old));
    }
    Ok(())
}
