//! The client itself: typed calls over one transport, and the poller that shares it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use terway_core::cloud::{CloudEni, InstanceTypeLimits, VSwitch};
use tokio::sync::watch;

use crate::action::Action;
use crate::answers::{self, AnswerError, Instance, Page, SecurityGroup};
use crate::credentials::{CredentialSource, Credentials, Reread};
use crate::endpoint::{EndpointError, Endpoints, ProxyUse};
use crate::error::CloudError;
use crate::fence::Fence;
use crate::gate::Trouble;
use crate::limits::{Limiter, Permit, Priority, Quotas, WhileShut};
use crate::metadata::{self, Metadata, MetadataError};
use crate::metrics::CloudMetrics;
use crate::requests::{AttachEni, CreateEni, DeleteEni, DetachEni, EniFilter, MAX_IDS_PER_DESCRIBE, Params};
use crate::trace::{TraceTarget, Tracer};
use crate::transport::{Transport, held_back, malformed};
use crate::watch::EniWatch;

/// Instance types or vSwitches asked for in one call where the API documents no larger number.
const MAX_NAMES_PER_CALL: usize = 10;
/// Ids that DescribeInstances and DescribeSecurityGroups take.
const MAX_IDS_PER_LIST: usize = 100;
/// More pages than this of one list are taken for a loop: 2,000 pages of 500 are a million ENIs.
const MAX_PAGES: usize = 2_000;

/// Longest time until a connection stands; shorter than a call's deadline, so that it is known that nothing
/// was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the cloud.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// `None` asks the metadata service.
    pub region_id: Option<String>,
    pub credentials: CredentialSource,
    /// Finds the source again when keys are renewed or refused, so that a corrected file is noticed.
    pub reread_credentials: Option<Reread>,
    /// Upstream's `rateLimit` map: action name to calls a minute.
    pub rate_limit: BTreeMap<String, u32>,
    /// Longest time a call may take; a mutating call is sent only with more than this left on the lease.
    pub call_deadline: Duration,
    /// `None` derives them from region and environment.
    pub endpoints: Option<Endpoints>,
    /// Where the metadata service is, for tests; `None` is its fixed address.
    pub metadata_base: Option<String>,
    pub user_agent: String,
    /// Where a span of each call goes; `None` for nowhere.
    pub trace: Option<TraceTarget>,
}

impl CloudConfig {
    /// Everything at its default but who we are.
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
            trace: None,
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
    #[error(
        "otelEndpoint is {0:?}: set it to the URL of an OTLP/HTTP receiver, such as http://collector:4318"
    )]
    TraceEndpoint(String),
    #[error("working out the cloud's addresses")]
    Endpoint(#[source] EndpointError),
}

/// A client of the cloud. Clones share connections, buckets and the poller, which ends with the last.
#[derive(Clone)]
pub struct Cloud {
    pub(crate) transport: Arc<Transport>,
    watch: EniWatch,
}

