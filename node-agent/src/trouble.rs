//! What keeps pods of this node from their network, in the words that a person reads in the log and in the events of
//! the node.

use crate::datapath::Waiting;

/// Trouble that the agent sees and cannot cure, or that comes back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// One of [`REASONS`]: the reason of the event, and the label of the metric.
    pub reason: &'static str,
    pub text: String,
}

/// Another program undoes what the agent repairs.
pub const CONTESTED: &str = "KernelContested";

const HOST_LINK: &str = "HostInterfaceLost";
const NIC: &str = "ENIMissing";
const UPLINK: &str = "UplinkMissing";
const ON_HOST: &str = "PodAddressOnHost";
const CLOSED: &str = "ForwardingClosed";
const TAKEN: &str = "RouteTaken";
const CHANGED: &str = "RecordChanged";

/// All reasons.
pub const REASONS: [&str; 8] = [CONTESTED, HOST_LINK, NIC, UPLINK, ON_HOST, CLOSED, TAKEN, CHANGED];

impl From<&Waiting> for Trouble {
    fn from(waiting: &Waiting) -> Self {
        let (reason, text) = match waiting {
            Waiting::HostLink(sandbox) => (
                HOST_LINK,
                format!(
                    "sandbox {} of the pod with UID {} has lost its host interface; delete the pod to have it set up again",
                    sandbox.container_id, sandbox.pod_uid
                ),
            ),
            Waiting::Nic(sandbox) => (
                NIC,
                format!(
                    "sandbox {} of the pod with UID {} waits for the NIC of its ENI; is the ENI attached to this node?",
                    sandbox.container_id, sandbox.pod_uid
                ),
            ),
            Waiting::Uplink(name) => (
                UPLINK,
                format!(
                    "symmetric routing waits for a default route by {name} (see symmetric_routing_config)"
                ),
            ),
            Waiting::OnHost { ip, link, removed } => {
                let outcome = if *removed {
                    "it was removed there; keep the system's DHCP client off the ENIs of pods"
                } else {
                    "remove it there"
                };
                (
                    ON_HOST,
                    format!(
                        "address {ip} is a pod's, and the host had it on {link}, so the host took the pod's packets: \
                         {outcome}"
                    ),
                )
            }
            Waiting::Closed { chain } => (
                CLOSED,
                format!(
                    "chain {chain} of nf_tables drops what is forwarded (policy drop) and has no rule about pods' \
                     interfaces: accept what comes in by cali* and goes out by cali*, or set the policy to accept"
                ),
            ),
            Waiting::Taken { route, by } => (
                TAKEN,
                format!(
                    "{route} waits: another program has a route there ({by}); remove it, or give it another table"
                ),
            ),
            Waiting::Changed(changed) => (CHANGED, changed.to_string()),
        };
        Trouble { reason, text }
    }
}
