//! Reads the observations of one ENI.

use std::sync::Arc;

use jiff::Timestamp;
use terway_core::cloud::EniObservation;
use terway_core::network_interface::{History, Holder, Observed, is_of, owner};
use terway_core::ownership::foreign;
use terway_core::pod_eni::PodState;
use terway_crds::{NetworkInterface, PodEni};

use super::NetworkInterfaceController;
use crate::context::seen;
use crate::objects::Caches;
use crate::runtime::Key;

/// An ENI and the objects on which its next step depends.
pub struct ObservedEni {
    pub interface: Arc<NetworkInterface>,
    pub owner: Option<Arc<PodEni>>,
    pub holder: Holder,
    pub history: History,
    pub observation: Option<(EniObservation, Timestamp)>,
    pub now: Timestamp,
}

/// Reads the caches and the poller. `None` if the object is gone.
pub fn observe(
    controller: &NetworkInterfaceController,
    key: &Key,
    mut history: History,
) -> Option<ObservedEni> {
    let interface = controller.caches.interfaces.get(key)?;
    let observation = seen(&controller.cloud, key.name());
    match &observation {
        Some((EniObservation::Absent, at)) => {
            history.absent_since.get_or_insert(*at);
        }
        Some((EniObservation::Present(_), _)) | None => history.absent_since = None,
    }
    if let Some((EniObservation::Present(eni), _)) = &observation {
        controller.note_owner(&eni.id, foreign(eni, &controller.cluster_id).is_none());
    }
    let owner = owner_of(&controller.caches, &interface);
    let holder = holder_of(&controller.caches, owner.as_deref());
    Some(ObservedEni {
        interface,
        owner,
        holder,
        history,
        observation,
        now: Timestamp::now(),
    })
}

/// The record that an object belongs to.
pub fn owner_of(caches: &Caches, interface: &NetworkInterface) -> Option<Arc<PodEni>> {
    let (namespace, name) = owner(interface)?;
    let record = caches.pod_enis.get(&Key::namespaced(namespace, name))?;
    is_of(interface, &record).then_some(record)
}

/// Whether the owner's pod may be using the ENI.
fn holder_of(caches: &Caches, owner: Option<&PodEni>) -> Holder {
    let Some(record) = owner else { return Holder::Gone };
    match caches.pod_of(record).0 {
        PodState::Living | PodState::Leaving => Holder::Living,
        PodState::Gone => Holder::Gone,
    }
}

impl ObservedEni {
    /// The observations in the planner's form.
    pub fn view<'a>(&'a self, controller: &'a NetworkInterfaceController) -> Observed<'a> {
        Observed {
            interface: &self.interface,
            holder: self.holder,
            history: &self.history,
            seen: self
                .observation
                .as_ref()
                .map(|(observation, at)| (observation, *at)),
            ours: controller.is_ours(self.id()),
            cluster_id: &controller.cluster_id,
            term: &controller.term.id,
            quiet_since: controller.term.since,
            now: self.now,
            limits: &controller.limits,
            degradation: controller.degradation.now(),
        }
    }

    /// The node of the ENI's target or attachment; empty if there is none.
    pub fn node(&self) -> &str {
        let wanted = self.interface.spec.attach_to.as_ref();
        let present = self.interface.status.as_ref();
        wanted
            .map(|target| target.node_name.as_str())
            .or_else(|| present.map(|status| status.node_name.as_str()))
            .unwrap_or_default()
    }

    /// Id of the ENI.
    pub fn id(&self) -> &str {
        self.interface.metadata.name.as_deref().unwrap_or_default()
    }
}
