//! The authority that the API server trusts: `caBundle` of every webhook in both configurations.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::info;

use super::CertificateError;

/// A webhook configuration of either kind.
pub(super) trait Configuration:
    Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned
{
    const KIND: &'static str;
    /// Name and endpoint of each webhook.
    fn endpoints(&self) -> Vec<(&str, &WebhookClientConfig)>;
}

impl Configuration for MutatingWebhookConfiguration {
    const KIND: &'static str = "MutatingWebhookConfiguration";
    fn endpoints(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks
            .iter()
            .flatten()
            .map(|hook| (hook.name.as_str(), &hook.client_config))
            .collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    const KIND: &'static str = "ValidatingWebhookConfiguration";
    fn endpoints(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks
            .iter()
            .flatten()
            .map(|hook| (hook.name.as_str(), &hook.client_config))
            .collect()
    }
}

/// The patch that replaces every other bundle by `ca`; `None` if all bundles are right. The patch applies only to the
/// version that was read.
pub(super) fn repair<C: Configuration>(configuration: &C, ca: &[u8]) -> Option<json_patch::Patch> {
    let wanted = ByteString(ca.to_vec());
    let mut operations = vec![json!({
        "op": "test", "path": "/metadata/resourceVersion", "value": configuration.meta().resource_version,
    })];
    for (index, (_, endpoint)) in configuration.endpoints().into_iter().enumerate() {
        if endpoint.ca_bundle.as_ref() != Some(&wanted) {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            operations.push(json!({ "op": "add", "path": path, "value": wanted }));
        }
    }
    if operations.len() == 1 {
        return None;
    }
    serde_json::from_value(json!(operations)).ok()
}

/// Reads a configuration and repairs its bundles. A configuration that does not exist needs no repair.
pub(super) async fn ensure<C: Configuration>(
    client: &Client,
    name: &str,
    ca: &[u8],
) -> Result<(), CertificateError> {
    let api: Api<C> = Api::all(client.clone());
    let failed = |act| {
        move |source| CertificateError::Webhook {
            act,
            kind: C::KIND,
            name: name.to_owned(),
            source,
        }
    };
    let Some(found) = api.get_opt(name).await.map_err(failed("reading"))? else {
        return Ok(());
    };
    let Some(patch) = repair(&found, ca) else {
        return Ok(());
    };
    info!(
        kind = C::KIND,
        name, "writing the webhook's authority into the configuration"
    );
    let patch: Patch<C> = Patch::Json(patch);
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .map_err(failed("patching"))?;
    Ok(())
}
