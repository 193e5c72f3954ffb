//! The CustomResourceDefinitions, as they are installed and as the chart carries them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::json;

use crate::schema::{Fact, UnknownPath, apply};
use crate::{NetworkInterface, NodeRuntime, PodEni, PodNetworking, TerwayNode, names};

/// Version of these definitions. Raise the version with every change of a schema: the control plane replaces
/// definitions of an older version and leaves newer ones. Upstream's newest version is 0.10.0 (unverified for its later
/// releases).
pub const VERSION: &str = "v1.1.0";

/// Why the definitions could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// A table of facts and the types disagree.
    #[error("print the definition of {crd}")]
    Facts {
        crd: String,
        #[source]
        source: UnknownPath,
    },
    /// A definition is not what serde can carry.
    #[error("convert the definition of {crd}")]
    Convert {
        crd: String,
        #[source]
        source: serde_json::Error,
    },
    /// A definition cannot be written as YAML.
    #[error("write the definition of {crd} as YAML")]
    Yaml {
        crd: String,
        #[source]
        source: serde_saphyr::SerializeError,
    },
}

/// The five definitions.
pub fn all() -> Result<Vec<CustomResourceDefinition>, CrdError> {
    Ok(vec![
        finish(PodNetworking::crd(), POD_NETWORKING)?,
        finish(PodEni::crd(), POD_ENI)?,
        finish(NetworkInterface::crd(), NETWORK_INTERFACE)?,
        finish(TerwayNode::crd(), NODE)?,
        finish(NodeRuntime::crd(), NODE_RUNTIME)?,
    ])
}

/// File name and content of each definition, as the chart carries them.
pub fn files() -> Result<Vec<(String, String)>, CrdError> {
    all()?
        .into_iter()
        .map(|crd| {
            let plural = &crd.spec.names.plural;
            let yaml = serde_saphyr::to_string(&crd).map_err(|source| CrdError::Yaml {
                crd: plural.clone(),
                source,
            })?;
            let header = "# Printed by crdgen from the types in crds/. Do not edit; run `make crds`.\n";
            Ok((
                format!("{}_{plural}.yaml", names::GROUP),
                format!("{header}{yaml}"),
            ))
        })
        .collect()
}

fn finish(mut crd: CustomResourceDefinition, facts: &[Fact]) -> Result<CustomResourceDefinition, CrdError> {
    let name = crd.spec.names.plural.clone();
    for version in &mut crd.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        let convert = |source| CrdError::Convert {
            crd: name.clone(),
            source,
        };
        let mut value = serde_json::to_value(&*schema).map_err(convert)?;
        apply(&mut value, facts).map_err(|source| CrdError::Facts {
            crd: name.clone(),
            source,
        })?;
        // The types cannot read an object without spec.
        value["required"] = json!(["spec"]);
        *schema = serde_json::from_value(value).map_err(convert)?;
    }
    let annotations = crd.metadata.annotations.get_or_insert_default();
    annotations.insert(names::annotation::CRD_VERSION.to_owned(), VERSION.to_owned());
    Ok(crd)
}

const CONDITION_FIELDS: &[&str] = &["lastTransitionTime", "message", "reason", "status", "type"];

const POD_NETWORKING: &[Fact] = &[
    Fact::Required("spec", &["eniOptions"]),
    Fact::Default("spec.eniOptions", || json!({ "eniType": "Default" })),
    Fact::Required("spec.eniOptions", &["eniType"]),
    Fact::Default("spec.eniOptions.eniType", || json!("Default")),
    Fact::Default("spec.allocationType.type", || json!("Elastic")),
    Fact::Default(
        "spec.vSwitchSelectOptions",
        || json!({ "vSwitchSelectionPolicy": "ordered" }),
    ),
    Fact::Default("spec.vSwitchSelectOptions.vSwitchSelectionPolicy", || {
        json!("ordered")
    }),
    Fact::Required(
        "spec.selector.podSelector.matchExpressions[]",
        &["key", "operator"],
    ),
    Fact::Required(
        "spec.selector.namespaceSelector.matchExpressions[]",
        &["key", "operator"],
    ),
    Fact::Required("status.conditions[]", CONDITION_FIELDS),
];

const POD_ENI: &[Fact] = &[
    Fact::Atomic("spec"),
    Fact::Atomic("status"),
    Fact::Default("spec.allocations[].allocationType.type", || json!("Elastic")),
    Fact::Format("status.eniInfos{}.vfID", "int32"),
    Fact::Required("status.conditions[]", CONDITION_FIELDS),
];

const NETWORK_INTERFACE: &[Fact] = &[
    Fact::Atomic("spec"),
    Fact::Atomic("status"),
    Fact::Required("status", &["eniInfo", "phase"]),
    Fact::Format("status.eniInfo.vfID", "int32"),
    Fact::Required("status.conditions[]", CONDITION_FIELDS),
];

const NODE: &[Fact] = &[
    Fact::Atomic("spec"),
    Fact::Atomic("status"),
    Fact::Required(
        "spec.nodeMetadata",
        &["instanceID", "instanceType", "regionID", "zoneID"],
    ),
    Fact::Required(
        "spec.eni",
        &["securityGroupIDs", "vSwitchOptions", "vSwitchSelectPolicy"],
    ),
    Fact::Required("spec.eni.tagBlockList[]", &["key", "value"]),
    Fact::Required(
        "spec.flavor[]",
        &["count", "networkInterfaceTrafficMode", "networkInterfaceType"],
    ),
    Fact::Required("status.networkInterfaces{}", &["id", "status"]),
    Fact::Required("status.networkInterfaces{}.ipv4{}", &["ip", "primary", "status"]),
    Fact::Required("status.networkInterfaces{}.ipv6{}", &["ip", "primary", "status"]),
    Fact::Required("status.networkInterfaces{}.ipv4Prefix[]", &["prefix", "status"]),
    Fact::Required("status.networkInterfaces{}.ipv6Prefix[]", &["prefix", "status"]),
    Fact::Required("status.conditions[]", CONDITION_FIELDS),
];

const NODE_RUNTIME: &[Fact] = &[
    Fact::Atomic("spec"),
    Fact::Atomic("status"),
    Fact::Required("status.pods{}", &["podID", "status"]),
    Fact::Required("status.pods{}.status{}", &["lastUpdateTime"]),
];
