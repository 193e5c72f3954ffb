//! Keeps the certificate and the API server's trust valid while the process runs.
//!
//! Every replica does this, because every replica serves the webhook. Each write is guarded by a version, so it changes
//! nothing when another replica was first.

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

/// Time between two checks without a change. A renewal is due months before the end of a certificate.
const PERIOD: Duration = Duration::from_secs(3600);
/// Time between a failure and the next try.
const RETRY: Duration = Duration::from_secs(5);

/// The certificate of this process, and the task that keeps it valid.
pub struct Keeper {
    client: Client,
    settings: CertificateSettings,
    tls: RustlsConfig,
}

impl Keeper {
    /// Reads or makes the certificate, and lets the API server trust it.
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

    /// TLS settings of the webhook's server. They follow every renewal.
    pub fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    /// Checks again when somebody changes the Secret or a configuration, and every hour, until `stop`.
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
            // Cancel safe: a lost item of a watch would only cause a check, which the other arms cause too.
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
        // Trust comes first: with the new bundle, old and new certificates are both valid.
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
