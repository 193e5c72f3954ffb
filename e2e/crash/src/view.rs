//! The objects of the API server as watches show them, and a history of bindings, operations and leaders.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;
use terway_core::pool;
use terway_crds::names::{annotation, object};
use terway_crds::{NetworkInterface, OperationKind, Phase, PodEni, TerwayNode};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checker::{Claim, Term};

/// Objects by name.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    pub pod_enis: BTreeMap<String, PodEni>,
    pub interfaces: BTreeMap<String, NetworkInterface>,
    pub terway_nodes: BTreeMap<String, TerwayNode>,
    pub nodes: BTreeMap<String, Node>,
    pub leases: BTreeMap<String, Lease>,
}

/// What objects have said since the run began.
#[derive(Debug, Default)]
struct History {
    claims: Vec<Claim>,
    assigns: BTreeMap<String, String>,
    terms: Vec<Term>,
}

struct Shared {
    objects: Mutex<Objects>,
    history: Mutex<History>,
    changed: watch::Sender<u64>,
}

/// A live view; its watches end with it.
pub struct View {
    shared: Arc<Shared>,
    _watches: JoinSet<()>,
}

impl View {
    /// Follows everything that the control plane writes.
    pub fn open(client: &Client) -> View {
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            history: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let mut watches = JoinSet::new();
        watches.spawn(follow(
            Api::<PodEni>::all(client.clone()),
            shared.clone(),
            |all| &mut all.pod_enis,
        ));
        let interfaces = Api::<NetworkInterface>::all(client.clone());
        watches.spawn(follow(interfaces, shared.clone(), |all| &mut all.interfaces));
        let records = Api::<TerwayNode>::all(client.clone());
        watches.spawn(follow(records, shared.clone(), |all| &mut all.terway_nodes));
        watches.spawn(follow(Api::<Node>::all(client.clone()), shared.clone(), |all| {
            &mut all.nodes
        }));
        let leases = Api::<Lease>::namespaced(client.clone(), object::NAMESPACE);
        watches.spawn(follow(leases, shared.clone(), |all| &mut all.leases));
        View {
            shared,
            _watches: watches,
        }
    }

    /// Looks at the objects of this moment.
    pub fn objects<R>(&self, look: impl FnOnce(&Objects) -> R) -> R {
        look(&self.shared.objects.lock())
    }

    /// Bindings that were ever written since the last [`View::forget`].
    pub fn claims(&self) -> Vec<Claim> {
        self.shared.history.lock().claims.clone()
    }

    /// Recorded operations that assign addresses, by the ClientToken of each of their attempts.
    pub fn assigns(&self) -> BTreeMap<String, String> {
        self.shared.history.lock().assigns.clone()
    }

    /// Periods of leadership since the last [`View::forget`].
    pub fn terms(&self) -> Vec<Term> {
        self.shared.history.lock().terms.clone()
    }

    /// Who leads now; empty when nobody does.
    pub fn leader(&self) -> String {
        let terms = &self.shared.history.lock().terms;
        terms.last().map(|term| term.holder.clone()).unwrap_or_default()
    }

    /// Forgets the history, because a new run begins. The present leader is kept.
    pub fn forget(&self) {
        let mut history = self.shared.history.lock();
        history.claims.clear();
        history.assigns.clear();
        let last = history.terms.pop();
        history.terms = last.into_iter().collect();
    }

    /// Waits until `holds` is true. The condition is asked at every change of an object, and ten times a second because
    /// it may depend on the cloud.
    pub async fn until<F: Future<Output = bool>>(
        &self,
        what: &str,
        patience: Duration,
        mut holds: impl FnMut() -> F,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if holds().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{what} (waited {} s)", patience.as_secs());
            }
            // The next round looks, whether something changed or the time is over.
            let _ = tokio::time::timeout(Duration::from_millis(100), changed.changed()).await;
        }
    }
}

