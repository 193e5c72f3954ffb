//! The observation from which a node is planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use terway_core::cloud::EniObservation;
use terway_core::intent::{Evidence, elapsed};
use terway_core::pod::PodFacts;
use terway_core::pool::{Observed, Plan, Settings, attaches, plan};
use terway_crds::NodeRuntime;

use super::PACE;
use super::memory::NodeHistory;
use crate::node::NodeController;
use crate::objects::NodeRecord;
use crate::runtime::Key;
use crate::vswitches::{Remembered, seed};

/// Everything the planner needs beside the record.
pub struct Look {
    pub pods: Vec<Arc<PodFacts>>,
    pub vswitches: Remembered,
    pub now: Timestamp,
    runtime: Option<Arc<NodeRuntime>>,
    memory: NodeHistory,
    known: BTreeMap<String, Evidence>,
    seen: BTreeMap<String, (EniObservation, Timestamp)>,
    elsewhere: BTreeSet<String>,
    leaving: BTreeSet<String>,
    released: BTreeSet<String>,
    settings: Settings,
    quiet_since: Timestamp,
    since: Timestamp,
    seed: u64,
    suspected: Option<Timestamp>,
}

impl Look {
    /// Reads caches and memory, without a request.
    pub fn take(controller: &NodeController, key: &Key, record: &NodeRecord) -> Self {
        let caches = &controller.caches;
        let memory = controller.pools.of(key);
        let pods = caches.pods_of.of(key.name());
        let pods = pods.iter().filter_map(|pod| caches.pods.get(pod)).collect();
        let interface = |id: &String| caches.interfaces.get(&Key::cluster(id));
        let known = enis(record, &memory);
        let elsewhere: BTreeSet<String> = known.into_iter().filter(|id| interface(id).is_some()).collect();
        let leaves = |id: &&String| interface(id).is_some_and(|i| i.metadata.deletion_timestamp.is_some());
        let leaving = elsewhere.iter().filter(leaves).cloned().collect();
        let released = memory.handed.difference(&elsewhere).cloned().collect();
        let now = Timestamp::now();
        // No earlier leader sent a call for a node whose record was made in this term.
        let made = record.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let begin = match made.is_some_and(|made| made >= controller.term.since) {
            true => Timestamp::UNIX_EPOCH,
            false => controller.term.since,
        };
        let uid = record.metadata.uid.as_deref().unwrap_or_default();
        Self {
            pods,
            vswitches: vswitches(controller, key, record, &memory),
            runtime: caches.runtimes.get(key),
            seen: seen(controller, record),
            elsewhere,
            leaving,
            released,
            settings: settings(controller),
            quiet_since: memory.changed.map_or(begin, |changed| changed.max(begin)),
            since: controller.term.since,
            seed: seed(uid).wrapping_add(now.as_second().unsigned_abs()),
            known: controller.attempts.of_owner(uid),
            suspected: controller.suspects.of(key),
            memory,
            now,
        }
    }

    /// Whether the cloud has described all vSwitches of the node.
    pub fn knows_vswitches(&self) -> bool {
        self.vswitches.complete && !self.vswitches.candidates.is_empty()
    }

    /// Time for which a plan that gives addresses to pods has to wait; `None` when it may be written now.
    pub fn pause(&self, plan: &Plan) -> Option<Duration> {
        let bound = self.memory.bound.filter(|_| !plan.bound.is_empty())?;
        PACE.checked_sub(elapsed(bound, self.now))
            .filter(|left| !left.is_zero())
    }

    /// When the list that the plan may compare was requested.
    pub fn asked(&self) -> Option<Timestamp> {
        self.memory.inventory.as_ref().map(|inventory| inventory.asked)
    }

    /// The plan for this node.
    pub fn plan(&self, record: &NodeRecord) -> Plan {
        let pods: Vec<&PodFacts> = self.pods.iter().map(Arc::as_ref).collect();
        plan(&Observed {
            record,
            pods: &pods,
            runtime: self.runtime.as_deref(),
            known: &self.known,
            seen: &self.seen,
            elsewhere: &self.elsewhere,
            leaving: &self.leaving,
            released: &self.released,
            inventory: self.memory.inventory.as_ref(),
            compared: self.memory.compared,
            suspected: self.suspected,
            vswitches: &self.vswitches.candidates,
            settings: &self.settings,
            quiet_since: self.quiet_since,
            adjusted: self.memory.adjusted.unwrap_or(self.since),
            now: self.now,
            seed: self.seed,
        })
    }
}

/// Ids of all ENIs that the plan may name.
fn enis(record: &NodeRecord, memory: &NodeHistory) -> BTreeSet<String> {
    let recorded = record
        .status
        .iter()
        .flat_map(|status| status.network_interfaces.keys());
    let listed = memory.inventory.iter().flat_map(|inventory| &inventory.enis);
    let listed = listed.map(|eni| &eni.id);
    recorded.chain(listed).chain(&memory.handed).cloned().collect()
}

fn seen(controller: &NodeController, record: &NodeRecord) -> BTreeMap<String, (EniObservation, Timestamp)> {
    let operations = record.status.iter().flat_map(|status| &status.operations);
    operations
        .filter(|operation| attaches(operation))
        .filter_map(|operation| {
            let seen = crate::context::seen(&controller.cloud, &operation.eni_id)?;
            Some((operation.eni_id.clone(), seen))
        })
        .collect()
}

fn settings(controller: &NodeController) -> Settings {
    let shared = controller.settings.shared;
    Settings {
        term: controller.term.id.clone(),
        cooldown: shared.cooldown,
        sync_period: shared.sync_period,
        pool_period: shared.pool_period,
        degradation: controller.degradation.now(),
        limits: controller.settings.limits,
    }
}

/// The remembered vSwitches of the node and of its ENIs.
fn vswitches(
    controller: &NodeController,
    key: &Key,
    record: &NodeRecord,
    memory: &NodeHistory,
) -> Remembered {
    let options = record.spec.eni.iter().flat_map(|eni| &eni.vswitch_options);
    let nics = record
        .status
        .iter()
        .flat_map(|status| status.network_interfaces.values());
    let listed = memory.inventory.iter().flat_map(|inventory| &inventory.enis);
    let ids: BTreeSet<String> = options
        .cloned()
        .chain(nics.map(|nic| nic.vswitch_id.clone()))
        .chain(listed.map(|eni| eni.vswitch_id.clone()))
        .filter(|id| !id.is_empty())
        .collect();
    controller.remembered_vswitches(key, &ids.into_iter().collect::<Vec<_>>())
}
