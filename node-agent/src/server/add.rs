//! ADD: find the pod, wait for its binding, realise it, answer.

use std::convert::Infallible;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use terway_cni_protocol::{ADD_WAIT_MS, AddRequest, Failure, Network, PodRef, code};
use tracing::{info, warn};

use super::flight::{Busy, Flight};
use super::{Agent, bandwidth, find_pod, realise};
use crate::binding::{self, Binding, Decision, Refusal, Wait};
use crate::cluster::{PodKey, PodView};
use crate::events::{Announcement, What};

/// A successful ADD. The caller keeps the flight until it has written the answer, so whoever waits for the end of this
/// ADD waits for the answer too.
pub struct Added {
    pub network: Network,
    pub flight: Flight,
}

/// Why an ADD ended without a network.
enum End {
    /// This pod gets no network.
    Refused(Refusal),
    /// The network was not there in time.
    TimedOut { after: Duration, wait: Wait },
    /// A DEL of the same sandbox or a newer ADD of the same pod arrived.
    Superseded,
    /// The runtime has hung up.
    HungUp,
    /// The agent is stopping.
    Stopping,
    /// The kernel refused a change, or could not be read.
    Kernel(Failure),
}

impl End {
    fn failure(self, pod: &PodRef) -> Failure {
        let again = |message: String| Failure::new(code::TRY_AGAIN_LATER, message);
        match self {
            End::Refused(refusal) => Failure::new(code::NO_NETWORK, refusal.to_string()),
            End::TimedOut { after, wait } => again(format!(
                "pod {pod} has no network after {} s: {wait}",
                after.as_secs()
            )),
            End::Superseded => again(format!("a DEL or a newer ADD ended this ADD of pod {pod}")),
            End::HungUp => again(format!("the runtime gave up this ADD of pod {pod}")),
            End::Stopping => again("the terway agent of this node is restarting".to_owned()),
            End::Kernel(failure) => failure,
        }
    }

    /// Whether an event on the pod tells its owner about this end.
    fn concerns_the_pod(&self) -> bool {
        matches!(self, End::Refused(_) | End::TimedOut { .. } | End::Kernel(_))
    }
}

/// Serves an ADD. `hung_up` completes when the runtime has closed its side of the connection.
pub async fn add(
    agent: &Agent,
    request: AddRequest,
    netns: OwnedFd,
    hung_up: impl Future<Output = ()>,
) -> Result<Added, Failure> {
    let started = Instant::now();
    let key = PodKey::new(&request.pod.namespace, &request.pod.name);
    let flight = agent
        .flights
        .begin(&request.attachment.container_id, &key)
        .map_err(|Busy| {
            Failure::new(
                code::TRY_AGAIN_LATER,
                format!(
                    "another ADD of sandbox {} is being processed",
                    request.attachment.container_id
                ),
            )
        })?;
    let seen = Seen {
        uid: Mutex::new(request.pod.uid.clone()),
        wait: Mutex::new(Wait::NoPod { pod: key.clone() }),
    };
    let outcome = attempt(agent, &request, netns, &flight, hung_up, &seen).await;
    let uid = seen.uid.into_inner();
    match outcome {
        Ok(network) => {
            let ips: Vec<String> = network
                .addresses
                .iter()
                .map(|a| a.address.address.to_string())
                .collect();
            let took = started.elapsed();
            info!(pod = %key, container = flight.container_id(), ips = ips.join(","), ?took, "network set up");
            announce(agent, &key, uid, What::Allocated { ips, took });
            Ok(Added { network, flight })
        }
        Err(end) => {
            let announced = end.concerns_the_pod();
            let failure = end.failure(&request.pod);
            warn!(pod = %key, container = flight.container_id(), why = failure.message, "no network");
            if announced {
                announce(agent, &key, uid, What::Failed(failure.message.clone()));
            }
            Err(failure)
        }
    }
}

/// What an ADD has found out so far.
struct Seen {
    /// UID of the pod; `None` while nobody has named it.
    uid: Mutex<Option<String>>,
    /// The present reason for the wait.
    wait: Mutex<Wait>,
}

/// Time until the pod's owner is told what an ADD waits for. The runtime says nothing for two minutes.
const TELL_AFTER: Duration = Duration::from_secs(5);

/// Tells the pod's owner what an ADD waits for, and again when that has become something else.
async fn tell(agent: &Agent, pod: &PodKey, seen: &Seen) -> Infallible {
    let mut told = String::new();
    loop {
        tokio::time::sleep(TELL_AFTER).await;
        let why = seen.wait.lock().to_string();
        let uid = seen.uid.lock().clone();
        if why != told && uid.is_some() {
            announce(agent, pod, uid, What::Waits(why.clone()));
            told = why;
        }
    }
}

