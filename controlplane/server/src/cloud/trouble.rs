//! Reports by events when calls to the cloud cannot work, once, and when they work again.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use terway_cloud::{Trouble, TroubleCause};
use terway_crds::names::{action, event};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::Config;
use crate::events::{EventContent, Events, Severity};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

/// The present troubles, by cause.
#[derive(Clone, Default)]
pub struct TroubleMetrics(Family<CauseLabel, Gauge>);

impl TroubleMetrics {
    /// Registers the gauge. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "terway_cloud_trouble",
            "1 while calls to the cloud fail for this cause and are held back",
            metrics.0.clone(),
        );
        metrics.set(&BTreeSet::new());
        metrics
    }

    fn set(&self, lasting: &BTreeSet<TroubleCause>) {
        for (cause, name) in [
            (TroubleCause::Credentials, "credentials"),
            (TroubleCause::Unreachable, "unreachable"),
            (TroubleCause::Permission, "permission"),
        ] {
            let label = CauseLabel { cause: name };
            self.0
                .get_or_create(&label)
                .set(i64::from(lasting.contains(&cause)));
        }
    }
}

/// Follows the troubles while the client exists. One event is written when a trouble lasts, and one when the last
/// trouble is over, whatever the number of failed calls.
pub async fn tell(
    mut troubles: watch::Receiver<Vec<Trouble>>,
    about: ObjectReference,
    events: Events,
    metrics: TroubleMetrics,
) {
    let mut told: BTreeSet<(TroubleCause, String)> = BTreeSet::new();
    while troubles.changed().await.is_ok() {
        let lasting: BTreeSet<_> = troubles
            .borrow_and_update()
            .iter()
            .filter(|trouble| trouble.lasting)
            .map(|trouble| (trouble.cause, trouble.sentence.clone()))
            .collect();
        metrics.set(&lasting.iter().map(|(cause, _)| *cause).collect());
        for (_, sentence) in lasting.difference(&told) {
            warn!("{sentence}; calls like it are held back and tried from time to time");
            let news = (Severity::Warning, event::CLOUD_CALLS_FAIL, sentence.clone());
            tell_one(&events, &about, news);
        }
        if lasting.is_empty() && !told.is_empty() {
            info!("calls to the cloud work again");
            let note = "calls to the cloud work again".to_owned();
            tell_one(&events, &about, (Severity::Normal, event::CLOUD_CALLS_WORK, note));
        }
        told = lasting;
    }
}

fn tell_one(events: &Events, about: &ObjectReference, news: (Severity, &'static str, String)) {
    let (severity, reason, note) = news;
    let news = EventContent {
        severity,
        reason,
        action: action::CALL_CLOUD,
        note,
    };
    events.tell(about.clone(), None, news);
}

/// The object of these events: this process's pod or, outside a cluster, the Lease.
pub fn about(config: &Config) -> ObjectReference {
    let namespace = Some(config.settings.controller_namespace.clone());
    match config.identity.pod_uid.as_str() {
        "" => ObjectReference {
            api_version: Some("coordination.k8s.io/v1".into()),
            kind: Some("Lease".into()),
            namespace,
            name: Some(config.settings.controller_name.clone()),
            ..ObjectReference::default()
        },
        uid => ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace,
            name: Some(config.identity.pod_name.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        },
    }
}
