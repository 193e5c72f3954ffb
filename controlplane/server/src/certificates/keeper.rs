//! Keeps certificate and trust right for as long as the process runs.
//!
//! Every replica does this, the leader or not: all of them serve the webhook, and each write is
//! guarded by a version and changes nothing when another replica was first.

use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use futures::StreamExt;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::bundle;
use super::secret::{self, Served};
use super::{CertificateError, CertificateSettings};

/// Time between two looks when nothing changes; renewal is months ahead of the end.
const PERIOD: Duration = Duration::from_secs(3600);
/// Time before another try after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// The certificate of this process and the means to keep it.
pub struct Keeper {
    client: Client,
    settings: CertificateSettings,
    tls: RustlsConfig,
}

impl Keeper {
    /// Reads or makes the certificate and sees to it that the API server trusts it.
    ///
    /// # Errors
    /// When Secret or configurations can neither be read nor written.
    pub async fn start(client: Client, settings: CertificateSettings) -> Result<Self, CertificateError> {
        let served = secret::ensure(&client, &settings).await?;
        trust(&client, &settings, &served).await?;
        Ok(Self {
            client,
            settings,
            tls: RustlsConfig::from_config(served.tls),
        })
    }

    /// TLS settings of the webhook's server; they follow every renewal.
    pub fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    /// Looks again whenever somebody changes the Secret or a configuration, and every hour, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let name = self.settings.name.clone();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.settings.namespace);
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let mut secrets = watcher::watch_object(secrets, &self.settings.secret_name())
            .default_backoff()
            .boxed();
        let mut mutating = watcher::watch_object(mutating, &name).default_backoff().boxed();
        let mut validating = watcher::watch_object(validating, &name).default_backoff().boxed();
        let mut next = tokio::time::Instant::now() + PERIOD;
        loop {
            // Cancel-safe: a lost item of a watch only means a look that the next arm makes as well.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = secrets.next() => {}
                _ = mutating.next() => {}
                _ = validating.next() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            let wait = match self.look().await {
                Ok(()) => PERIOD,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(
                        error,
                        "the webhook's certificate could not be looked after, trying again"
                    );
                    RETRY
                }
            };
            next = tokio::time::Instant::now() + wait;
        }
    }

    async fn look(&self) -> Result<(), CertificateError> {
        let served = secret::ensure(&self.client, &self.settings).await?;
        // Trust first: with the new bundle in place old and new certificates both hold.
        trust(&self.client, &self.settings, &served).await?;
        self.tls.reload_from_config(served.tls);
        Ok(())
    }
}

async fn trust(
    client: &Client,
    settings: &CertificateSettings,
    served: &Served,
) -> Result<(), CertificateError> {
    bundle::ensure::<MutatingWebhookConfiguration>(client, &settings.name, &served.ca).await?;
    bundle::ensure::<ValidatingWebhookConfiguration>(client, &settings.name, &served.ca).await
}
