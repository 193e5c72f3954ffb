//! The agent's events on pods.
//!
//! The kubelet repeats a failing ADD every few seconds, each time with a new sandbox. One pod therefore gets the same
//! event at most twice a minute, another cause of the same trouble after five seconds, and all pods together get a
//! bounded number of events.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use terway_crds::names::{action, event};
use terway_process::events::{EventContent, Events, Limits, Queue, Rate, Repeated, Severity};

use crate::cluster::PodKey;
use crate::metrics::Metrics;
use crate::trouble::Trouble;

/// The name under which the agent reports; upstream's.
pub const REPORTER: &str = "terway-daemon";

const LIMITS: Limits = Limits {
    queue: 128,
    repeated: Repeated::AtMostEvery {
        same: Duration::from_secs(30),
        other: Duration::from_secs(5),
    },
    rate: Some(Rate {
        burst: 50.0,
        per_second: 2.0,
    }),
};

/// Something worth an event on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub pod: PodKey,
    /// UID of the pod.
    pub uid: String,
    pub what: What,
}

/// What happened to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The pod has its network.
    Allocated {
        /// Addresses of the pod.
        ips: Vec<String>,
        /// Time from the request to the answer.
        took: Duration,
    },
    /// The pod has no network yet. The text says what is missing.
    Waits(String),
    /// The pod has no network. The text is the answer that the runtime got.
    Failed(String),
    /// A CHECK repaired something; one sentence for each repair.
    Repaired(Vec<String>),
    /// This node does not serve a limit of the pod's bandwidth.
    BandwidthNotServed(&'static str),
}

impl What {
    fn news(self) -> EventContent {
        match self {
            What::Allocated { ips, took } => EventContent {
                severity: Severity::Normal,
                reason: event::ALLOC_IP_SUCCEED,
                action: action::ALLOC_IP,
                note: format!("Alloc IP {} took {}", ips.join(","), go_duration(took)),
            },
            What::Waits(why) => EventContent {
                severity: Severity::Normal,
                reason: event::ALLOC_IP_WAITS,
                action: action::ALLOC_IP,
                note: format!("no network yet: {why}"),
            },
            What::Failed(note) => EventContent {
                severity: Severity::Warning,
                reason: event::ALLOC_IP_FAILED,
                action: action::ALLOC_IP,
                note,
            },
            What::Repaired(repairs) => EventContent {
                severity: Severity::Warning,
                reason: event::CONFIG_CHECK,
                action: action::CONFIG,
                note: repairs.join("; "),
            },
            What::BandwidthNotServed(why) => EventContent {
                severity: Severity::Warning,
                reason: event::BANDWIDTH_NOT_SERVED,
                action: action::CONFIG,
                note: why.to_owned(),
            },
        }
    }
}

/// A duration as Go prints it; tests of upstream parse the duration from the event.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    if minutes == 0 {
        format!("{seconds}s")
    } else {
        format!("{minutes}m{seconds}s")
    }
}

/// Takes announcements from the verbs.
#[derive(Clone)]
pub struct Announcer(Events);

impl Announcer {
    /// An announcer and the queue that it fills.
    pub fn new(metrics: &Metrics) -> (Self, Queue) {
        let (events, queue) = Events::new(LIMITS, metrics.events_dropped.clone());
        (Announcer(events), queue)
    }

    /// Announces trouble on the node. Never waits.
    pub fn announce_on_node(&self, node: &str, trouble: &Trouble) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            // kubectl describe looks for events of a node by its name in place of the UID, which the kubelet began.
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        };
        let news = EventContent {
            severity: Severity::Warning,
            reason: trouble.reason,
            action: action::CONFIG,
            note: trouble.text.clone(),
        };
        self.0.tell(about, None, news);
    }

    /// Announces something. Never waits: an event is worth less than the start of a pod.
    pub fn announce(&self, announcement: Announcement) {
        let Announcement { pod, uid, what } = announcement;
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace),
            name: Some(pod.name),
            uid: Some(uid),
            ..ObjectReference::default()
        };
        self.0.tell(about, None, what.news());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(uid: &str) -> Announcement {
        Announcement {
            pod: PodKey::new("a", "b"),
            uid: uid.into(),
            what: What::Failed("no".into()),
        }
    }

    #[test]
    fn durations_look_like_gos() {
        let of = |millis| go_duration(Duration::from_millis(millis));
        assert_eq!(
            (of(7), of(1000), of(1234), of(61_500)),
            ("7ms".into(), "1s".into(), "1.234s".into(), "1m1.5s".into())
        );
    }

    #[test]
    fn the_note_of_an_allocation_is_upstreams() {
        let what = What::Allocated {
            ips: vec!["10.0.16.7".into()],
            took: Duration::from_millis(2345),
        };
        assert_eq!(what.news().note, "Alloc IP 10.0.16.7 took 2.345s");
    }

    #[test]
    fn a_failing_pod_is_announced_once_and_a_storm_is_bounded() {
        let metrics = Metrics::default();
        let (announcer, mut queue) = Announcer::new(&metrics);
        announcer.announce(failed("u"));
        announcer.announce(failed("u"));
        assert_eq!(metrics.events_dropped.get(), 0);
        for number in 0..99 {
            announcer.announce(failed(&number.to_string()));
        }
        assert_eq!(metrics.events_dropped.get(), 50);
        let told: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
        assert_eq!(told.len(), 50);
        assert_eq!(told[0].about.uid.as_deref(), Some("u"));
        assert_eq!(told[0].news.reason, event::ALLOC_IP_FAILED);
    }
}
