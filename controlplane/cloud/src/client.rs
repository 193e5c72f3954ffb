//! The client itself: typed calls over one transport, and the poller that shares it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use terway_core::cloud::{CloudEni, InstanceTypeLimits, VSwitch};

use crate::action::Action;
use crate::answers::{self, AnswerError, Instance, Page, SecurityGroup};
use crate::credentials::{CredentialSource, Credentials};
use crate::endpoint::{EndpointError, Endpoints, ProxyUse};
use crate::error::CloudError;
use crate::fence::Fence;
use crate::limits::{Limiter, Permit, Priority, Quotas};
use crate::metadata::{self, Metadata, MetadataError};
use crate::metrics::CloudMetrics;
use crate::requests::{AttachEni, CreateEni, DeleteEni, DetachEni, EniFilter, MAX_IDS_PER_DESCRIBE, Params};
use crate::transport::{Transport, malformed};
use crate::watch::EniWatch;

/// Instance types or vSwitches asked for in one call where the API documents no larger number.
const MAX_NAMES_PER_CALL: usize = 10;
/// Ids that DescribeInstances and DescribeSecurityGroups take.
const MAX_IDS_PER_LIST: usize = 100;
/// More pages than this of one list are taken for a loop: 2,000 pages of 500 are a million ENIs.
const MAX_PAGES: usize = 2_000;

/// How to reach the cloud.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// `None` asks the metadata service.
    pub region_id: Option<String>,
    pub credentials: CredentialSource,
    /// Upstream's `rateLimit` map: action name to calls a minute.
    pub rate_limit: BTreeMap<String, u32>,
    /// Longest time a call may take; a mutating call is sent only with more than this left on the lease.
    pub call_deadline: Duration,
    /// `None` derives them from region and environment.
    pub endpoints: Option<Endpoints>,
    /// Where the metadata service is, for tests; `None` is its fixed address.
    pub metadata_base: Option<String>,
    pub user_agent: String,
}

impl CloudConfig {
    /// Everything at its default but who we are.
    pub fn new(credentials: CredentialSource) -> Self {
        CloudConfig {
            region_id: None,
            credentials,
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

/// A client of the cloud. Clones share connections, buckets and the poller, which ends with the last.
#[derive(Clone)]
pub struct Cloud {
    transport: Arc<Transport>,
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
            // A redirect would be another request than the one that was signed.
            .redirect(reqwest::redirect::Policy::none());
        if endpoints.proxy == ProxyUse::Never {
            http = http.no_proxy();
        }
        let transport = Arc::new(Transport {
            http: http.build().map_err(ConnectError::Http)?,
            endpoints,
            region_id,
            credentials: Credentials::new(config.credentials, metadata),
            limiter: Limiter::start(&Quotas::with_overrides(&config.rate_limit), metrics.clone()),
            metrics,
            fence,
            deadline: config.call_deadline,
            trouble: parking_lot::Mutex::new(None),
        });
        let watch = EniWatch::start(transport.clone());
        Ok(Cloud { transport, watch })
    }

    /// The region all calls go to.
    pub fn region_id(&self) -> &str {
        &self.transport.region_id
    }

    /// What keeps calls from working (wrong keys, unreachable endpoint) since the last call that worked.
    pub fn trouble(&self) -> Option<String> {
        self.transport.trouble.lock().clone()
    }

    /// Waits for the right to send one call of this action.
    pub async fn permit(&self, action: Action, priority: Priority) -> Permit {
        self.transport.limiter.permit(action, priority).await
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
    /// Every ENI that fits. An error in any page is an error of the whole: a part is not an answer.
    pub(crate) async fn describe_enis(
        &self,
        filter: &EniFilter,
        priority: Priority,
    ) -> Result<Vec<CloudEni>, CloudError> {
        let action = Action::DescribeNetworkInterfaces;
        if filter.ids.is_empty() {
            let list = Listing {
                action,
                object: "ENIs",
                params: filter.params(&[], ""),
            };
            return self.list(list, priority, answers::enis).await;
        }
        let mut found = Vec::new();
        for ids in filter.ids.chunks(MAX_IDS_PER_DESCRIBE) {
            let object = match ids {
                [id] => format!("ENI {id}"),
                _ => format!("{} ENIs", ids.len()),
            };
            let list = Listing {
                action,
                object: &object,
                params: filter.params(ids, ""),
            };
            found.extend(self.list(list, priority, answers::enis).await?);
        }
        Ok(found)
    }

    async fn list<T>(
        &self,
        list: Listing<'_>,
        priority: Priority,
        read: impl Fn(&Value) -> Result<Page<T>, AnswerError>,
    ) -> Result<Vec<T>, CloudError> {
        let Listing {
            action,
            object,
            params,
        } = list;
        let mut found = Vec::new();
        let mut next_token = String::new();
        for _ in 0..MAX_PAGES {
            let mut params = params.clone();
            params.set("NextToken", next_token.as_str());
            let permit = self.limiter.permit(action, priority).await;
            let body = self.call(action, object, permit, params).await?;
            let page = read(&body).map_err(|error| unreadable(action, object, &body, error))?;
            found.extend(page.items);
            match page.next_token {
                Some(token) if token != next_token => next_token = token,
                // The same token again would be the same page for ever.
                Some(_) => return Err(malformed(action, object, 200)),
                None => return Ok(found),
            }
        }
        Err(malformed(action, object, 200))
    }
}

fn unreadable(action: Action, object: &str, body: &Value, error: AnswerError) -> CloudError {
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
