//! The calls that read lists, page by page: instance types, instances, security groups, vSwitches.

use serde_json::Value;
use terway_core::cloud::{InstanceTypeLimits, VSwitch};

use crate::action::Action;
use crate::answers::{self, AnswerError, Instance, Page, SecurityGroup};
use crate::client::Cloud;
use crate::error::CloudError;
use crate::limits::{Priority, WhileShut};
use crate::requests::Params;
use crate::transport::{Transport, held_back, malformed};

/// Number of instance types in one call. The ECS API page DescribeInstanceTypes documents no larger number.
const MAX_NAMES_PER_CALL: usize = 10;
/// Number of ids in one call of DescribeInstances (100 on its ECS API page) or DescribeSecurityGroups (unverified).
const MAX_IDS_PER_LIST: usize = 100;
/// Largest number of pages of one list. More pages count as an endless loop: 2,000 pages of 500 are a million ENIs.
const MAX_PAGES: usize = 2_000;

impl Cloud {
    /// The limits of these instance types. Unknown types are missing from the answer.
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

    /// These security groups. Unknown groups are missing from the answer.
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

    /// These vSwitches. Unknown vSwitches are missing from the answer. The API takes one id per call (VPC API page
    /// DescribeVSwitches), so each vSwitch costs one call.
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

/// One list that is read page by page.
pub(crate) struct Listing<'a> {
    pub action: Action,
    pub object: &'a str,
    pub params: Params,
}

impl Transport {
    pub(crate) async fn list<T>(
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

    pub(crate) async fn pages<T>(
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
                // A repeated token would return the same page for ever.
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

/// The ids as one JSON text, the form that some actions take.
fn json_list(ids: &[String]) -> String {
    Value::from(ids.to_vec()).to_string()
}
