//! STATUS: could an ADD be served now?

use terway_cni_protocol::{Failure, code};

use super::Agent;
use crate::binding::Wait;

/// Serves a STATUS. Fails only when an ADD would surely wait in vain. A short absence of the API server is no reason: a
/// failed STATUS makes the node NotReady.
pub fn status(agent: &Agent) -> Result<(), Failure> {
    if let Some(why) = agent.limited.lock().clone() {
        return Err(Failure::new(
            code::NOT_AVAILABLE_AND_LIMITED,
            format!("the network of this node cannot be compared with what it should be: {why}"),
        ));
    }
    let missing = agent.cluster.read(|state| {
        let kinds = state.unsynced();
        if !kinds.is_empty() {
            return Some(Wait::NotSynced { kinds });
        }
        match state.node() {
            None => Some(Wait::NoNode),
            // The control plane makes shared ENIs when a pod needs one. Their absence does not keep pods away.
            Some(node) => match &node.trunk {
                Err(why) if node.no_shared.is_some() => Some(Wait::NoTrunk { why: why.clone() }),
                Ok(_) | Err(_) => None,
            },
        }
    });
    match missing {
        None => Ok(()),
        Some(wait) => Err(Failure::new(code::NOT_AVAILABLE, wait.to_string())),
    }
}
