//! DEL: end the ADD of the same sandbox if one runs, and remove the sandbox's interfaces.

use std::os::fd::OwnedFd;

use terway_cni_protocol::{Attachment, DelRequest, Failure};
use tracing::info;

use super::{Agent, kernel_failure};
use crate::datapath::Sandbox;

/// Serves a DEL. A DEL names a container and an interface, not a pod. A late DEL of an old sandbox therefore never
/// touches the pod's newer sandbox.
pub async fn del(agent: &Agent, request: DelRequest, netns: Option<OwnedFd>) -> Result<(), Failure> {
    agent.flights.end(&request.attachment.container_id).await;
    let uid = request.pod.and_then(|pod| pod.uid).unwrap_or_default();
    let removed = teardown(agent, &request.attachment, &uid, netns).await?;
    if removed == 0 {
        // The interface disappeared with its namespace. Its rules and routes on the host may still exist.
        agent.untidy.notify_one();
    }
    Ok(())
}

/// Removes every interface that the ADD of this attachment made, and returns their number. One ADD makes all interfaces
/// of a pod; the runtime's DEL names only the first of them.
pub async fn teardown(
    agent: &Agent,
    attachment: &Attachment,
    uid: &str,
    netns: Option<OwnedFd>,
) -> Result<usize, Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
    let ours: Vec<Sandbox> = existing
        .into_iter()
        .filter(|sandbox| super::belongs(sandbox, attachment))
        .collect();
    for sandbox in &ours {
        remove(agent, sandbox, netns.as_ref()).await?;
        info!(
            container = sandbox.container_id,
            ifname = sandbox.ifname,
            uid = sandbox.pod_uid,
            "network removed"
        );
    }
    if ours.is_empty() {
        // The host has no interface of this attachment. The sandbox's namespace may still have the other end of one.
        let sandbox = Sandbox {
            container_id: attachment.container_id.clone(),
            pod_uid: uid.to_owned(),
            ifname: attachment.ifname.clone(),
            attachment: attachment.ifname.clone(),
        };
        remove(agent, &sandbox, netns.as_ref()).await?;
    }
    agent.memory.has_changed();
    Ok(ours.len())
}

async fn remove(agent: &Agent, sandbox: &Sandbox, netns: Option<&OwnedFd>) -> Result<(), Failure> {
    let act = format!("removing {} of sandbox {}", sandbox.ifname, sandbox.container_id);
    let netns = match netns.map(OwnedFd::try_clone).transpose() {
        Ok(netns) => netns,
        Err(error) => return Err(kernel_failure(&act, &error.into())),
    };
    agent
        .kernel
        .delete(sandbox, netns)
        .await
        .map_err(|error| kernel_failure(&act, &error))?;
    agent.memory.end(sandbox);
    Ok(())
}
