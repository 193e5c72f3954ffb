//! Events on pods: what a person reads in `kubectl describe pod`.
//!
//! Verbs hand an [`Announcement`] to a bounded queue and go on. The kubelet repeats a failing ADD
//! every few seconds, with a new sandbox each time, so the same pod gets the same kind of event at
//! most twice a minute, and all pods together a bounded number.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use terway_crds::names::{action, event};
use tokio::sync::mpsc;
use tracing::warn;

use crate::metrics::Metrics;
use crate::world::PodKey;

/// Announcements that may wait for the API server.
const QUEUE: usize = 128;

/// The least time between two events of one reason on one pod.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// How many events may be sent at once, and how many seconds one more takes.
const BURST: f64 = 50.0;
const PER_SECOND: f64 = 2.0;

/// The longest note, in bytes, that the API accepts.
const MAX_NOTE: usize = 1000;

/// Something worth an event on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The pod.
    pub pod: PodKey,
    /// Its UID.
    pub uid: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The pod has its network.
    Allocated {
        /// Its addresses.
        ips: Vec<String>,
        /// From the request to the answer.
        took: Duration,
    },
    /// The pod has none; the text is what the runtime was told.
    Failed(String),
    /// A CHECK repaired something; one sentence each.
    Repaired(Vec<String>),
}

impl What {
    fn reason(&self) -> &'static str {
        match self {
            What::Allocated { .. } => event::ALLOC_IP_SUCCEED,
            What::Failed(_) => event::ALLOC_IP_FAILED,
            What::Repaired(_) => event::CONFIG_CHECK,
        }
    }

    fn event(&self) -> Event {
        let (type_, action, mut note) = match self {
            What::Allocated { ips, took } => {
                let note = format!("Alloc IP {} took {}", ips.join(","), go_duration(*took));
                (EventType::Normal, action::ALLOC_IP, note)
            }
            What::Failed(text) => (EventType::Warning, action::ALLOC_IP, text.clone()),
            What::Repaired(repairs) => (EventType::Warning, action::CONFIG, repairs.join("; ")),
        };
        if note.len() > MAX_NOTE {
            let end = (0..=MAX_NOTE)
                .rev()
                .find(|at| note.is_char_boundary(*at))
                .unwrap_or(0);
            note.truncate(end);
        }
        Event {
            type_,
            reason: self.reason().to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        }
    }
}

/// A duration as Go prints it; tests of upstream parse it from the event.
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

/// Where verbs put their announcements.
#[derive(Clone)]
pub struct Announcer {
    queue: mpsc::Sender<Announcement>,
    dropped: prometheus_client::metrics::counter::Counter,
}

impl Announcer {
    /// A queue and its end.
    pub fn new(metrics: &Metrics) -> (Self, mpsc::Receiver<Announcement>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (
            Announcer {
                queue,
                dropped: metrics.events_dropped.clone(),
            },
            receiver,
        )
    }

    /// Announce something. Never waits: an event is worth less than a pod's start.
    pub fn announce(&self, announcement: Announcement) {
        if self.queue.try_send(announcement).is_err() {
            self.dropped.inc();
        }
    }
}

/// Send what is announced, until all announcers are gone.
pub async fn publish(
    client: Client,
    node: String,
    mut queue: mpsc::Receiver<Announcement>,
    metrics: Metrics,
) {
    let reporter = Reporter {
        controller: "terway-daemon".to_owned(),
        instance: Some(node),
    };
    let recorder = Recorder::new(client, reporter);
    let mut limits = Limits::new(Instant::now());
    while let Some(announcement) = queue.recv().await {
        if !limits.allow(&announcement, Instant::now()) {
            metrics.events_dropped.inc();
            continue;
        }
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(announcement.pod.namespace.clone()),
            name: Some(announcement.pod.name.clone()),
            uid: Some(announcement.uid.clone()),
            ..Default::default()
        };
        if let Err(error) = recorder.publish(&announcement.what.event(), &regarding).await {
            let reason = announcement.what.reason();
            warn!(pod = %announcement.pod, reason, error = &error as &dyn std::error::Error, "event not sent");
        }
    }
}

/// Who was told what, and when.
struct Limits {
    last: HashMap<(String, &'static str), Instant>,
    tokens: f64,
    filled: Instant,
}

impl Limits {
    fn new(now: Instant) -> Self {
        Limits {
            last: HashMap::new(),
            tokens: BURST,
            filled: now,
        }
    }

    fn allow(&mut self, announcement: &Announcement, now: Instant) -> bool {
        self.tokens = (self.tokens + now.duration_since(self.filled).as_secs_f64() * PER_SECOND).min(BURST);
        self.filled = now;
        self.last.retain(|_, at| now.duration_since(*at) < REPEAT_AFTER);
        let key = (announcement.uid.clone(), announcement.what.reason());
        if self.tokens < 1.0 || self.last.contains_key(&key) {
            return false;
        }
        self.tokens -= 1.0;
        self.last.insert(key, now);
        true
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
        assert_eq!(what.event().note.unwrap(), "Alloc IP 10.0.16.7 took 2.345s");
    }

    #[test]
    fn a_long_note_is_cut_at_a_character() {
        let note = What::Failed("é".repeat(800)).event().note.unwrap();
        assert!(note.len() <= MAX_NOTE && note.chars().all(|c| c == 'é'));
    }

    #[test]
    fn a_failing_pod_is_announced_at_most_every_half_minute() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        assert!(limits.allow(&failed("u"), start));
        assert!(!limits.allow(&failed("u"), start + Duration::from_secs(10)));
        assert!(limits.allow(&failed("v"), start + Duration::from_secs(10)));
        assert!(limits.allow(&failed("u"), start + Duration::from_secs(31)));
    }

    #[test]
    fn a_storm_is_bounded() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        let sent = (0..1000)
            .filter(|n| limits.allow(&failed(&n.to_string()), start))
            .count();
        assert_eq!(sent, 50);
        assert!(limits.allow(&failed("later"), start + Duration::from_secs(1)));
    }
}
