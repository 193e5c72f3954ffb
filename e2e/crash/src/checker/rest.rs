//! What must hold whenever all pods are bound: every ENI has an owner, and each is where its pod is.

use std::collections::{BTreeMap, BTreeSet};

use super::pools::{RecordedPool, pools_at_rest};
use super::{Intent, Violation};

/// An ENI as the cloud has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EniInCloud {
    pub id: String,
    pub status: String,
    pub trunk: bool,
    pub member: bool,
    pub instance: Option<String>,
    pub addresses: BTreeSet<String>,
    /// Its tags say that the control plane made it.
    pub ours: bool,
    pub intent: Option<Intent>,
}

/// An ENI of a bound pod, as the objects have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub pod: String,
    pub eni: String,
    pub address: String,
    pub instance: String,
}

/// Cloud and objects at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub enis: Vec<EniInCloud>,
    /// Ids that some object names.
    pub referenced: BTreeSet<String>,
    /// Recorded intents whose ENI is not recorded yet.
    pub open: BTreeSet<Intent>,
    pub bound: Vec<Attached>,
    /// ENIs that somebody other than the control plane deleted. Nothing brings them back to their pods.
    pub deleted: BTreeSet<String>,
    /// The shared ENIs of nodes on which nothing is under way.
    pub pools: Vec<RecordedPool>,
}

/// Checks a moment at which every pod of the scenario is bound.
pub fn at_rest(snapshot: &Snapshot) -> Vec<Violation> {
    let mut found = unreferenced(snapshot);
    found.extend(
        snapshot
            .bound
            .iter()
            .filter_map(|attached| lost(snapshot, attached)),
    );
    found.extend(two_trunks(snapshot));
    found.extend(pools_at_rest(snapshot));
    found
}

fn unreferenced(snapshot: &Snapshot) -> Vec<Violation> {
    let referred = |eni: &EniInCloud| {
        snapshot.referenced.contains(&eni.id)
            || eni.intent.as_ref().is_some_and(|intent| snapshot.open.contains(intent))
            // The cloud is deleting it: nobody needs to own it any more.
            || eni.status == "Deleting"
    };
    snapshot
        .enis
        .iter()
        .filter(|eni| eni.ours && !referred(eni))
        .map(|eni| Violation::Leaked {
            eni: eni.id.clone(),
            state: eni.status.clone(),
        })
        .collect()
}

fn lost(snapshot: &Snapshot, attached: &Attached) -> Option<Violation> {
    if snapshot.deleted.contains(&attached.eni) {
        return None;
    }
    let wanted = format!("InUse at {} with {}", attached.instance, attached.address);
    let found = match snapshot.enis.iter().find(|eni| eni.id == attached.eni) {
        None => "gone".to_owned(),
        Some(eni) => {
            let place = eni.instance.as_deref().unwrap_or("no instance");
            let has = eni.addresses.contains(&attached.address);
            let address = if has {
                attached.address.as_str()
            } else {
                "other addresses"
            };
            format!("{} at {place} with {address}", eni.status)
        }
    };
    (found != wanted).then(|| Violation::Lost {
        pod: attached.pod.clone(),
        eni: attached.eni.clone(),
        wanted,
        found,
    })
}

fn two_trunks(snapshot: &Snapshot) -> Vec<Violation> {
    let mut by_instance: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for eni in snapshot.enis.iter().filter(|eni| eni.trunk) {
        if let Some(instance) = &eni.instance {
            by_instance.entry(instance).or_default().push(eni.id.clone());
        }
    }
    by_instance
        .into_iter()
        .filter(|(_, trunks)| trunks.len() > 1)
        .map(|(instance, trunks)| Violation::TwoTrunks {
            instance: instance.to_owned(),
            trunks,
        })
        .collect()
}
