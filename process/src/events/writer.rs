//! Writes events to the API server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{MAX_NOTE, Queue, Told};

/// A repetition within this time counts up the first event of its cause; a later repetition is a new event. Six minutes
/// is what client-go's recorder uses (`finishTime` in `tools/events/event_broadcaster.go`).
const SERIES: Duration = Duration::from_secs(6 * 60);

/// The longest name of an object, in bytes (`DNS1123SubdomainMaxLength` in Kubernetes'
/// `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`).
const MAX_NAME: usize = 253;

/// The receiving end of [`super::Events`].
pub struct Writer {
    client: Client,
    controller: String,
    instance: String,
    series: HashMap<u64, Series>,
    /// The last write failed. Only the first failure of several is a warning.
    failing: bool,
}

/// An event that repetitions count up.
struct Series {
    namespace: String,
    event: String,
    count: i32,
    at: Instant,
}

impl Writer {
    /// A writer of events that `controller` reports from this `instance`.
    #[must_use]
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        Self {
            client,
            controller: controller.to_owned(),
            instance: instance.to_owned(),
            series: HashMap::new(),
            failing: false,
        }
    }

    /// Writes the events of `queue` until `stop`, and then those that still wait.
    pub async fn run(mut self, mut queue: Queue, stop: CancellationToken) {
        loop {
            // Cancel-safe: an event that was received is written before the next select.
            let told = tokio::select! {
                told = queue.recv() => told,
                () = stop.cancelled() => queue.try_recv().ok(),
            };
            let Some(told) = told else { return };
            let reason = told.news.reason;
            match self.write(told).await {
                Ok(()) => self.failing = false,
                Err(error) if self.failing => {
                    debug!(
                        reason,
                        error = &error as &dyn std::error::Error,
                        "an event was not written"
                    );
                }
                Err(error) => {
                    self.failing = true;
                    warn!(
                        reason,
                        error = &error as &dyn std::error::Error,
                        "an event was not written"
                    );
                }
            }
        }
    }

    async fn write(&mut self, told: Told) -> Result<(), kube::Error> {
        let now = Instant::now();
        self.series
            .retain(|_, series| now.duration_since(series.at) < SERIES);
        let (cause, at) = (told.repeats, told.at);
        if let Some(series) = cause.and_then(|cause| self.series.get_mut(&cause)) {
            series.count += 1;
            series.at = now;
            return repeat(&self.client, series, at).await;
        }
        let event = event(told, &self.controller, &self.instance);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let name = event.metadata.name.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        api.create(&PostParams::default(), &event).await?;
        if let Some(cause) = cause {
            let series = Series {
                namespace,
                event: name,
                count: 1,
                at: now,
            };
            self.series.insert(cause, series);
        }
        Ok(())
    }
}

async fn repeat(client: &Client, series: &Series, at: Timestamp) -> Result<(), kube::Error> {
    let patch = Event {
        series: Some(EventSeries {
            count: series.count,
            last_observed_time: MicroTime(at),
        }),
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client.clone(), &series.namespace);
    api.patch(&series.event, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map(drop)
}

/// Name of an event: the name of its object and the time. An object may have a name of 253 characters, and so may its
/// event: the object's part is cut where both together would be longer.
fn event_name(object: &str, at: Timestamp) -> String {
    let time = format!(".{:x}", at.as_nanosecond());
    let cut = object.floor_char_boundary(MAX_NAME - time.len());
    // A part of a name ends with a letter or a digit.
    let object = object[..cut].trim_end_matches(['-', '.']);
    format!("{object}{time}")
}

fn event(told: Told, controller: &str, instance: &str) -> Event {
    let Told {
        about,
        related,
        news,
        at,
        ..
    } = told;
    let name = event_name(about.name.as_deref().unwrap_or(controller), at);
    let mut note = news.note;
    note.truncate(note.floor_char_boundary(MAX_NOTE));
    Event {
        metadata: ObjectMeta {
            // An object without a namespace has its events in this one.
            namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            name: Some(name),
            ..ObjectMeta::default()
        },
        action: Some(news.action.to_owned()),
        event_time: Some(MicroTime(at)),
        note: Some(note),
        reason: Some(news.reason.to_owned()),
        regarding: Some(about),
        related,
        reporting_controller: Some(controller.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(news.severity.as_str().to_owned()),
        ..Event::default()
    }
}
