//! GC: remove the sandboxes that the runtime does not know.

use std::collections::BTreeSet;

use terway_cni_protocol::{Attachment, Failure, GcRequest, code};

use super::{Agent, del, kernel_failure};

/// Serves a GC. A removal that fails does not stop the others; all failures are reported together.
pub async fn gc(agent: &Agent, request: GcRequest) -> Result<(), Failure> {
    let existing = agent
        .kernel
        .sandboxes()
        .await
        .map_err(|error| kernel_failure("listing the sandboxes of this node", &error))?;
    let valid: BTreeSet<&Attachment> = request.valid.iter().collect();
    let mut failures = Vec::new();
    let mut seen = BTreeSet::new();
    for sandbox in &existing {
        let attachment = Attachment {
            container_id: sandbox.container_id.clone(),
            ifname: sandbox.attachment.clone(),
        };
        // The runtime wrote its list before an ADD that is running now.
        let kept = valid.contains(&attachment) || agent.flights.contains(&attachment.container_id);
        if kept || !seen.insert(attachment.clone()) {
            continue;
        }
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
