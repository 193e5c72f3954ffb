//! Events: what a person reads in `kubectl describe`. Each cause is told once, at its transition.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use terway_core::node::NodeFacts;
use terway_core::pod::PodFacts;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::metrics::EventMetrics;

/// Events that wait to be written. When the API server is slower than events arise, the newest
/// are dropped and counted: an event is told for people, and a controller must not wait for it.
const BACKLOG: usize = 4096;
/// The same cause is not told again within this time.
const QUIET: Duration = Duration::from_secs(3600);
/// The API's limit for the text of an event.
const MAX_NOTE: usize = 1000;

/// Good news or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What is to be told.
#[derive(Debug, Clone)]
pub struct News {
    pub severity: Severity,
    /// A reason and an action of `terway_crds::names`.
    pub reason: &'static str,
    pub action: &'static str,
    pub note: String,
}

struct Pending {
    about: ObjectReference,
    related: Option<ObjectReference>,
    news: News,
    at: Timestamp,
}

/// Takes events and writes them in the background.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<Pending>,
    told: Arc<Mutex<HashMap<u64, Instant>>>,
    metrics: EventMetrics,
}

/// The receiving end; runs until the process ends.
pub struct EventWriter {
    receiver: mpsc::Receiver<Pending>,
    client: Client,
    controller: String,
    instance: String,
}

/// Makes both ends. `controller` is the name events are told under, `instance` this process's.
pub fn events(
    client: Client,
    controller: &str,
    instance: &str,
    metrics: EventMetrics,
) -> (Events, EventWriter) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let events = Events {
        sender,
        told: Arc::default(),
        metrics,
    };
    let writer = EventWriter {
        receiver,
        client,
        controller: controller.to_owned(),
        instance: instance.to_owned(),
    };
    (events, writer)
}

impl Events {
    /// Tells `news` about an object, unless the same was told a short while ago.
    pub fn tell(&self, about: ObjectReference, related: Option<ObjectReference>, news: News) {
        if self.was_told(&about, &news) {
            return;
        }
        let pending = Pending {
            about,
            related,
            news,
            at: Timestamp::now(),
        };
        if self.sender.try_send(pending).is_err() {
            self.metrics.dropped();
        }
    }

    fn was_told(&self, about: &ObjectReference, news: &News) -> bool {
        let mut hasher = DefaultHasher::new();
        (&about.uid, &about.name, news.reason, &news.note).hash(&mut hasher);
        let cause = hasher.finish();
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.len() > 4 * BACKLOG {
            told.retain(|_, at| now.duration_since(*at) < QUIET);
        }
        // Still full of recent causes: forget all rather than grow.
        if told.len() > 16 * BACKLOG {
            told.clear();
        }
        told.insert(cause, now)
            .is_some_and(|at| now.duration_since(at) < QUIET)
    }
}

impl EventWriter {
    /// Writes events until `stop`, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            // Cancel-safe: a received event is written to the end before the next select.
            let pending = tokio::select! {
                pending = self.receiver.recv() => pending,
                () = stop.cancelled() => self.receiver.try_recv().ok(),
            };
            let Some(pending) = pending else { return };
            self.write(pending).await;
        }
    }

    async fn write(&self, pending: Pending) {
        let namespace = pending
            .about
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let event = self.event(&namespace, pending);
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            debug!(
                error = &error as &dyn std::error::Error,
                "an event was not written"
            );
        }
    }

    fn event(&self, namespace: &str, pending: Pending) -> Event {
        let Pending {
            about,
            related,
            news,
            at,
        } = pending;
        let name = about.name.as_deref().unwrap_or_default();
        let mut note = news.note;
        if note.len() > MAX_NOTE {
            let end = (0..=MAX_NOTE)
                .rev()
                .find(|end| note.is_char_boundary(*end))
                .unwrap_or(0);
            note.truncate(end);
        }
        Event {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(format!("{name}.{:x}", at.as_nanosecond())),
                ..ObjectMeta::default()
            },
            action: Some(news.action.to_owned()),
            event_time: Some(MicroTime(at)),
            note: Some(note),
            reason: Some(news.reason.to_owned()),
            regarding: Some(about),
            related,
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(news.severity.as_str().to_owned()),
            ..Event::default()
        }
    }
}

/// Reference to a pod.
pub fn pod_reference(pod: &PodFacts) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Reference to a Kubernetes node.
pub fn node_reference(node: &NodeFacts) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Node".into()),
        name: Some(node.name.clone()),
        uid: Some(node.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Reference to one of our own objects.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    object.object_ref(&())
}
