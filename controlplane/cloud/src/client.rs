//! The client: one transport, and the poller, which shares it. The calls are in `enis`, `addresses` and `lists`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::action::Action;
use crate::credentials::{CredentialSource, Credentials, Reread};
use crate::endpoint::{EndpointError, Endpoints, ProxyUse};
use crate::fence::Fence;
use crate::gate::Trouble;
use crate::limits::{Limiter, Permit, Priority, Quotas};
use crate::metadata::{self, Metadata, MetadataError};
use crate::metrics::CloudMetrics;
use crate::transport::Transport;
use crate::watch::EniWatch;

/// Longest time to connect. It is shorter than a call's deadline, so that after a failed connect it is certain that
/// nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of a client.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The region; `None`: the metadata service tells it.
    pub region_id: Option<String>,
    pub credentials: CredentialSource,
    /// Finds the source of keys again when keys are renewed or refused, so that a corrected file is noticed.
    pub reread_credentials: Option<Reread>,
    /// Upstream's `rateLimit` map: action name to calls a minute.
    pub rate_limit: BTreeMap<String, u32>,
    /// Longest time of a call. A mutating call is sent only if the lease lasts longer than this.
    pub call_deadline: Duration,
    /// The endpoints; `None`: they follow from region and environment.
    pub endpoints: Option<Endpoints>,
    /// Base URL of the metadata service, for tests; `None`: its fixed address.
    pub metadata_base: Option<String>,
    pub user_agent: String,
}

impl CloudConfig {
    /// A configuration with these credentials and defaults.
    pub fn new(credentials: CredentialSource) -> Self {
        CloudConfig {
            region_id: None,
            credentials,
            reread_credentials: None,
            rate_limit: BTreeMap::new(),
            call_deadline: Duration::from_secs(10),
            endpoints: None,
            metadata_base: None,
            user_agent: concat!("terway-controlplane/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("building the HTTP client: check the proxy variables and the trusted certificates")]
    Http(#[source] reqwest::Error),
    #[error("finding out the region: set regionID in the configuration when there is no metadata service")]
    Region(#[source] MetadataError),
    #[error("working out the cloud's addresses")]
    Endpoint(#[source] EndpointError),
}

/// A client of the cloud. Clones share connections, buckets and the poller, which ends with the last clone.
#[derive(Clone)]
pub struct Cloud {
    pub(crate) transport: Arc<Transport>,
    watch: EniWatch,
}

impl Cloud {
    /// Builds the client and starts its tasks. It sends nothing to the OpenAPI. It asks the metadata service only for a
    /// region that is not configured.
    pub async fn connect(
        config: CloudConfig,
        fence: Arc<dyn Fence>,
        metrics: CloudMetrics,
    ) -> Result<Self, ConnectError> {
        let base = config.metadata_base.as_deref().unwrap_or(metadata::BASE);
        let metadata = Arc::new(Metadata::new(base).map_err(ConnectError::Http)?);
        let region_id = match config.region_id.filter(|region| !region.is_empty()) {
            Some(region) => region,
            None => metadata.region().await.map_err(ConnectError::Region)?,
        };
        let endpoints = match config.endpoints {
            Some(endpoints) => endpoints,
            None => Endpoints::from_env(&region_id).map_err(ConnectError::Endpoint)?,
        };
        let mut http = reqwest::Client::builder()
            .user_agent(config.user_agent)
            .connect_timeout(CONNECT_TIMEOUT.min(config.call_deadline / 2))
            // The signature does not cover the request that would follow a redirect.
            .redirect(reqwest::redirect::Policy::none());
        if endpoints.proxy == ProxyUse::Never {
            http = http.no_proxy();
        }
        let http = http.build().map_err(ConnectError::Http)?;
        let credentials = Credentials::new(config.credentials, metadata, http.clone(), &region_id);
        let transport = Arc::new(Transport {
            http,
            endpoints,
            region_id,
            credentials: credentials.reread_by(config.reread_credentials),
            limiter: Limiter::start(&Quotas::with_overrides(&config.rate_limit), metrics.clone()),
            metrics,
            fence,
            deadline: config.call_deadline,
        });
        let watch = EniWatch::start(transport.clone());
        Ok(Cloud { transport, watch })
    }

    /// The region of all calls.
    pub fn region_id(&self) -> &str {
        &self.transport.region_id
    }

    /// The causes that keep calls from working: wrong keys, an endpoint that does not answer, a missing permission.
    /// They come from the outcomes of calls; no call is sent to find them.
    pub fn troubles(&self) -> watch::Receiver<Vec<Trouble>> {
        self.transport.limiter.troubles()
    }

    /// Waits for the right to send one call of this action, without an owner.
    pub async fn permit(&self, action: Action, priority: Priority) -> Permit {
        self.permit_for(action, priority, "").await
    }

    /// Waits for the right to send one call of this action. Within a priority, owners (nodes) are served in turn. While
    /// calls of this action cannot work, it waits until they work again or until this call is the trial call.
    pub async fn permit_for(&self, action: Action, priority: Priority, owner: &str) -> Permit {
        self.transport.limiter.permit(action, priority, owner).await
    }

    /// The poller.
    pub fn watch(&self) -> &EniWatch {
        &self.watch
    }
}
