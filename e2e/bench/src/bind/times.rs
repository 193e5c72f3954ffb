//! When PodENIs were bound, and which NetworkInterfaces there are.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt};
use terway_crds::{NetworkInterface, Phase, PodEni};

use crate::observe::{Observer, Progress};

/// The times so far.
#[derive(Debug, Default)]
pub struct PodTimes {
    /// PodENI (named as its pod) to the time its phase was first seen as Bind.
    pub bound: HashMap<String, Instant>,
    /// NetworkInterfaces that exist now.
    pub interfaces: HashSet<String>,
    /// When the last NetworkInterface went.
    pub last_gone: Option<Instant>,
}

impl Progress for PodTimes {
    fn progress(&self) -> String {
        format!(
            "{} bound, {} NetworkInterfaces",
            self.bound.len(),
            self.interfaces.len()
        )
    }
}

/// Starts watching.
pub fn observe(client: &Client) -> Observer<PodTimes> {
    Observer::new()
        .watching(client, pod_eni)
        .watching(client, interface)
}

fn pod_eni(seen: &mut PodTimes, event: Event<PodEni>) {
    if let Event::Apply(object) | Event::InitApply(object) = event
        && object
            .status
            .as_ref()
            .is_some_and(|status| status.phase == Phase::Bind)
    {
        seen.bound.entry(object.name_any()).or_insert_with(Instant::now);
    }
}

fn interface(seen: &mut PodTimes, event: Event<NetworkInterface>) {
    match event {
        Event::Init => seen.interfaces.clear(),
        Event::InitApply(object) | Event::Apply(object) => {
            seen.interfaces.insert(object.name_any());
        }
        Event::Delete(object) => {
            seen.interfaces.remove(&object.name_any());
            seen.last_gone = Some(Instant::now());
        }
        Event::InitDone => {}
    }
}