/// Keeps one kind up to date until the task is dropped.
async fn follow<K>(api: Api<K>, shared: Arc<Shared>, place: fn(&mut Objects) -> &mut BTreeMap<String, K>)
where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Send
        + k8s_openapi::serde::de::DeserializeOwned
        + k8s_openapi::serde::Serialize
        + 'static,
{
    let mut listed: BTreeMap<String, K> = BTreeMap::new();
    let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                note(&shared, &object);
                listed.insert(object.name_any(), object);
            }
            Ok(Event::InitDone) => *place(&mut shared.objects.lock()) = std::mem::take(&mut listed),
            Ok(Event::Apply(object)) => {
                note(&shared, &object);
                place(&mut shared.objects.lock()).insert(object.name_any(), object);
            }
            Ok(Event::Delete(object)) => {
                place(&mut shared.objects.lock()).remove(&object.name_any());
            }
            // The watcher lists again. The pause spares a server that is ending.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
        shared.changed.send_modify(|count| *count += 1);
    }
}

/// Adds an object to the history. The object goes through JSON, so that one function serves every kind.
fn note<K>(shared: &Shared, object: &K)
where
    K: Resource<DynamicType = ()> + k8s_openapi::serde::Serialize,
{
    match K::kind(&()).as_ref() {
        "PodENI" => {
            if let Ok(record) = serde_json::from_value::<PodEni>(json!(object)) {
                note_claims(&mut shared.history.lock().claims, &record);
            }
        }
        "Node" if K::group(&()) == TerwayNode::group(&()) => {
            if let Ok(record) = serde_json::from_value::<TerwayNode>(json!(object)) {
                note_shared(&mut shared.history.lock(), &record);
            }
        }
        "Lease" if object.meta().name.as_deref() == Some(object::CONTROL_PLANE) => {
            if let Ok(lease) = serde_json::from_value::<Lease>(json!(object)) {
                note_term(&mut shared.history.lock().terms, &lease);
            }
        }
        _ => {}
    }
}

fn note_claims(claims: &mut Vec<Claim>, record: &PodEni) {
    let bound = record
        .status
        .as_ref()
        .is_some_and(|status| status.phase == Phase::Bind);
    let Some(pod_uid) = record.annotations().get(annotation::POD_UID).filter(|_| bound) else {
        return;
    };
    for (index, allocation) in record.spec.allocations.iter().enumerate() {
        let claim = Claim {
            pod_uid: pod_uid.clone(),
            index,
            eni: allocation.eni.id.clone(),
            address: allocation.ipv4.clone(),
            shared: false,
            at: Timestamp::now(),
        };
        note_claim(claims, claim);
    }
}

fn note_claim(claims: &mut Vec<Claim>, claim: Claim) {
    let same = |known: &Claim| Claim {
        at: claim.at,
        ..known.clone()
    };
    if !claims.iter().any(|known| same(known) == claim) {
        claims.push(claim);
    }
}

fn note_shared(history: &mut History, record: &TerwayNode) {
    let Some(status) = &record.status else { return };
    for nic in status.network_interfaces.values() {
        for ip in nic.ipv4.values().filter(|ip| !ip.pod_uid.is_empty()) {
            let claim = Claim {
                pod_uid: ip.pod_uid.clone(),
                index: 0,
                eni: nic.id.clone(),
                address: ip.ip.clone(),
                shared: true,
                at: Timestamp::now(),
            };
            note_claim(&mut history.claims, claim);
        }
    }
    let assigns = status
        .operations
        .iter()
        .filter(|operation| operation.kind == OperationKind::AssignIps);
    for operation in assigns {
        let intent = pool::intent(record, operation);
        let name = format!("{}/{}", intent.owner_uid, intent.index);
        history.assigns.insert(intent.client_token(), name);
    }
}

fn note_term(terms: &mut Vec<Term>, lease: &Lease) {
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    if terms.last().is_some_and(|last| last.holder == holder) {
        return;
    }
    // The holder takes this time before its write arrives, so the term never begins later than written here.
    let taken = spec.acquire_time.filter(|_| !holder.is_empty());
    terms.push(Term {
        since: taken.map_or_else(Timestamp::now, |time| time.0),
        holder,
    });
}
