//! The reviews of a PodNetworking.

use terway_core::webhook::{fill, validate};
use terway_crds::PodNetworking;
use terway_crds::names::object;

use super::Webhook;
use super::decision::Decision;

impl Webhook {
    /// Fills in the cluster's vSwitches and security groups.
    pub(super) fn complete_networking(&self, networking: &PodNetworking) -> Decision {
        let complete =
            !networking.spec.vswitch_options.is_empty() && !networking.spec.security_group_ids.is_empty();
        if complete {
            return Decision::pass();
        }
        match self.defaults() {
            Ok(defaults) => Decision {
                patch: fill(networking, defaults.as_ref()),
                ..Decision::pass()
            },
            Err(problem) => Decision::deny(format!(
                "the PodNetworking names no vSwitch or no security group, and those of the ConfigMap {}/{} cannot be read: {problem}",
                object::NAMESPACE,
                object::ENI_CONFIG
            )),
        }
    }

    /// Reports all problems of a PodNetworking at once.
    pub(super) fn validate_networking(&self, new: &PodNetworking, old: Option<&PodNetworking>) -> Decision {
        let problems = validate(new, old, &self.rules);
        if problems.is_empty() {
            return Decision::pass();
        }
        let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Decision::deny(sentences.join("; "))
    }
}