fn announce(agent: &Agent, pod: &PodKey, uid: Option<String>, what: What) {
    // An event without a UID would be shown at any pod that has this name now.
    if let Some(uid) = uid {
        agent.events.announce(Announcement {
            pod: pod.clone(),
            uid,
            what,
        });
    }
}

async fn attempt(
    agent: &Agent,
    request: &AddRequest,
    netns: OwnedFd,
    flight: &Flight,
    hung_up: impl Future<Output = ()>,
    seen: &Seen,
) -> Result<Network, End> {
    let patience = Duration::from_millis(request.wait_ms.min(ADD_WAIT_MS));
    let deadline = tokio::time::Instant::now() + patience;
    let ready = async {
        let pod = find_pod::find(agent, &request.pod).await?;
        *seen.uid.lock() = Some(pod.uid.clone());
        // A runtime runs one sandbox of a pod at a time. A new sandbox means that the runtime has given up the older
        // one.
        agent.flights.supersede(flight, &pod.key).await;
        let binding = wait(agent, &pod, &seen.wait).await?;
        if !agent.in_order.initialized() {
            *seen.wait.lock() = Wait::NotInOrder;
        }
        agent.in_order.wait().await;
        Ok::<_, Refusal>((pod, binding))
    };
    let key = PodKey::new(&request.pod.namespace, &request.pod.name);
    // Cancel-safe: `ready` changes nothing before it completes, and the other branches only wait.
    let outcome = tokio::select! {
        never = tell(agent, &key, seen) => match never {},
        ready = ready => ready.map_err(End::Refused),
        () = flight.cancelled().cancelled() => Err(End::Superseded),
        () = agent.stopping.cancelled() => Err(End::Stopping),
        () = hung_up => Err(End::HungUp),
        () = tokio::time::sleep_until(deadline) => Err(End::TimedOut { after: patience, wait: seen.wait.lock().clone() }),
    };
    let (pod, binding) = outcome?;
    let wants = binding::interfaces(&binding, &pod.key, &pod.uid, &request.attachment, &agent.settings);
    let made = realise::realise(agent, wants, &netns)
        .await
        .map_err(End::Kernel)?;
    if flight.cancelled().is_cancelled() {
        realise::undo(agent, made.iter().map(|(want, _)| &want.sandbox)).await;
        return Err(End::Superseded);
    }
    let limits = bandwidth::Limits {
        sends: pod.shaped,
        receives: pod.receives_limited,
    };
    let chain = agent.settings.limits_bandwidth;
    if let Some(why) = bandwidth::not_served(limits, chain, agent.kernel.has_room_for_shaper()) {
        let uid = Some(pod.uid.clone());
        announce(agent, &pod.key, uid, What::BandwidthNotServed(why));
    }
    Ok(binding::network(&made))
}

/// Waits until the watches show the pod's binding, or show that the pod will get none. `last` always holds the current
/// reason for the wait.
async fn wait(agent: &Agent, pod: &PodView, last: &Mutex<Wait>) -> Result<Binding, Refusal> {
    let mut changes = agent.cluster.subscribe();
    let mut seen = false;
    loop {
        changes.mark_unchanged();
        match look(agent, pod, &mut seen) {
            Decision::Ready(binding) => return Ok(binding),
            Decision::Refuse(refusal) => return Err(refusal),
            Decision::Wait(wait) => *last.lock() = wait,
        }
        if changes.changed().await.is_err() {
            // The cluster lives as long as the agent.
            std::future::pending::<()>().await;
        }
    }
}

fn look(agent: &Agent, pod: &PodView, seen: &mut bool) -> Decision {
    agent.cluster.read(|state| {
        let watched = state.pods.get(&pod.key).filter(|watched| watched.uid == pod.uid);
        if watched.is_none() && *seen {
            return Decision::Refuse(Refusal::PodGone {
                pod: pod.key.clone(),
                uid: Some(pod.uid.clone()),
            });
        }
        *seen = watched.is_some();
        let decision = binding::decide(watched.unwrap_or(pod), state.pod_enis.get(&pod.key), state.node());
        let kinds = state.unsynced();
        match decision {
            // A list that has not arrived yet may contain the object that seems to be missing.
            Decision::Wait(_) if !kinds.is_empty() => Decision::Wait(Wait::NotSynced { kinds }),
            decision => decision,
        }
    })
}
