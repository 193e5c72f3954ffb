//! Somebody else does something in the cloud: takes ENIs away, lifts what is stuck, fills a vSwitch.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use cloudsim::Fault;
use cloudsim::call_log::CallRecord;
use cloudsim::model::{Eni, EniKind, EniStatus};

use super::{Scene, Trouble};
use crate::world;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A change that is stuck for this long is lifted.
const STUCK: Duration = Duration::from_millis(1_500);

/// The cloud accepts an action and does not finish it until somebody lifts the change.
pub struct Stuck {
    pub action: &'static str,
    /// How many calls get stuck.
    pub times: u64,
}

#[async_trait]
impl Trouble for Stuck {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let cloud = &scene.lane.cloud;
        scene.inject(Fault {
            action: Some(self.action.to_owned()),
            times: Some(self.times),
            stuck: true,
            ..Fault::default()
        });
        let mut since: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let moving: Vec<String> = cloud
                .enis()
                .into_iter()
                .filter(|eni| matches!(eni.status, EniStatus::Attaching | EniStatus::Detaching))
                .map(|eni| eni.id.to_string())
                .collect();
            since.retain(|id, _| moving.contains(id));
            for id in moving {
                let began = *since.entry(id.clone()).or_insert_with(Instant::now);
                if began.elapsed() > STUCK && cloud.with_cloud(|cloud| cloud.settle(&id)) {
                    scene.did(format!("lifted {id}"));
                }
            }
        }
    }
}

/// Somebody takes an ENI away, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// The ENI is detached after its pod has gone.
    DetachReleased,
    /// The ENI is deleted after its Elastic pod has gone.
    DeleteReleased,
    /// The ENI is deleted between its creation and its use.
    DeleteUnused,
    /// The ENI is detached under a living pod. The control plane has to attach it again.
    DetachLiving,
    /// The ENI of a living Elastic pod is deleted. Nothing gives the pod its network back.
    DeleteLiving,
    /// A trunk is deleted, which detaches its members under their living pods.
    DeleteTrunk,
}

#[async_trait]
impl Trouble for Take {
    async fn make(&self, scene: &Scene) -> Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            let enis = scene.lane.cloud.enis();
            let Some(eni) = enis.iter().find(|eni| self.suits(scene, eni)) else {
                continue;
            };
            let deletes = !matches!(self, Take::DetachReleased | Take::DetachLiving);
            scene.lane.ledger.removed(&eni.id, deletes);
            for member in members(&enis, eni) {
                scene.lane.ledger.removed(&member.id, false);
            }
            scene.lane.cloud.with_cloud(|cloud| {
                if deletes {
                    cloud.destroy(&eni.id)
                } else {
                    cloud.tear_off(&eni.id)
                }
            })?;
            scene.did(format!("{self:?}: {}", eni.id));
            return Ok(());
        }
    }
}

impl Take {
    fn suits(self, scene: &Scene, eni: &Eni) -> bool {
        if scene.lane.before.contains_key(&*eni.id) {
            return false;
        }
        if eni.kind == EniKind::Trunk {
            let enis = scene.lane.cloud.enis();
            return self == Take::DeleteTrunk
                && members(&enis, eni).any(|member| Take::DetachLiving.suits(scene, member));
        }
        let pods = scene.lane.ledger.pods();
        let claims = scene.lane.view.claims();
        let holders: Vec<_> = claims
            .iter()
            .filter(|claim| claim.eni == *eni.id)
            .filter_map(|claim| pods.iter().find(|pod| pod.uid == claim.pod_uid))
            .collect();
        let released = !holders.is_empty() && holders.iter().all(|pod| pod.gone.is_some());
        let living = holders.iter().any(|pod| pod.gone.is_none());
        let fixed = holders.iter().any(|pod| pod.fixed);
        match self {
            Take::DetachReleased => released && eni.status == EniStatus::InUse,
            Take::DeleteReleased => released && !fixed && eni.status == EniStatus::InUse,
            Take::DeleteUnused => {
                holders.is_empty() && eni.status == EniStatus::Available && eni.delete_on_release
            }
            Take::DetachLiving => living && eni.status == EniStatus::InUse,
            Take::DeleteLiving => living && !fixed && eni.status == EniStatus::InUse,
            Take::DeleteTrunk => false,
        }
    }
}

/// The members of a trunk.
fn members<'a>(enis: &'a [Eni], trunk: &'a Eni) -> impl Iterator<Item = &'a Eni> {
    let is_member = |eni: &&Eni| eni.trunk().is_some_and(|holder| **holder == *trunk.id);
    enis.iter().filter(is_member)
}

/// The vSwitch of the pods has no free address for a while.
pub struct Withhold {
    /// How long, from the first pod on.
    pub time: Duration,
    /// The vSwitch becomes full after the control plane has chosen it.
    pub after_choice: bool,
}

#[async_trait]
impl Trouble for Withhold {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let cloud = &scene.lane.cloud;
        let chosen = || scene.lane.view.objects(|objects| !objects.pod_enis.is_empty());
        while self.after_choice && !chosen() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let withheld = scene.lane.withhold(world::POD_VSWITCH);
        let since = cloud.call_count();
        while scene.lane.ledger.pods().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(self.time).await;
        drop(withheld);
        let noticed = cloud.calls_since(since).iter().any(|call| self.notices(call));
        if noticed {
            scene.did("the control plane met a vSwitch without addresses");
        }
        Ok(())
    }
}

impl Withhold {
    /// Whether a call tells that the vSwitch is full: a create that is refused, or, before a choice, a look at
    /// vSwitches.
    fn notices(&self, call: &CallRecord) -> bool {
        let refused = call.outcome == "InvalidVSwitchId.IpNotEnough";
        refused || !self.after_choice && call.action == "DescribeVSwitches" && call.outcome == "OK"
    }
}