impl Cloud {
    /// Builds the client and starts its tasks. Nothing is sent to the OpenAPI yet; the metadata service is
    /// asked only for a region that is not configured.
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
            // A redirect would be another request than the one that was signed.
            .redirect(reqwest::redirect::Policy::none());
        if endpoints.proxy == ProxyUse::Never {
            http = http.no_proxy();
        }
        let http = http.build().map_err(ConnectError::Http)?;
        let credentials = Credentials::new(config.credentials, metadata, http.clone(), &region_id);
        let tracer = config.trace.as_ref().map(|target| {
            Tracer::start(target, http.clone())
                .ok_or_else(|| ConnectError::TraceEndpoint(target.endpoint.clone()))
        });
        let transport = Arc::new(Transport {
            http,
            endpoints,
            region_id,
            credentials: credentials.reread_by(config.reread_credentials),
            limiter: Limiter::start(&Quotas::with_overrides(&config.rate_limit), metrics.clone()),
            metrics,
            fence,
            deadline: config.call_deadline,
            tracer: tracer.transpose()?,
        });
        let watch = EniWatch::start(transport.clone());
        Ok(Cloud { transport, watch })
    }

    /// The region all calls go to.
    pub fn region_id(&self) -> &str {
        &self.transport.region_id
    }

    /// What keeps calls from working (wrong keys, an endpoint that does not answer, a missing permission),
    /// as far as calls have shown it: nothing is asked of the cloud to find out.
    pub fn troubles(&self) -> watch::Receiver<Vec<Trouble>> {
        self.transport.limiter.troubles()
    }

    /// Waits for the right to send one call of this action, on behalf of nobody in particular.
    pub async fn permit(&self, action: Action, priority: Priority) -> Permit {
        self.permit_for(action, priority, "").await
    }

    /// Waits for the right to send one call of this action. Within a priority, owners (nodes) are served in
    /// turn. While calls of this action cannot work it waits until they do, or until it is this call's turn
    /// to find out.
    pub async fn permit_for(&self, action: Action, priority: Priority, owner: &str) -> Permit {
        self.transport.limiter.permit(action, priority, owner).await
    }

    /// The poller.
    pub fn watch(&self) -> &EniWatch {
        &self.watch
    }

    /// Creates an ENI; it is there when this returns.
    pub async fn create_network_interface(
        &self,
        permit: Permit,
        request: &CreateEni,
    ) -> Result<CloudEni, CloudError> {
        let action = Action::CreateNetworkInterface;
        let object = format!("vSwitch {}", request.vswitch_id);
        let body = self
            .transport
            .call(action, &object, permit, request.params())
            .await?;
        answers::created_eni(&body).map_err(|error| unreadable(action, &object, &body, error))
    }

    /// Asks for an attachment; the poller tells when it is done.
    pub async fn attach_network_interface(
        &self,
        permit: Permit,
        request: &AttachEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {} to instance {}", request.eni_id, request.instance_id);
        self.transport
            .call(Action::AttachNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Asks for a detachment; the poller tells when it is done.
    pub async fn detach_network_interface(
        &self,
        permit: Permit,
        request: &DetachEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {} from instance {}", request.eni_id, request.instance_id);
        self.transport
            .call(Action::DetachNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Asks for a deletion; the poller tells when it is done.
    pub async fn delete_network_interface(
        &self,
        permit: Permit,
        request: &DeleteEni,
    ) -> Result<(), CloudError> {
        let object = format!("ENI {}", request.eni_id);
        self.transport
            .call(Action::DeleteNetworkInterface, &object, permit, request.params())
            .await?;
        Ok(())
    }

    /// Every ENI that fits, whatever the number of pages. Takes its own permits.
    pub async fn describe_network_interfaces(&self, filter: &EniFilter) -> Result<Vec<CloudEni>, CloudError> {
        self.transport.describe_enis(filter, Priority::Read).await
    }

    /// Like `describe_network_interfaces`, of a list too long to hold: only those that `keep` says are
    /// kept beyond their page.
    pub async fn select_network_interfaces(
        &self,
        filter: &EniFilter,
        keep: impl Fn(&CloudEni) -> bool,
    ) -> Result<Vec<CloudEni>, CloudError> {
        self.transport.select_enis(filter, Priority::Read, keep).await
    }

    /// The limits of these instance types; unknown ones are missing from the answer.
    pub async fn describe_instance_types(
        &self,
        types: &[String],
    ) -> Result<Vec<InstanceTypeLimits>, CloudError> {
        let mut found = Vec::new();
        for chunk in types.chunks(MAX_NAMES_PER_CALL) {
            let object = format!("instance types {}", chunk.join(", "));
            let mut params = Params::default();
            params.list("InstanceTypes", chunk).set("MaxResults", "100");
            let list = Listing {
                action: Action::DescribeInstanceTypes,
                object: &object,
                params,
            };
            found.extend(
                self.transport
                    .list(list, Priority::Read, answers::instance_types)
                    .await?,
            );
        }
        Ok(found)
    }

    /// These instances; unknown ones are missing from the answer.
    pub async fn describe_instances(&self, ids: &[String]) -> Result<Vec<Instance>, CloudError> {
        let mut found = Vec::new();
        for chunk in ids.chunks(MAX_IDS_PER_LIST) {
            let object = format!("instances {}", chunk.join(", "));
            let mut params = Params::default();
            params
                .set("InstanceIds", json_list(chunk))
                .set("MaxResults", "100");
            let list = Listing {
                action: Action::DescribeInstances,
                object: &object,
                params,
            };
            found.extend(
                self.transport
                    .list(list, Priority::Read, answers::instances)
                    .await?,
            );
        }
        Ok(found)
    }

    /// These security groups; unknown ones are missing from the answer.
    pub async fn describe_security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>, CloudError> {
        let mut found = Vec::new();
        for chunk in ids.chunks(MAX_IDS_PER_LIST) {
            let object = format!("security groups {}", chunk.join(", "));
            let mut params = Params::default();
            params
                .set("SecurityGroupIds", json_list(chunk))
                .set("MaxResults", "100");
            let list = Listing {
                action: Action::DescribeSecurityGroups,
                object: &object,
                params,
            };
            found.extend(
                self.transport
                    .list(list, Priority::Read, answers::security_groups)
                    .await?,
            );
        }
        Ok(found)
    }

    /// These vSwitches; unknown ones are missing from the answer. The API takes one id per call, so each
    /// costs one.
    pub async fn describe_vswitches(&self, ids: &[String]) -> Result<Vec<VSwitch>, CloudError> {
        let mut found = Vec::new();
        for id in ids {
            let object = format!("vSwitch {id}");
            let mut params = Params::default();
            params.set("VSwitchId", id.as_str());
            let list = Listing {
                action: Action::DescribeVSwitches,
                object: &object,
                params,
            };
            found.extend(
                self.transport
                    .list(list, Priority::Read, answers::vswitches)
                    .await?,
            );
        }
        Ok(found)
    }
}

/// One list to be read page by page.
struct Listing<'a> {
    action: Action,
    object: &'a str,
    params: Params,
}

impl Transport {
    /// Every ENI that fits.
    pub(crate) async fn describe_enis(
        &self,
        filter: &EniFilter,
        priority: Priority,
    ) -> Result<Vec<CloudEni>, CloudError> {
        self.select_enis(filter, priority, |_| true).await
    }

    /// Those of them that are to be kept. An error in any page is an error of the whole: a part is not an answer.
    async fn select_enis(
        &self,
        filter: &EniFilter,
        priority: Priority,
        keep: impl Fn(&CloudEni) -> bool,
    ) -> Result<Vec<CloudEni>, CloudError> {
        let mut chunks: Vec<&[String]> = filter.ids.chunks(MAX_IDS_PER_DESCRIBE).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let mut kept = Vec::new();
        for ids in chunks {
            let object = match ids {
                [] => "ENIs".to_owned(),
                [id] => format!("ENI {id}"),
                _ => format!("{} ENIs", ids.len()),
            };
            let list = Listing {
                action: Action::DescribeNetworkInterfaces,
                object: &object,
                params: filter.params(ids, ""),
            };
            self.pages(list, priority, answers::enis, |page| {
                kept.extend(page.into_iter().filter(&keep));
            })
            .await?;
        }
        Ok(kept)
    }

    async fn list<T>(
        &self,
        list: Listing<'_>,
        priority: Priority,
        read: impl Fn(&Value) -> Result<Page<T>, AnswerError>,
    ) -> Result<Vec<T>, CloudError> {
        let mut found = Vec::new();
        self.pages(list, priority, read, |page| found.extend(page))
            .await?;
        Ok(found)
    }

    async fn pages<T>(
        &self,
        list: Listing<'_>,
        priority: Priority,
        read: impl Fn(&Value) -> Result<Page<T>, AnswerError>,
        mut take: impl FnMut(Vec<T>),
    ) -> Result<(), CloudError> {
        let Listing {
            action,
            object,
            params,
        } = list;
        let mut next_token = String::new();
        for _ in 0..MAX_PAGES {
            let mut params = params.clone();
            params.set("NextToken", next_token.as_str());
            let permit = self.limiter.take(action, priority, "", WhileShut::Leave).await;
            let permit = permit.map_err(|shut| held_back(action, object, &shut))?;
            let body = self.call(action, object, permit, params).await?;
            let page = read(&body).map_err(|error| unreadable(action, object, &body, error))?;
            take(page.items);
            match page.next_token {
                Some(token) if token != next_token => next_token = token,
                // The same token again would be the same page for ever.
                Some(_) => return Err(malformed(action, object, 200)),
                None => return Ok(()),
            }
        }
        Err(malformed(action, object, 200))
    }
}

pub(crate) fn unreadable(action: Action, object: &str, body: &Value, error: AnswerError) -> CloudError {
    let request_id = body.get("RequestId").and_then(Value::as_str).map(str::to_owned);
    CloudError {
        request_id,
        ..malformed(action, object, 200)
    }
    .because(error)
}

/// Some actions take their ids as one JSON text.
fn json_list(ids: &[String]) -> String {
    Value::from(ids.to_vec()).to_string()
}
