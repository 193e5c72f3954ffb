//! Asks the cloud about a PodNetworking's vSwitches and security groups.

use std::collections::BTreeSet;

use terway_cloud::{CloudError, ErrorClass};
use terway_core::podnetworking::{Findings, Lookup, is_settled};
use terway_crds::PodNetworking;
use tracing::debug;

use super::{PodNetworkingController, workloads};
use crate::error::ReconcileError;

impl PodNetworkingController {
    /// Reads the findings for the plan. An answer of the cloud is a finding, good or bad.
    pub(super) async fn observe(&self, networking: &PodNetworking) -> Result<Findings, ReconcileError> {
        let lookup = match is_settled(networking) {
            true => Lookup::NotNeeded,
            false => self.look_up(networking).await?,
        };
        // A PodNetworking that becomes Ready now is looked at once more when its status is written.
        let serves = lookup == Lookup::NotNeeded;
        let selected = self.selected(networking, serves).await?;
        Ok(Findings {
            lookup,
            passed_over: workloads::of(&self.client, selected.passed_over, networking).await?,
            unserved: selected.unserved,
        })
    }

    async fn look_up(&self, networking: &PodNetworking) -> Result<Lookup, ReconcileError> {
        let wanted = &networking.spec.vswitch_options;
        let vswitches = match self.vswitches.resolve(wanted).await {
            Ok(found) => found,
            Err(error) if error.class == ErrorClass::Fenced => return Err(error.into()),
            Err(error) => return Ok(Lookup::Failed(words(&error))),
        };
        let known: BTreeSet<&str> = vswitches.iter().map(|vswitch| vswitch.id.as_str()).collect();
        let missing: Vec<String> = wanted
            .iter()
            .filter(|id| !known.contains(id.as_str()))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Ok(Lookup::UnknownVSwitches(missing));
        }
        match self.unknown_groups(&networking.spec.security_group_ids).await {
            Ok(missing) if !missing.is_empty() => Ok(Lookup::UnknownSecurityGroups(missing)),
            Err(error) if error.class == ErrorClass::NotFound => Ok(Lookup::Failed(words(&error))),
            Ok(_) => Ok(Lookup::Known(vswitches)),
            Err(error) => {
                // RAM policies for upstream do not allow this call. Then the first Create finds a group that does not
                // exist.
                debug!(
                    error = &error as &dyn std::error::Error,
                    "security groups could not be checked"
                );
                Ok(Lookup::Known(vswitches))
            }
        }
    }

    async fn unknown_groups(&self, wanted: &[String]) -> Result<Vec<String>, CloudError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.cloud.describe_security_groups(wanted).await?;
        let known: BTreeSet<&str> = found.iter().map(|group| group.id.as_str()).collect();
        Ok(wanted
            .iter()
            .filter(|id| !known.contains(id.as_str()))
            .cloned()
            .collect())
    }
}

/// The cloud's words, without parts that differ from answer to answer.
fn words(error: &CloudError) -> String {
    match error.message.is_empty() {
        true => format!("{}: {}", error.object, error.code),
        false => format!("{}: {}: {}", error.object, error.code, error.message),
    }
}
