//! The control plane's client against the simulator.

use std::sync::Arc;

use cloudsim::simulator::Running;
use terway_cloud::{Cloud, CloudConfig, CloudMetrics, CredentialSource, Endpoints, Unfenced};

mod addresses;
mod budget;
mod calls;
mod roles;

/// The configuration of a client with these keys.
fn config_with(access_key: &str) -> CloudConfig {
    CloudConfig {
        region_id: Some("cn-hangzhou".into()),
        ..CloudConfig::new(CredentialSource::choose(access_key, "lab-sk", ""))
    }
}

/// A client of this simulator.
async fn connect(simulator: &Running, config: CloudConfig) -> Cloud {
    let config = CloudConfig {
        endpoints: Some(Endpoints::one(simulator.ecs_url())),
        ..config
    };
    Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered())
        .await
        .unwrap()
}
