//! The API server stands still, an ENI leaks, a node is compared with the cloud once more.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use cloudsim::model::CreateEni;
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use terway_crds::TerwayNode;
use terway_crds::names::tag;

use super::{Plan, Scene, Trouble};
use crate::lane::Lane;
use crate::scenario::Play;
use crate::world;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The time between two sweeps in a run about a sweep.
const SWEEP: Duration = Duration::from_secs(1);

/// The API server answers nobody for a while, longer than a lease.
pub struct Away {
    /// It stands still when the cloud has so many ENIs of ours.
    pub after: usize,
    pub time: Duration,
}

#[async_trait]
impl Trouble for Away {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let lane = &scene.lane;
        while lane.cloud.enis().len() < lane.before.len() + self.after {
            tokio::time::sleep(LOOK).await;
        }
        let frozen = Frozen::freeze(lane)?;
        tokio::time::sleep(self.time).await;
        drop(frozen);
        scene.did(format!("the API server stood still for {:?}", self.time));
        Ok(())
    }
}

/// The API server stands still until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn freeze(lane: &Lane) -> Result<Frozen> {
        let pid = Pid::from_raw(i32::try_from(lane.apiserver_pid())?);
        kill(pid, Signal::SIGSTOP).context("stopping the API server")?;
        Ok(Frozen(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The process lives as long as its lane.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// There is an ENI with the cluster's tags that no object names. The sweep deletes it.
pub struct Leak;

/// Older than the youngest ENI that the sweep deletes.
const LEAKED_BEFORE: SignedDuration = SignedDuration::from_mins(11);

#[async_trait]
impl Trouble for Leak {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let tags = [
            (tag::CLUSTER, world::CLUSTER),
            (tag::CREATOR, tag::CREATOR_CONTROLLER),
        ];
        let request = CreateEni {
            vswitch_id: world::POD_VSWITCH.to_owned(),
            security_group_ids: vec!["sg-web".to_owned()],
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..CreateEni::default()
        };
        let created = Timestamp::now() - LEAKED_BEFORE;
        let made = scene
            .lane
            .cloud
            .with_cloud(|cloud| cloud.create_network_interface(&request, created));
        let leaked = made.map_err(|refusal| anyhow!("leaking an ENI: {refusal:?}"))?.id;
        let here = || scene.lane.cloud.enis().iter().any(|eni| eni.id == leaked);
        while here() {
            tokio::time::sleep(LOOK).await;
        }
        scene.did(format!("{leaked}, leaked, was deleted"));
        Ok(())
    }
}

/// Every node is compared with the cloud again and again, also while calls for it are under way.
pub struct Compared {
    pub every: Duration,
}

#[async_trait]
impl Trouble for Compared {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let records: Api<TerwayNode> = Api::all(scene.lane.client.clone());
        let mut told = BTreeSet::new();
        let due = Patch::Merge(json!({"status": {"nextSyncOpenAPITime": Timestamp::UNIX_EPOCH}}));
        loop {
            tokio::time::sleep(self.every).await;
            let names: Vec<String> = scene
                .lane
                .view
                .objects(|objects| objects.terway_nodes.keys().cloned().collect());
            for name in names {
                match records.patch_status(&name, &PatchParams::default(), &due).await {
                    Ok(_) if told.insert(name.clone()) => scene.did(format!("{name} was compared again")),
                    Ok(_) => {}
                    // It has just gone.
                    Err(kube::Error::Api(said)) if said.is_not_found() => {}
                    Err(error) => return Err(error).context("asking for a comparison"),
                }
            }
        }
    }
}

/// A run for each of them.
pub fn each_surrounding() -> Vec<Plan> {
    let mut plans = Vec::new();
    for play in Play::ALL {
        for (name, after) in [("apiserver-away:early", 1), ("apiserver-away:late", 5)] {
            let time = Duration::from_secs(6);
            let mut plan = Plan::quiet(play, name).with(Away { after, time });
            // Watches begin again by and by.
            plan.patience += 5 * time;
            plans.push(plan);
        }
        let mut leak = Plan::quiet(play, "leaked").with(Leak);
        leak.times.sweep = SWEEP;
        plans.push(leak);
        let every = Duration::from_millis(700);
        plans.push(Plan::quiet(play, "compared").with(Compared { every }));
    }
    plans
}
