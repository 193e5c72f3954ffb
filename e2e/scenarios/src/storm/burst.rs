//! Many pods at once on one node, and all of them gone again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::core::ObjectList;

use super::Storm;
use super::pods::{self, Kind};
use crate::stage::Stage;

/// How many trunk members the node has room for beside the steady ones.
const MEMBERS: usize = 10;

/// Makes as many ordinary pods as asked for, then as many members as there is room for.
pub fn play(storm: &Storm<'_>) -> Result<()> {
    for (app, kind, count) in [
        ("burst", Kind::Shared, storm.settings.pods),
        ("burst-members", Kind::Member, MEMBERS),
    ] {
        let stage = storm.scene.stage;
        pods::deploy(stage, app, kind, Some("node1"), count)?;
        pods::wait_ready(stage, app, count)?;
        stage.say(times(stage, app)?);
        storm.scene.comes_to_rest(&format!("{count} pods at once"))?;
        pods::remove(stage, app)?;
        pods::wait_gone(stage, app)?;
        storm.scene.comes_to_rest("their end")?;
    }
    storm
        .steady
        .check(storm.scene.stage, "pods came and went by the hundred")
}

/// How long the pods of an app took, as the kubelet saw it: its times have whole seconds.
pub fn times(stage: &Stage, app: &str) -> Result<String> {
    let text = stage.get(&format!("kubectl get pods -l app={app} -o json"))?;
    let pods: ObjectList<Pod> = serde_json::from_str(&text).context("reading the list of pods")?;
    let mut took: Vec<i64> = pods.iter().filter_map(to_ready).collect();
    took.sort_unstable();
    let at = |share: usize| {
        took.get((took.len().saturating_sub(1)) * share / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok(format!(
        "{} pods from created to Ready: half within {} s, 99 of 100 within {} s, all within {} s",
        took.len(),
        at(50),
        at(99),
        at(100)
    ))
}

fn to_ready(pod: &Pod) -> Option<i64> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let times: BTreeMap<&str, Timestamp> = conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| {
            Some((
                condition.type_.as_str(),
                condition.last_transition_time.as_ref()?.0,
            ))
        })
        .collect();
    let took = times.get("Ready")?.duration_since(pod.creation_timestamp()?.0);
    Some(took.as_secs())
}
