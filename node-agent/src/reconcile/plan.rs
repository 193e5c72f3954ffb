//! What a round is to do: a value, from what is observed.

use std::collections::BTreeMap;

use terway_cni_protocol::Attachment;

use super::pod_of;
use crate::binding;
use crate::datapath::{MemberInterface, Sandbox};
use crate::server::{SandboxKey, key};
use crate::settings::Settings;
use crate::world::{PodKey, State};

/// A sandbox whose pod the watch does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The pod it is or was for; none when nothing tells its name any more.
    pub pod: Option<PodKey>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the kernel is to have.
    pub desired: Vec<MemberInterface>,
    /// To be removed, once the API server confirms.
    pub gone: Vec<Gone>,
    /// Sandboxes that exist, of which nothing says what they should be.
    pub undescribed: Vec<(Sandbox, &'static str)>,
}

impl Plan {
    /// Compare. `made` is what each sandbox was last asked to be.
    ///
    /// A sandbox stays in `desired` while its pod is only suspected to be gone.
    pub fn new(
        sandboxes: &[Sandbox],
        state: &State,
        made: &BTreeMap<SandboxKey, MemberInterface>,
        settings: &Settings,
    ) -> Plan {
        let mut plan = Plan::default();
        for sandbox in sandboxes {
            let remembered = made.get(&key(sandbox));
            if state.pod_with_uid(&sandbox.pod_uid).is_none() {
                let by_pod_eni = || {
                    state
                        .pod_eni_for(&sandbox.pod_uid)
                        .map(|pod_eni| pod_eni.key.clone())
                };
                let by_memory = remembered.map(|member| PodKey::new(&member.namespace, &member.pod_name));
                let pod = by_memory
                    .or_else(by_pod_eni)
                    .or_else(|| pod_of(state.runtime(), &sandbox.pod_uid));
                plan.gone.push(Gone {
                    sandbox: sandbox.clone(),
                    pod,
                });
            }
            match described(sandbox, state, settings).or(remembered.cloned().ok_or(())) {
                Ok(member) => plan.desired.push(member),
                Err(()) => plan.undescribed.push((sandbox.clone(), missing(sandbox, state))),
            }
        }
        plan
    }
}

/// What a sandbox should be, by its pod's PodENI.
fn described(sandbox: &Sandbox, state: &State, settings: &Settings) -> Result<MemberInterface, ()> {
    let pod_eni = state.pod_eni_for(&sandbox.pod_uid).ok_or(())?;
    let binding = binding::existing(pod_eni, state.node()).ok_or(())?;
    // The runtime's name of the first interface is known from the sandbox itself only. An interface
    // that no allocation names is that one.
    let attachment = Attachment {
        container_id: sandbox.container_id.clone(),
        ifname: sandbox.ifname.clone(),
    };
    let members = binding::members(&binding, &pod_eni.key, &sandbox.pod_uid, &attachment, settings);
    let named = binding
        .interfaces
        .iter()
        .position(|i| i.name.as_deref() == Some(&sandbox.ifname));
    members.into_iter().nth(named.unwrap_or(0)).ok_or(())
}

fn missing(sandbox: &Sandbox, state: &State) -> &'static str {
    match (
        state.pod_eni_for(&sandbox.pod_uid),
        state.node().and_then(|node| node.trunk.as_ref()),
    ) {
        (None, _) => "no PodENI is for its pod",
        (_, None) => "this node has no trunk ENI",
        _ => "its PodENI is incomplete",
    }
}
