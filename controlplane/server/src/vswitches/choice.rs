//! Chooses the vSwitch of one network of a pod.

use std::hash::{DefaultHasher, Hash, Hasher};

use terway_core::vswitch::{Candidate, choose};
use terway_crds::PodNetwork;

use super::VSwitches;
use crate::error::{NetworksError, ReconcileError};

impl VSwitches {
    /// Chooses among the vSwitches that a network names, for a pod in this zone. The same pod always draws the same
    /// vSwitch from the same candidates.
    ///
    /// # Errors
    /// When the cloud cannot be asked, knows none of the vSwitches, or when none of them can be used.
    pub async fn choose_for(
        &self,
        network: &PodNetwork,
        zone: &str,
        pod_uid: &str,
    ) -> Result<Candidate, ReconcileError> {
        let ids = &network.vswitch_options;
        let found = self.candidates(ids).await?;
        // One vSwitch that the cloud knows is enough for the pod. If it knows none, the error names the first one.
        if let (true, Some(id)) = (found.is_empty(), ids.first()) {
            return Err(NetworksError::UnknownVSwitch { id: id.clone() }.into());
        }
        let policy = &network.vswitch_select_options.policy;
        let chosen = choose(policy, zone, &found, seed(pod_uid)).map_err(NetworksError::from)?;
        Ok(chosen.clone())
    }
}

/// A number that is constant for one object and differs between objects.
pub fn seed(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}
