//! eni-config becomes part of a node's spec. A configuration that cannot be followed is reported in a condition, and
//! the node keeps its spec.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use terway_core::conditions::Statement;
use terway_core::eni_config::{EniConfig, NodeProfile, resolve};
use terway_core::node::{NodeFacts, large_enough};
use terway_crds::TerwayNodeSpec;
use terway_crds::names::object;

use super::{NodeController, status};
use crate::error::ReconcileError;
use crate::objects::NodeRecord;
use crate::runtime::{Key, Next};

/// Condition of a Node object: its spec follows the current eni-config.
pub const CONFIGURED: &str = "Configured";

/// The result of [`configure`].
pub enum Configured {
    /// The spec is right or is kept. The statements are written with the next write of the status.
    Settled(Vec<Statement<'static>>),
    /// The spec was written, or the vSwitches are not known yet.
    Wait(Next),
}

/// Brings the spec in line with eni-config.
pub async fn configure(
    controller: &NodeController,
    key: &Key,
    node: &NodeFacts,
    record: &NodeRecord,
) -> Result<Configured, ReconcileError> {
    let mut statements = vec![large_enough(node, &record.spec)];
    match wanted(controller, key, node, record) {
        Wanted::Spec(spec, notes) => {
            if *spec != record.spec {
                controller.write.write_node_spec(record, &spec).await?;
                // The write wakes this controller.
                return Ok(Configured::Wait(Next::OnChange));
            }
            statements.push(Statement {
                kind: CONFIGURED,
                holds: true,
                reason: if notes.is_empty() {
                    "Followed"
                } else {
                    "PartlyServed"
                },
                message: notes,
            });
        }
        Wanted::Unknown if record.spec.eni.is_some() => {}
        Wanted::Unknown => return Ok(Configured::Wait(Next::After(Duration::from_secs(5)))),
        Wanted::Problem(reason, message) => statements.push(Statement {
            kind: CONFIGURED,
            holds: false,
            reason,
            message,
        }),
    }
    status::tell(controller, node, record, &statements);
    Ok(Configured::Settled(statements))
}

/// The spec of a record that is about to be made; `None` where eni-config gives none yet.
pub fn spec_as_configured(
    controller: &NodeController,
    key: &Key,
    node: &NodeFacts,
    record: &NodeRecord,
) -> Option<TerwayNodeSpec> {
    match wanted(controller, key, node, record) {
        Wanted::Spec(spec, _) => Some(*spec),
        Wanted::Unknown | Wanted::Problem(..) => None,
    }
}

enum Wanted {
    /// The spec, and a sentence about configured features that are not served.
    Spec(Box<TerwayNodeSpec>, String),
    /// The vSwitches are not known yet. The cloud is being asked.
    Unknown,
    /// A reason for machines, and a sentence that names key and value.
    Problem(&'static str, String),
}

fn wanted(controller: &NodeController, key: &Key, node: &NodeFacts, record: &NodeRecord) -> Wanted {
    let config = match controller.config_of(node) {
        Ok(config) => config,
        Err((reason, message)) => return Wanted::Problem(reason, message),
    };
    let ids = config.vswitches.get(&node.zone).cloned().unwrap_or_default();
    let remembered = controller.remembered_vswitches(key, &ids);
    if !remembered.complete {
        return Wanted::Unknown;
    }
    let profile = NodeProfile {
        zone: &node.zone,
        cap: &record.spec.node_cap,
        eni_only: node.eni_only,
        enable_trunk: controller.settings.pods.enable_trunk,
        cluster_id: &controller.settings.pods.cluster_id,
        vswitches: &remembered.vswitches,
    };
    match resolve(&config, &profile) {
        Ok(wanted) => Wanted::Spec(
            Box::new(wanted.into_spec(&record.spec)),
            config.not_served.join("; "),
        ),
        Err(problem) => Wanted::Problem("InvalidConfig", said_of(node, &problem.to_string())),
    }
}

fn said_of(node: &NodeFacts, problem: &str) -> String {
    let namespace = object::NAMESPACE;
    match &node.dynamic_config {
        Some(name) => format!(
            "ConfigMap {namespace}/{}, with {namespace}/{name} over it: {problem}",
            object::ENI_CONFIG
        ),
        None => format!("ConfigMap {namespace}/{}: {problem}", object::ENI_CONFIG),
    }
}

impl NodeController {
    /// eni-config for a node, with the node's own ConfigMap merged over it.
    ///
    /// # Errors
    /// A reason for machines and a sentence for people, when a ConfigMap is missing or wrong.
    pub(super) fn config_of(&self, node: &NodeFacts) -> Result<EniConfig, (&'static str, String)> {
        let default = self.eni_conf(object::ENI_CONFIG)?;
        let own = node
            .dynamic_config
            .as_deref()
            .map(|name| self.eni_conf(name))
            .transpose()?;
        EniConfig::parse(&default, own.as_deref())
            .map_err(|problem| ("InvalidConfig", said_of(node, &problem.to_string())))
    }

    fn eni_conf(&self, name: &str) -> Result<String, (&'static str, String)> {
        let key = Key::namespaced(object::NAMESPACE, name);
        let place = format!("ConfigMap {}/{name}", object::NAMESPACE);
        let map = self.caches.eni_config.get(&key).ok_or_else(|| {
            let words = format!(
                "{place} does not exist: create it with vswitches and security_groups in {}",
                object::ENI_CONFIG_KEY
            );
            ("ConfigMissing", words)
        })?;
        let text = |map: &ConfigMap| map.data.as_ref()?.get(object::ENI_CONFIG_KEY).cloned();
        text(&map).ok_or_else(|| {
            let words = format!("{place} has no key {}", object::ENI_CONFIG_KEY);
            ("ConfigMissing", words)
        })
    }

    /// Whether pods of the node get the annotation with their addresses.
    pub(super) fn notes_addresses(&self, node: &NodeFacts) -> bool {
        self.config_of(node).is_ok_and(|config| config.patch_pod_ips)
    }
}
