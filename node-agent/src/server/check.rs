//! CHECK: compare a sandbox with what it should be, and repair it.

use std::os::fd::OwnedFd;

use terway_address::full_prefix;
use terway_cni_protocol::{Attachment, CheckRequest, Cidr, Failure, code};

use super::{Agent, kernel_failure};
use crate::binding;
use crate::cluster::PodKey;
use crate::datapath::{PodInterface, Sandbox};
use crate::events::{Announcement, What};

/// Serves a CHECK and returns the addresses of the sandbox.
pub async fn check(agent: &Agent, request: CheckRequest, netns: OwnedFd) -> Result<Vec<Cidr>, Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
    let container = &request.attachment.container_id;
    let is_it = |sandbox: &&Sandbox| super::belongs(sandbox, &request.attachment);
    let Some(sandbox) = existing.iter().find(is_it) else {
        return Err(Failure::new(
            code::NOT_AS_EXPECTED,
            format!(
                "sandbox {container} has no network on this node; delete the pod to have it set up again"
            ),
        ));
    };
    let wanted = wanted(agent, sandbox, &request.attachment).ok_or_else(|| {
        let pod = &request.pod;
        Failure::new(
            code::TRY_AGAIN_LATER,
            format!(
                "what pod {pod} should have is not known now: its PodENI or its shared address is missing"
            ),
        )
    })?;
    let (mut repairs, mut addresses) = (Vec::new(), Vec::new());
    for member in &wanted {
        let act = format!("checking {} of sandbox {container}", member.sandbox.ifname);
        let netns = netns
            .try_clone()
            .map_err(|error| kernel_failure(&act, &error.into()))?;
        let found = agent.kernel.check(member.clone(), netns).await;
        let found = found.map_err(|error| kernel_failure(&act, &error))?;
        repairs.extend(found.repairs);
        addresses.extend(found.addresses);
    }
    if !repairs.is_empty() {
        agent.events.announce(Announcement {
            pod: PodKey::new(&request.pod.namespace, &request.pod.name),
            uid: sandbox.pod_uid.clone(),
            what: What::Repaired(repairs),
        });
    }
    let addresses = addresses.into_iter().map(full_prefix);
    Ok(addresses.map(binding::cidr).collect())
}

/// The interfaces that an attachment should have: by the records of the control plane, or else as they were made.
fn wanted(agent: &Agent, sandbox: &Sandbox, attachment: &Attachment) -> Option<Vec<PodInterface>> {
    let described = agent.cluster.read(|state| {
        let (pod, binding) = binding::of_running(&sandbox.pod_uid, state)?;
        let uid = &sandbox.pod_uid;
        Some(binding::interfaces(
            &binding,
            &pod,
            uid,
            attachment,
            &agent.settings,
        ))
    });
    described.or_else(|| Some(vec![agent.memory.of(sandbox)?]))
}
