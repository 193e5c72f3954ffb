//! The process's client of the cloud, and the reports about calls that cannot work.

mod trouble;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use terway_cloud::{Cloud, CloudConfig, CloudMetrics, ConnectError, CredentialSource, Endpoints, Reread};
use terway_process::readiness::Readiness;
use tracing::warn;

pub use self::trouble::{TroubleMetrics, about, tell};
use crate::config::{Config, Credential};
use crate::error::chain;
use crate::leadership::Leadership;

/// Time until the metadata service is asked again for the region. Each failure doubles it.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(30);

/// Connects, and tries again while the region is unknown, because endpoints depend on the region. `/readyz` names this
/// wait. Later troubles with the cloud are only a note of `/readyz`.
///
/// # Errors
/// When the settings are wrong.
pub async fn connect(
    config: &Config,
    endpoints: Option<Endpoints>,
    fence: Arc<Leadership>,
    metrics: CloudMetrics,
    readiness: &Readiness,
) -> Result<Cloud, ConnectError> {
    let unknown = Arc::new(Mutex::new(None::<String>));
    let pending = unknown.clone();
    readiness.check(move || {
        let why = pending.lock().clone();
        why.into_iter().map(|why| format!("the cloud: {why}")).collect()
    });
    let mut delay = FIRST_RETRY;
    let cloud = loop {
        let config = settings(config, endpoints.clone());
        match Cloud::connect(config, fence.clone(), metrics.clone()).await {
            Ok(cloud) => break cloud,
            Err(error @ ConnectError::Region(_)) => {
                warn!(error = &error as &dyn std::error::Error, ?delay, "trying again");
                *unknown.lock() = Some(chain(&error));
            }
            Err(other) => return Err(other),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MOST_RETRY);
    };
    *unknown.lock() = None;
    let troubles = cloud.troubles();
    readiness.note(move || {
        let troubles = troubles.borrow();
        troubles.iter().map(|trouble| trouble.sentence.clone()).collect()
    });
    Ok(cloud)
}

fn settings(config: &Config, endpoints: Option<Endpoints>) -> CloudConfig {
    let defaults = CloudConfig::new(source(&config.credential));
    let path = config.flags.credential.clone();
    let reread = Reread::new(move || Ok(source(&Credential::read(&path, &mut Vec::new())?)));
    CloudConfig {
        region_id: config.settings.region_id.clone(),
        rate_limit: config.settings.rate_limit.clone(),
        call_deadline: config.settings.cloud_times.call_timeout,
        endpoints,
        // A corrected Secret is mounted into the running pod. A process without the file has no credentials in a file.
        reread_credentials: Some(reread),
        // The User-Agent names the replica, so the cloud's own records show which replica sent a call.
        user_agent: format!("{} ({})", defaults.user_agent, printable(&config.holder())),
        ..defaults
    }
}

fn source(credential: &Credential) -> CredentialSource {
    CredentialSource::choose(
        &credential.access_key,
        &credential.access_secret,
        &credential.credential_path,
    )
}

/// The characters of a text that a header may contain.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}
