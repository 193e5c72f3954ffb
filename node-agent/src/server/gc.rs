//! GC: remove the sandboxes that the runtime does not know.

use std::collections::BTreeSet;

use terway_cni_protocol::{Attachment, Failure, GcRequest, code};

use super::{Agent, del, kernel_failure};

/// Serve a GC. Goes on past errors and reports them together.
pub async fn gc(agent: &Agent, request: GcRequest) -> Result<(), Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
    // By container: an ADD makes interfaces that the runtime does not list.
    let valid: BTreeSet<&str> = request
        .valid
        .iter()
        .map(|attachment| attachment.container_id.as_str())
        .collect();
    let mut failures = Vec::new();
    let mut containers: BTreeSet<&str> = BTreeSet::new();
    for sandbox in &existing {
        let id = sandbox.container_id.as_str();
        // A sandbox that is being made is younger than the list.
        if valid.contains(id) || agent.flights.contains(id) || !containers.insert(id) {
            continue;
        }
        let attachment = Attachment {
            container_id: id.to_owned(),
            ifname: sandbox.ifname.clone(),
        };
        if let Err(failure) = del::teardown(agent, &attachment, &sandbox.pod_uid, None).await {
            failures.push(failure.message);
        }
    }
    agent.untidy.notify_one();
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(code::TRY_AGAIN_LATER, failures.join("; ")))
}
