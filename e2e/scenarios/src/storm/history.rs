//! The history of a storm for the rules of the crash tests: lives of pods, bindings, terms of leaders, and every call
//! to the cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cloudsim::call_log::CallRecord;
use crash::checker::{Claim, Facts, PodLife, Violation, history};
use crash::evidence;
use crash::view::View;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::pods::FIXED;
use crate::stage::Stage;

/// Index of the claims that are read off pods; those of PodENIs count from 0.
const OF_THE_POD: usize = usize::MAX;

#[derive(Default)]
struct Lives {
    pods: BTreeMap<String, PodLife>,
    claims: Vec<Claim>,
}

/// Follows the cluster from its beginning.
pub struct History {
    view: View,
    lives: Arc<Mutex<Lives>>,
    /// Number of the last call before the storm.
    since: u64,
    foreign: BTreeSet<String>,
    _watch: JoinSet<()>,
}

impl History {
    /// Begins to watch. To be called inside a tokio runtime.
    pub fn begin(stage: &Stage, client: &Client) -> Result<History> {
        let lives = Arc::new(Mutex::new(Lives::default()));
        let mut watch = JoinSet::new();
        watch.spawn(follow(client.clone(), lives.clone()));
        let enis = crate::cloud::enis(stage)?;
        let primary = enis.into_iter().filter(|(_, (kind, _))| kind == "Primary");
        Ok(History {
            view: View::open(client),
            lives,
            since: calls(stage, 0)?.last().map_or(0, |call| call.seq),
            foreign: primary.map(|(id, _)| id).collect(),
            _watch: watch,
        })
    }

    /// What the rules of the crash tests find in the history.
    pub fn violations(&self, stage: &Stage) -> Result<Vec<Violation>> {
        let calls = calls(stage, self.since)?;
        let lives = self.lives.lock();
        let mut claims = self.view.claims();
        // Claims of shared addresses come from the pods' status, which a user sees.
        claims.retain(|claim| !claim.shared);
        claims.extend(lives.claims.iter().cloned());
        claims.sort_by_key(|claim| claim.at);
        Ok(history(&Facts {
            calls: calls.iter().map(evidence::call).collect(),
            pods: lives.pods.values().cloned().collect(),
            claims,
            terms: self.view.terms(),
            foreign: self.foreign.clone(),
            removed: Vec::new(),
            assigns: self.view.assigns(),
            cooldown: SignedDuration::ZERO,
        }))
    }

    /// Pods that were seen, and leaders.
    pub fn seen(&self) -> (usize, usize) {
        (self.lives.lock().pods.len(), self.view.terms().len())
    }
}

fn calls(stage: &Stage, since: u64) -> Result<Vec<CallRecord>> {
    let text = stage.get(&format!("lab cloud '/call-log?since={since}'"))?;
    Ok(serde_json::from_str(&text)?)
}

async fn follow(client: Client, lives: Arc<Mutex<Lives>>) {
    let mut events = watcher::watcher(Api::<Pod>::all(client), watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => note(&mut lives.lock(), &pod, false),
            Ok(Event::Delete(pod)) => note(&mut lives.lock(), &pod, true),
            Ok(Event::Init | Event::InitDone) => {}
            // The watcher lists again. The pause spares a server that is ending.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// A pod counts as gone once it is asked to go: from then on its ENI and address may be taken.
fn note(lives: &mut Lives, pod: &Pod, deleted: bool) {
    let (Some(spec), Some(uid)) = (&pod.spec, pod.uid()) else {
        return;
    };
    if spec.host_network == Some(true) {
        return;
    }
    let now = Timestamp::now();
    let status = pod.status.clone().unwrap_or_default();
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let life = lives.pods.entry(uid.clone()).or_insert_with(|| PodLife {
        uid: uid.clone(),
        name: pod.name_any(),
        node: spec.node_name.clone().unwrap_or_default(),
        fixed: pod
            .labels()
            .get("network")
            .is_some_and(|network| network == FIXED),
        born: pod.creation_timestamp().map_or(now, |time| time.0),
        gone: None,
        let_go: None,
    });
    if life.gone.is_none() && (deleted || ended || pod.metadata.deletion_timestamp.is_some()) {
        life.gone = Some(now);
    }
    let known = lives.claims.iter().any(|claim| claim.pod_uid == uid);
    if let Some(address) = status.pod_ip.filter(|_| !known) {
        lives.claims.push(Claim {
            pod_uid: uid,
            index: OF_THE_POD,
            // A shared ENI has many pods; its address has one.
            eni: format!("the ENI of {address}"),
            address,
            shared: false,
            at: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, uid: &str, ip: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": []},
            "status": {"podIP": ip},
        }))
        .unwrap()
    }

    fn found(lives: &Lives) -> Vec<Violation> {
        history(&Facts {
            pods: lives.pods.values().cloned().collect(),
            claims: lives.claims.clone(),
            ..Facts::default()
        })
    }

    #[test]
    fn an_address_of_two_living_pods_is_found_and_of_one_after_the_other_not() {
        let mut lives = Lives::default();
        note(&mut lives, &pod("a", "1", "10.0.0.7"), false);
        note(&mut lives, &pod("b", "2", "10.0.0.7"), false);
        assert!(
            matches!(&found(&lives)[..], [Violation::UsedTwice { what, .. }] if what.contains("10.0.0.7"))
        );

        let mut lives = Lives::default();
        note(&mut lives, &pod("a", "1", "10.0.0.7"), false);
        note(&mut lives, &pod("a", "1", "10.0.0.7"), true);
        note(&mut lives, &pod("b", "2", "10.0.0.7"), false);
        assert_eq!(found(&lives), []);
    }
}
